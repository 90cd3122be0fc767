"""What a role does for the clients of its server."""

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from fproxy.core.stream_position import RecoveryRequest
from fproxy.core.topics import Topic

if TYPE_CHECKING:
    from fproxy.shell.client import Client


class ClientHandler(Protocol):
    """The role's side of a server. Nothing in here is called from within ``Client.write``."""

    def client_joined(self, client: "Client") -> None:
        """``client`` has authenticated, and was told so. The role may send to it now, or close it."""

    def subscribe(self, client: "Client", topics: Sequence[Topic]) -> Mapping[Topic, str | None] | None:
        """Subscribe ``client``, which may have some of ``topics`` already. The acknowledgement follows.

        Returns:
            the topics that the role does not serve, each with the reason: they are answered with an error instead. With
            None as the reason, the role answers the topic itself, later. None when all are to be acknowledged.
        """

    def unsubscribe(self, client: "Client", topics: Sequence[Topic]) -> None:
        """Unsubscribe ``client``, which may not have some of ``topics``. The acknowledgement follows."""

    def topics(self, client: "Client") -> Set[Topic] | None:
        """Return what ``client``, which has joined, is subscribed to: a live view, which its limit goes by.

        None when the role keeps no topics, and so needs no limit.
        """

    def client_left(self, client: "Client") -> None:
        """``client``, which had joined, is gone or closing: exactly once, and the last call about it."""


@runtime_checkable
class ReplayingHandler(Protocol):
    """A role that can also send what has already passed; any other gets ``subscribe``, without ``since``."""

    def subscribe_since(
        self, client: "Client", topics: Sequence[Topic], since: int
    ) -> Mapping[Topic, str | None] | None:
        """Subscribe ``client``, and send what passed from ``since`` on, in Unix milliseconds; see ``subscribe``."""


@runtime_checkable
class PreparingHandler(Protocol):
    """A role that does changes which would take long beforehand, in steps."""

    def prepare_change(self, client: "Client", topics: Sequence[Topic], *, subscribes: bool) -> bool:
        """Do a bounded piece of what ``subscribe``, or else ``unsubscribe``, would have to do at once.

        Nothing changes for ``client`` before that call, which comes when this returns False, or never.

        Returns:
            whether more is to be done beforehand.
        """


@runtime_checkable
class NumberingHandler(Protocol):
    """A role that numbers its messages, for roles behind it that want to know what they missed."""

    def client_follows(self, client: "Client", request: RecoveryRequest) -> bool:
        """``client``, which has joined just now, follows the stream by number, and asks for what it missed of it.

        Returns:
            whether it has been told where the stream is: not by a role that keeps nothing.
        """


@runtime_checkable
class RecoveringHandler(Protocol):
    """A role that sends each client something else, and so brings what was missed request by request.

    Any other gets ``subscribe``.
    """

    def subscribe_recovering(
        self, client: "Client", topics: Sequence[Topic], request: int
    ) -> Mapping[Topic, str | None] | None:
        """Subscribe ``client``, and send what it missed of ``topics``, as its auth said; see ``subscribe``.

        The status ``recovered`` with the number of the request ends that, once for each request.
        """


@runtime_checkable
class SnapshotHandler(Protocol):
    """A role that can also send how things stand: the last event of each topic; any other gets ``subscribe``."""

    def subscribe_with_snapshot(
        self, client: "Client", topics: Sequence[Topic], since: int | None, *, asked: bool
    ) -> Mapping[Topic, str | None] | None:
        """Subscribe ``client``, and send the last event of each topic; see ``subscribe`` and ``subscribe_since``.

        Args:
            client: who wants them.
            topics: what it wants.
            since: from when on it wants what has passed, in Unix milliseconds; None for nothing.
            asked: whether the client asked for it; else it said nothing, and the role decides.
        """


@runtime_checkable
class HoldingHandler(Protocol):
    """A role whose upstreams can be held up, for clients that are not to be outrun."""

    def hold(self, holding: bool) -> None:
        """Read nothing from the upstreams for now, or read again. It is called from within writes to clients."""
