"""The roles of ours that follow a server's stream by number, and where that stream is."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from fproxy._fastpath import History
from fproxy.core.stream_notice import notice_message
from fproxy.core.stream_position import (
    PositionStatus,
    RecoveryRequest,
    RecoveryStart,
    SourcePosition,
    StreamPosition,
    new_epoch,
    recovery_start,
)
from fproxy.shell.client import Client
from fproxy.shell.clock import unix_ms


class Followers:
    """What a server tells roles that follow its stream, which is numbered as its history is.

    Attributes:
        marked_at: where the stream was when :meth:`mark` last said so.
    """

    def __init__(
        self,
        history: History,
        *,
        gaps: Callable[[], int],
        is_counted: bool,
        all_of: tuple[str, ...] = (),
        source: Callable[[], SourcePosition | None] = lambda: None,
        resumes: Callable[[SourcePosition], RecoveryStart | None] = lambda _: None,
    ) -> None:
        """Begin an epoch.

        Args:
            history: keeps the stream.
            gaps: returns how many gaps the stream has had for somebody that nobody can fill.
            is_counted: whether every follower gets every message.
            all_of: the event types of which it gets everything, whatever it is subscribed to.
            source: returns how much of the server's own upstream is in the stream up to here; None for not known.
            resumes: returns what a role is brought that followed the server before this one, as far as that had come
                in the same upstream; None when that is not known.
        """
        self._history = history
        self._gaps = gaps
        self._is_counted = is_counted
        self._all_of = all_of
        self._source = source
        self._resumes = resumes
        self._epoch = new_epoch()
        self._began = unix_ms()
        self._clients: set[Client] = set()
        self.marked_at = 0

    def __iter__(self) -> Iterator[Client]:
        """Return an iterator over the followers there are now."""
        return iter(tuple(self._clients))

    def __contains__(self, client: object) -> bool:
        """Return whether a client is one of them."""
        return client in self._clients

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._clients)

    def welcome(
        self, client: Client, request: RecoveryRequest, *, complete_from: int, complete_at: int = 0
    ) -> RecoveryStart:
        """Tell a client that follows from now on where the stream is, and return what it is to be brought.

        Args:
            client: whom.
            request: what it asks for.
            complete_from: nothing is missing of what is kept from this time on, in Unix milliseconds.
            complete_at: and from the message of this number on.
        """
        position = self._position()
        source, start = request.source, None
        if request.position is None:
            source = self._source()
        elif request.position.epoch != self._epoch:
            start = None if source is None else self._resumes(source)
            if start is None:
                source = None
        if start is None:
            start = recovery_start(request, position, first=self._history.first, began=self._began)
        self._clients.add(client)
        recovers = self._is_counted or request.position is not None
        status = PositionStatus(
            replace(position, next=start.number) if recovers else position,
            counted=self._is_counted,
            recovery=start if recovers else None,
            complete_from=complete_from,
            all_of=self._all_of,
            complete_at=complete_at,
            source=source,
        )
        client.send_status(notice_message(status.event()))
        return start

    def mark(self) -> bytes:
        """Return the status event that tells all of them where the stream is, behind all that has come so far."""
        self.marked_at = self._history.next
        return self.position_event()

    def position_event(self) -> bytes:
        """Return the status event that says where the stream is."""
        return PositionStatus(self._position(), counted=self._is_counted, source=self._source()).event()

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        self._clients.discard(client)

    def _position(self) -> StreamPosition:
        return StreamPosition(self._epoch, self._history.next, self._gaps())
