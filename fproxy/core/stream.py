"""A stream: one upstream of one market, and what it is worth at the moment.

The upstream's connection, what it says of itself, and its last event all end here, as one state. Notices to clients,
metrics, readiness and history read it; nothing else keeps an idea of its own of whether a stream is whole.
"""

import enum
from dataclasses import dataclass


class StreamState(enum.StrEnum):
    """What a stream is worth."""

    DOWN = "down"
    """There is no connection, or what is wanted has not been subscribed to again yet."""
    INTERRUPTED = "interrupted"
    """The connection is there, but the upstream says that it misses events itself."""
    UP = "up"
    """Every event that is wanted comes."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """Events may be missing from now on.

    Attributes:
        upstream: the stream's name.
        reason: why, as a phrase for people.
        since: the time of the last event before, in Unix milliseconds; when there was none, the time since which the
            stream has been watched.
    """

    upstream: str
    reason: str
    since: int


@dataclass(frozen=True, slots=True)
class Restoration:
    """Every event comes again.

    Attributes:
        upstream: the stream's name.
        start: the time of the last event before the interruption, in Unix milliseconds: its ``since``.
        end: the first moment from which on nothing is missing, in Unix milliseconds.
        recovered: whether the events between the two have been delivered after all.
    """

    upstream: str
    start: int
    end: int
    recovered: bool = False


class Stream:
    """The state of one stream. All times are Unix milliseconds, and passed in.

    Attributes:
        name: what clients, logs and metrics call the upstream, such as ``firehose``.
        market: the market, such as ``stocks``.
        state: what the stream is worth now.
        reason: why it is not up, as a phrase for people; empty while it is.
        interruptions: how many times it was interrupted after it had been up.
        gaps: how many times it was whole again without what was missed, its beginning included.
        last_message: when a message of it came last, as far as somebody looked; None before the first.
    """

    __slots__ = (
        "_interruption",
        "gaps",
        "interruptions",
        "last_message",
        "market",
        "name",
        "reason",
        "state",
    )

    def __init__(self, name: str, *, market: str, now: int) -> None:
        """Begin as down: nothing has come yet.

        Args:
            name: the upstream's name.
            market: the market's name.
            now: the time.
        """
        self.name = name
        self.market = market
        self.state = StreamState.DOWN
        self.reason = "not connected yet"
        self.interruptions = 0
        self.gaps = 0
        self.last_message: int | None = None
        self._interruption: Interruption | None = Interruption(name, self.reason, now)

    @property
    def interruption(self) -> Interruption | None:
        """What a client that comes now has to be told: the interruption that lasts, or None while the stream is up."""
        return self._interruption

    def lost(self, reason: str, *, last_event: int | None, now: int) -> Interruption | None:
        """The connection is lost.

        Args:
            reason: why, as a phrase for people.
            last_event: the time of the last event that came; None when none has.
            now: the time.

        Returns:
            what clients have to be told; None when they have been told already.
        """
        return self._interrupt(StreamState.DOWN, reason, last_event, now)

    def interrupted(self, reason: str, *, last_event: int | None, now: int) -> Interruption | None:
        """The upstream says that it misses events itself. Arguments and result as for :meth:`lost`."""
        return self._interrupt(StreamState.INTERRUPTED, reason, last_event, now)

    def whole(self, *, now: int, recovered: bool = False) -> Restoration | None:
        """Every event that is wanted comes from now on.

        Args:
            now: the time.
            recovered: whether what came between has been delivered after all.

        Returns:
            what clients have to be told; None when the stream was up.
        """
        interruption = self._interruption
        self.state = StreamState.UP
        self.reason = ""
        self._interruption = None
        if interruption is None:
            return None
        self.gaps += not recovered
        return Restoration(self.name, interruption.since, max(now, interruption.since), recovered)

    def _interrupt(
        self, state: StreamState, reason: str, last_event: int | None, now: int
    ) -> Interruption | None:
        was_up = self.state is StreamState.UP
        self.state = state
        self.reason = reason
        known = self._interruption
        since = known.since if known is not None else min(last_event, now) if last_event is not None else now
        self._interruption = Interruption(self.name, reason, since)
        if not was_up:
            return None
        self.interruptions += 1
        return self._interruption
