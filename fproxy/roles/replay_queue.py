"""One client's requests for what has passed, carried out one after the other."""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Generic, NamedTuple, TypeVar

from fproxy._fastpath import History
from fproxy.core.topics import Topic
from fproxy.roles.replay import Replay
from fproxy.roles.replay_start import Replayed, ReplayStart
from fproxy.shell.client import Client
from fproxy.shell.work_steps import WorkSteps

R = TypeVar("R", bound=Replay)


class _Request(NamedTuple):
    """What a client has asked for that is catching up already.

    Attributes:
        start: from when on.
        asked_at: the number that the next message had then.
        topics: what of.
        apart: those of them of which an upstream brings what has passed beside what came live.
        replayed: what will have been brought then.
    """

    start: ReplayStart
    asked_at: int
    topics: list[Topic]
    apart: set[Topic]
    replayed: Replayed


class ReplayQueue(Generic[R]):
    """The replays of one client. While there is one, the client gets nothing live.

    Attributes:
        current: the replay that is prepared or under way; None when the client has caught up.
    """

    __slots__ = ("_client", "_gathering", "_history", "_live", "_make", "_steps", "_waiting", "current")

    def __init__(
        self,
        client: Client,
        *,
        history: History,
        steps: WorkSteps,
        make: Callable[[ReplayStart, int, Callable[[Replay], None]], R],
        live: Callable[[bool], None],
    ) -> None:
        """Begin without requests.

        Args:
            client: whose.
            history: has the messages.
            steps: carries replays out.
            make: makes a replay from when on, which was asked for when the next message had a number; and of whom to
                call when it has ended.
            live: says whether the client gets what is live from this moment on.
        """
        self.current: R | None = None
        self._client = client
        self._history = history
        self._steps = steps
        self._make = make
        self._live = live
        self._waiting: deque[_Request] = deque()
        self._gathering = (
            False  # whether the last request may still get topics: long messages are taken in steps
        )

    @property
    def waiting_topics(self) -> frozenset[Topic]:
        """What is brought by requests that wait for others to be carried out."""
        return frozenset(topic for request in self._waiting for topic in request.topics)

    def ask(self, topics: Sequence[Topic], start: ReplayStart, apart: Collection[Topic] = ()) -> Replayed:
        """Bring what has passed of topics, behind the acknowledgement, and then what is live.

        Args:
            topics: which.
            start: from when on.
            apart: those of them of which an upstream brings what has passed beside what came live.

        Returns:
            what that has brought, once it is carried out.
        """
        if self.current is None:
            self._live(False)
            self._prepare(start, self._history.next)
        assert self.current is not None
        if not self.current.started:
            self.current.ask(topics, apart)
            return self.current.replayed
        self.current.leave(topics)
        if not self._gathering:
            self._gathering = True
            replayed = Replayed.of(start)
            self._waiting.append(_Request(start, self._history.next, [], set(), replayed))
            self._client.after_reply(self._gathered)
        self._waiting[-1].topics.extend(topics)
        self._waiting[-1].apart.update(apart)
        return self._waiting[-1].replayed

    def recover(self, start: ReplayStart) -> None:
        """Bring everything from a message on, to a role of ours that has just come back."""
        self._live(False)
        self._prepare(start, self._history.next)

    def drop(self, topics: Sequence[Topic]) -> None:
        """The client gives topics up."""
        if self.current is not None:
            self.current.unsubscribe(topics)
        gone = frozenset(topics)
        for request in self._waiting:
            request.topics[:] = [topic for topic in request.topics if topic not in gone]

    def cancel(self) -> None:
        """The client is gone."""
        if self.current is not None:
            self.current.cancel()
        self._waiting.clear()

    def _prepare(self, start: ReplayStart, asked_at: int) -> R:
        replay = self.current = self._make(start, asked_at, self._caught_up)
        self._client.after_reply(self._start)
        return replay

    def _start(self) -> None:
        if self.current is not None and not self.current.started and self._client.authenticated:
            self.current.start(self._steps)

    def _gathered(self) -> None:
        self._gathering = False

    def _caught_up(self, replay: Replay) -> None:
        assert replay is self.current
        self.current = None
        if not self._waiting:
            self._live(True)
            return
        request = self._waiting.popleft()
        replay = self._prepare(request.start, request.asked_at)
        replay.replayed = request.replayed
        replay.ask(request.topics, request.apart)
