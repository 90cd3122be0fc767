"""What one upstream connection tells a role: its messages, and how its stream fares."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from fproxy._fastpath import MessageSink, event_time_ms
from fproxy._read_timer import ReadTimer
from fproxy.core.activity import ActivityKind
from fproxy.core.market import logged_name
from fproxy.core.stream import Interruption, Stream
from fproxy.core.stream_notice import interruption_event, restoration_event
from fproxy.core.upstream_effects import Recovering
from fproxy.duration_metrics import DurationCollector
from fproxy.metrics import MarketMetrics
from fproxy.observed import UpstreamTimer
from fproxy.shell.clock import unix_ms
from fproxy.shell.log_throttle import LogThrottle

logger: Final = logging.getLogger("fproxy.upstream")


class _Interrupt(Protocol):
    def __call__(self, reason: str, *, last_event: int | None, now: int) -> Interruption | None: ...


def _ignore(*_: object) -> None:
    pass


class UpstreamFeed:
    """Hands on what an upstream connection brings, and keeps its stream's state.

    Messages that are not sound are counted and logged, no more. This is an ``UpstreamListener``.

    Attributes:
        settled: set once the first attempt to connect has come to something: the stream was whole, or brings nothing of
            before, or the attempt has failed.
        whole_since: nothing is missing from this time on, in Unix milliseconds, unless the stream is interrupted now.
        timer: counts how long what comes takes until it is written.
    """

    __slots__ = (
        "_activity",
        "_filled_from",
        "_last_event",
        "_log",
        "_recovering",
        "_refused_frames",
        "_stream",
        "_taken",
        "_taken_before",
        "_tell",
        "_unrecoverable",
        "confirmed",
        "drained",
        "given_up",
        "recovered",
        "refused",
        "settled",
        "take",
        "timer",
        "whole_since",
    )

    def __init__(
        self,
        stream: Stream,
        metrics: MarketMetrics,
        *,
        take: MessageSink | Callable[[memoryview], list[bytes] | None],
        drained: Callable[[], None],
        refused: Callable[[Sequence[str], str], None],
        last_event: Callable[[], bytes | None],
        tell: Callable[[bytes], None],
        taken: Callable[[], int],
        confirmed: Callable[[Sequence[str]], None] = _ignore,
        given_up: Callable[[Sequence[str]], None] = _ignore,
        recovering: Callable[[Recovering], None] = _ignore,
        recovered: Callable[[], None] = _ignore,
        unrecoverable: Callable[[], None] = _ignore,
    ) -> None:
        """Prepare a feed.

        Args:
            stream: the stream that the connection brings.
            metrics: where to count.
            take: gets each message; returns its status events; raises FrameError for one that is not sound.
            drained: all that one read brought has been taken.
            refused: topics were refused, with the upstream's message.
            last_event: returns the last event that was taken.
            taken: returns how many messages with market events have been taken.
            tell: gets the status event that tells clients that the stream is interrupted, or whole again.
            confirmed: topics were acknowledged.
            given_up: topics are asked for no more.
            recovering: what was missed, or what is kept, follows.
            recovered: it has come.
            unrecoverable: what was missed does not come.
        """
        self.take = take
        self.drained = drained
        self.refused = refused
        self.confirmed = confirmed
        self.given_up = given_up
        self.recovered = recovered
        self._unrecoverable = unrecoverable
        self.settled = asyncio.Event()
        self.whole_since = unix_ms()
        self._stream = stream
        self._filled_from: int | None = None  # what is kept of before the stream is complete from then on
        self._recovering = recovering
        self._last_event = last_event
        self._tell = tell
        self._taken = taken
        self._taken_before = 0
        self._activity = metrics.observed.activity
        self.timer = ReadTimer(self._last_event_time)
        metrics.watch(DurationCollector, UpstreamTimer(stream.name, self.timer))
        metrics.observed.timers.append(self.timer)
        self._refused_frames = metrics.refused_frames.labels(stream.name)
        self._log = LogThrottle(logger, logging.WARNING, 10.0)

    def unsound(self, reason: str) -> None:
        """A message was refused."""
        self._refused_frames.inc()
        name = logged_name(self._stream.name, self._stream.market)
        self._log.log("A message of %s was refused: %s", name, reason)

    def connected(self) -> None:
        """The upstream takes subscriptions; whether anything is missing is known when it has answered them."""

    def messages_came(self) -> None:
        """Messages have come: only those with market events tell how old a stream is."""
        taken, before = self._taken(), self._taken_before
        self._taken_before = taken
        if taken != before:
            self._stream.last_message = unix_ms()

    def whole(self, *, recovered: bool) -> None:
        """Every event that is wanted comes from now on, and what was missed has come, or not."""
        self.settled.set()
        now = unix_ms()
        notice = self._stream.whole(now=now, recovered=recovered)
        if notice is not None:
            if not recovered:
                self.whole_since = now if self._filled_from is None else self._filled_from
            self._filled_from = None
            how = (
                f"back after {(notice.end - notice.start) / 1000:.1f} s"
                if self._stream.interruptions
                else "up"
            )
            self._activity.record(ActivityKind.STREAM_RESTORED, f"{self._place}: {how}", now=now)
            self._tell(restoration_event(notice))

    def recovering(self, recovering: Recovering) -> None:
        """What was missed follows; or what is kept, before the stream begins."""
        self._filled_from = recovering.complete_from if recovering.is_fresh else None
        self._recovering(recovering)

    def unrecoverable(self) -> None:
        """What was missed does not come."""
        self.settled.set()
        self._unrecoverable()

    def interrupted(self, reason: str) -> None:
        """The upstream misses events itself."""
        self._interrupt(self._stream.interrupted, reason)

    def disconnected(self, reason: str) -> None:
        """The connection is lost."""
        self._interrupt(self._stream.lost, reason)

    def unreachable(self, reason: str) -> None:
        """An attempt to connect has failed."""
        self._interrupt(self._stream.lost, reason)

    def _interrupt(self, interrupt: _Interrupt, reason: str) -> None:
        self._filled_from = None
        self.settled.set()
        now = unix_ms()
        notice = interrupt(reason, last_event=self._last_event_time(), now=now)
        if notice is not None:
            self._activity.record(ActivityKind.STREAM_INTERRUPTED, f"{self._place}: {reason}", now=now)
            self._tell(interruption_event(notice))

    def _last_event_time(self) -> int | None:
        event = self._last_event()
        return None if event is None else event_time_ms(event)

    @property
    def _place(self) -> str:
        return f"{self._stream.market} {self._stream.name}"
