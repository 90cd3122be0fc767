"""What a process can be asked about while it runs: its parts put themselves down here, and are read when asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fproxy.core.activity import Activity
from fproxy.core.stream import Stream


class DurationCounts(Protocol):
    """Durations counted without Python objects: how many fell into each bucket, and their sum in seconds."""

    @property
    def read_to_write(self) -> tuple[tuple[int, ...], float]: ...  # noqa: D102

    @property
    def event_to_write(self) -> tuple[tuple[int, ...], float]: ...  # noqa: D102


class UpstreamTimer(NamedTuple):
    """What times one upstream of a market.

    Attributes:
        upstream: the upstream's name.
        timer: the durations.
    """

    upstream: str
    timer: DurationCounts


class ObservedUpstream(Protocol):
    """The connection to an upstream."""

    @property
    def messages(self) -> int: ...  # noqa: D102


class ObservedDistributor(Protocol):
    """What distributes events: its counts only grow."""

    @property
    def events_in(self) -> int: ...  # noqa: D102

    @property
    def deliveries(self) -> int: ...  # noqa: D102

    @property
    def sent_bytes(self) -> int: ...  # noqa: D102


class ObservedHistory(Protocol):
    """The last messages of a market."""

    @property
    def bytes(self) -> int: ...  # noqa: D102

    def hot_topics(
        self, *, max_bytes: int, since: int, limit: int
    ) -> tuple[list[tuple[str, str, int, int]], int | None]:
        """See :meth:`fproxy._fastpath.History.hot_topics`."""


@dataclass(slots=True)
class Observed:
    """The parts of one process.

    Attributes:
        activity: what has happened lately.
        streams: what comes from upstream, with its state.
        upstreams: the connections that bring it, by market and upstream.
        timers: how long it takes from there to the clients.
        distributors: what distributes it.
        histories: the last messages, each with its market.
    """

    activity: Activity = field(default_factory=Activity)
    streams: list[Stream] = field(default_factory=list)
    upstreams: dict[tuple[str, str], ObservedUpstream] = field(default_factory=dict)
    timers: list[DurationCounts] = field(default_factory=list)
    distributors: list[ObservedDistributor] = field(default_factory=list)
    histories: list[tuple[str, ObservedHistory]] = field(default_factory=list)

    def messages(self, stream: Stream) -> int:
        """Return how many messages a stream has brought."""
        upstream = self.upstreams.get((stream.market, stream.name))
        return 0 if upstream is None else upstream.messages

    def read_to_write(self) -> Sequence[int]:
        """Return how many reads took how long until they were written, over all upstreams, by bucket."""
        counts = [timer.read_to_write[0] for timer in self.timers]
        return [sum(column) for column in zip(*counts, strict=True)]
