"""What a connection to an upstream tells whoever it is for."""

from collections.abc import Callable, Sequence
from typing import Protocol

from fproxy._fastpath import MessageSink
from fproxy._read_timer import ReadTimer
from fproxy.core.upstream_effects import Recovering


class UpstreamListener(Protocol):
    """What a role gives a connection. What any of these raises is logged, and the connection goes on."""

    @property
    def take(self) -> MessageSink | Callable[[memoryview], list[bytes] | None]:
        """Takes one whole message, and returns its status events, each as it came; nothing when there were none.

        A memoryview points into the read buffer, and is good only until the call returns. May raise FrameError.
        """

    @property
    def timer(self) -> ReadTimer | None:
        """Counts how long reads take until ``drained`` returns; None for nobody."""

    def unsound(self, reason: str) -> None:
        """A message was refused whole; ``reason`` says why and quotes it, without secrets."""

    def drained(self) -> None:
        """All that was read from the socket in one go has been handed on: flush now."""

    def connected(self) -> None:
        """The upstream takes subscriptions; those that are wanted are sent when this returns."""

    def whole(self, *, recovered: bool) -> None:
        """Every event that is wanted comes from now on: the upstream has answered, and misses nothing itself.

        ``recovered`` says whether what was missed since the stream was last whole has come after all.
        """

    def recovering(self, recovering: Recovering) -> None:
        """What was missed follows, until ``recovered``; or what the upstream keeps."""

    def recovered(self) -> None:
        """All that could be recovered has come."""

    def unrecoverable(self) -> None:
        """What was missed while there was no connection stays missing. This may come instead of ``recovering``."""

    def given_up(self, topics: Sequence[str]) -> None:
        """The upstream is asked for topics no more."""

    def interrupted(self, reason: str) -> None:
        """The upstream misses events itself, until ``whole`` comes again."""

    def disconnected(self, reason: str) -> None:
        """The connection is lost; this comes once for each ``connected``."""

    def unreachable(self, reason: str) -> None:
        """An attempt to connect has failed."""

    def messages_came(self) -> None:
        """Messages have come since this was called last; it is called about once a second while they come."""

    def confirmed(self, topics: Sequence[str]) -> None:
        """The upstream acknowledged topics: their events come from now on."""

    def refused(self, topics: Sequence[str], message: str) -> None:
        """The upstream refused topics, with ``message``."""
