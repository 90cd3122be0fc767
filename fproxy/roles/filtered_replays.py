"""How the clients of a fan-out catch up with what has passed, each muted until it has."""

from collections.abc import Callable, Collection, Iterable, Sequence, Set
from functools import partial

from fproxy._fastpath import Fanout, History
from fproxy.core.topics import Topic
from fproxy.metrics import MarketMetrics
from fproxy.roles.brought_past import BroughtPast
from fproxy.roles.replay import (
    FilteredReplay,
    Rebuild,
    Replay,
    awaits_nothing,
    rebuilds_nothing,
)
from fproxy.roles.replay_queue import ReplayQueue
from fproxy.roles.replay_start import Replayed, ReplayStart
from fproxy.shell.client import Client
from fproxy.shell.work_steps import WorkSteps


class FilteredReplays:
    """The replays of a fan-out's clients.

    Attributes:
        clients: those that catch up now, and so get nothing live.
    """

    def __init__(
        self,
        fanout: Fanout,
        history: History,
        *,
        matching: Callable[[], Fanout],
        topics: Callable[[Client], Collection[Topic]],
        is_complete: Callable[[Client, ReplayStart, Collection[Topic]], bool],
        metrics: MarketMetrics,
        awaits: Callable[[Collection[Topic]], bool] = awaits_nothing,
        rebuild: Rebuild = rebuilds_nothing,
        past: BroughtPast | None = None,
        caught_up: Callable[[Client], None] = lambda _: None,
    ) -> None:
        """Begin with nobody.

        Args:
            fanout: distributes what is live.
            history: has what has passed.
            matching: returns a fan-out without clients that routes and spells as the live one does.
            topics: returns what a client is subscribed to.
            is_complete: returns whether, from a start on, no event of topics is missing for a client.
            metrics: where to count.
            awaits: returns whether an upstream is about to bring what it has of topics.
            rebuild: builds bars that are neither kept nor to come.
            past: what an upstream has brought of topics apart; None for nothing.
            caught_up: a client gets what is live again.
        """
        self._caught_up = caught_up
        self._fanout = fanout
        self._history = history
        self._matching = matching
        self._topics = topics
        self._is_complete = is_complete
        self._metrics = metrics
        self._awaits = awaits
        self._rebuild = rebuild
        self._past = past
        self._steps: WorkSteps
        self._numbers: dict[Client, int] = {}
        self._queues: dict[Client, ReplayQueue[FilteredReplay]] = {}
        self._catching_up: set[Client] = set()
        self.clients: Set[Client] = self._catching_up

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients; ``steps`` carries replays out."""
        self._steps = steps

    def ask(
        self,
        client: Client,
        number: int,
        topics: Sequence[Topic],
        start: ReplayStart,
        apart: Collection[Topic] = (),
    ) -> Replayed:
        """Bring a client what is kept of topics first; it is muted from now on until it has caught up.

        Args:
            client: whom.
            number: the client's, in the fan-out.
            topics: what of. It is to be subscribed to them behind this.
            start: from when on.
            apart: those of them of which an upstream brings what has passed beside what came live.

        Returns:
            what that has brought, once it is carried out.
        """
        if client not in self._queues:
            self._numbers[client] = number
            self._queues[client] = ReplayQueue(
                client,
                history=self._history,
                steps=self._steps,
                make=partial(self._new_replay, client),
                live=partial(self._go_live, client),
            )
        return self._queues[client].ask(topics, start, apart)

    def subscribe(self, client: Client, topics: Iterable[Topic]) -> None:
        """A client gets topics from now on, without what has passed."""
        replay = self._current(client)
        if replay is not None:
            replay.subscribe(topics)

    def drop(self, client: Client, topics: Sequence[Topic]) -> None:
        """A client gives topics up."""
        if client in self._queues:
            self._queues[client].drop(topics)

    def tell(self, event: bytes, concerns: Callable[[Client], bool] = lambda _: True) -> None:
        """Send a status event to the clients that catch up and that it concerns, behind what has come so far."""
        for client in self._catching_up:
            replay = self._current(client)
            if replay is not None and concerns(client):
                replay.tell(event)

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        queue = self._queues.pop(client, None)
        if queue is not None:
            queue.cancel()
            self._catching_up.discard(client)
            del self._numbers[client]

    def _current(self, client: Client) -> FilteredReplay | None:
        queue = self._queues.get(client)
        return None if queue is None else queue.current

    def _new_replay(
        self, client: Client, start: ReplayStart, asked_at: int, ended: Callable[[Replay], None]
    ) -> FilteredReplay:
        asked = self._queues[client].waiting_topics
        return FilteredReplay(
            client,
            held=[topic for topic in self._topics(client) if topic not in asked],
            history=self._history,
            start=start,
            asked_at=asked_at,
            is_complete=partial(self._is_complete, client, start),
            matching=self._matching,
            awaits=self._awaits,
            rebuild=self._rebuild,
            past=self._past,
            metrics=self._metrics,
            ended=ended,
        )

    def _go_live(self, client: Client, live: bool) -> None:
        if live:
            self._fanout.unmute(self._numbers[client])
            self._catching_up.discard(client)
            self._caught_up(client)
        else:
            self._fanout.mute(self._numbers[client])
            self._catching_up.add(client)
