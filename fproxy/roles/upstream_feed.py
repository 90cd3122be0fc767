"""What one upstream connection tells a role: its messages, and how it fares."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from fproxy._fastpath import MessageSink
from fproxy.metrics import Metrics
from fproxy.shell.log_throttle import LogThrottle

logger: Final = logging.getLogger("fproxy.upstream")


def _ignore() -> None:
    pass


class UpstreamFeed:
    """Hands on what an upstream connection brings; messages that are not sound are counted and logged, no more.

    This is an ``UpstreamListener``.
    """

    __slots__ = (
        "_log",
        "_name",
        "_refused_frames",
        "connected",
        "disconnected",
        "drained",
        "refused",
        "take",
    )

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        *,
        take: MessageSink | Callable[[memoryview], list[bytes] | None],
        drained: Callable[[], None],
        refused: Callable[[Sequence[str], str], None],
        disconnected: Callable[[], None] = _ignore,
    ) -> None:
        """Prepare a feed.

        Args:
            name: what logs and metrics call the upstream.
            metrics: where to count.
            take: gets each message; returns its status events; raises FrameError for one that is not sound.
            drained: all that one read brought has been taken.
            refused: topics were refused, with the upstream's message.
            disconnected: the connection is lost.
        """
        self.take = take
        self._name = name
        self._refused_frames = metrics.refused_frames.labels(name)
        self._log = LogThrottle(logger, logging.WARNING, 10.0)
        self.drained = drained
        self.refused = refused
        self.connected = _ignore
        self.disconnected = disconnected

    def unsound(self, reason: str) -> None:
        """A message was refused."""
        self._refused_frames.inc()
        self._log.log("A message of %s was refused: %s", self._name, reason)
