"""The roles that follow an aggregator's stream: where it is, and what each of them missed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fproxy._fastpath import Fanout, History
from fproxy.core.stream_notice import notice_message
from fproxy.core.stream_position import RecoveryRequest, RecoveryStart, recovered_event
from fproxy.roles.filtered_replays import FilteredReplays
from fproxy.roles.followers import Followers
from fproxy.roles.replay_start import ReplayStart
from fproxy.roles.source_positions import SourcePositions
from fproxy.shell.client import Client

MARKED_MESSAGES: Final = 64
"""How many messages may come before roles that follow the stream are told where it is."""


@dataclass(slots=True)
class _Follower:
    """One of them.

    Attributes:
        lacks: what it may lack, if it has come back.
        requests: the numbers of its requests for that.
    """

    lacks: RecoveryStart | None
    requests: set[int] = field(default_factory=set)


class BarFollowers:
    """Tells them where the stream is, as they cannot count what they get, and what they are brought."""

    def __init__(
        self,
        fanout: Fanout,
        history: History,
        replays: FilteredReplays,
        source: SourcePositions,
        *,
        gaps: Callable[[], int],
        closed_until: Callable[[], int | None],
    ) -> None:
        """Begin without any.

        Args:
            fanout: distributes the stream.
            history: keeps it.
            replays: brings what has passed.
            source: how far the stream has come in the firehose's.
            gaps: returns how many gaps the stream has had for somebody that nobody can fill.
            closed_until: returns up to when windows have closed, in Unix milliseconds; None for never.
        """
        self._fanout = fanout
        self._history = history
        self._replays = replays
        self._followers = Followers(
            history,
            gaps=gaps,
            is_counted=False,
            source=lambda: source.here(closed_until()),
            resumes=source.start,
        )
        self._of: dict[Client, _Follower] = {}

    def welcome(self, client: Client, request: RecoveryRequest, *, complete_from: int) -> None:
        """Tell a client that follows where the stream is; see ``Followers.welcome``."""
        self._fanout.flush()
        start = self._followers.welcome(client, request, complete_from=complete_from)
        self._of[client] = _Follower(None if request.position is None else start)

    def start(self, client: Client, request: int) -> ReplayStart | None:
        """Return from where on a client is brought what it missed of the topics of a request; None when it is not."""
        follower = self._of.get(client)
        if follower is None or follower.lacks is None:
            return None
        follower.requests.add(request)
        return ReplayStart(number=follower.lacks.number, request=request, bars_from=follower.lacks.bars_from)

    def end(self, client: Client, request: int) -> None:
        """A request is answered: say so when there is nothing to recover for it; else its replay does."""
        follower = self._of.get(client)
        if follower is None or request not in follower.requests:
            client.send_status(notice_message(recovered_event(request)))

    def mark(self) -> None:
        """Tell all of them where the stream is, behind all that has come so far."""
        self._fanout.flush()
        mark = notice_message(self._followers.mark())
        for client in self._followers:
            self._tell(client, mark)

    def mark_in_time(self) -> None:
        """Do so if much has come since."""
        if self._history.next - self._followers.marked_at >= MARKED_MESSAGES:
            self.mark()

    def tell(self, client: Client) -> None:
        """Tell a client, if it is one of them, behind all that has come so far."""
        if client in self._of:
            self._fanout.flush()
            self._tell(client, notice_message(self._followers.position_event()))

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        self._followers.client_left(client)
        self._of.pop(client, None)

    def _tell(self, client: Client, mark: bytes) -> None:
        # Who catches up has not got all that has come so far.
        if client not in self._replays.clients:
            client.send_status(mark)
