"""What the clients of a role want, turned into what is asked of its upstreams; refusals find their way back."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from typing import Final, NamedTuple

from fproxy.core.demand import Demand
from fproxy.core.growing_set import GrowingSet
from fproxy.core.market import Upstream
from fproxy.core.routes import Route
from fproxy.core.status_replies import status_messages
from fproxy.core.topic_index import TopicIndex
from fproxy.core.topics import Topic
from fproxy.shell.client import Client
from fproxy.shell.upstream import UpstreamConnection
from fproxy.shell.work_steps import PIECE, Steps, WorkSteps, pieces

REFUSED_STATUS: Final = "error"

TOLD_TOPICS: Final = 500
"""How many refusals are looked at, or told of, in one step: about a millisecond."""


def _taken_out(topics: GrowingSet[Topic]) -> Iterator[Sequence[Topic]]:
    """Yield topics in pieces of a step each, taking them out of their set."""
    for part in topics.parts:
        while part:
            yield [part.popitem()[0] for _ in range(min(PIECE, len(part)))]


class Concerns(NamedTuple):
    """Which streams a subscription concerns.

    Attributes:
        serving: the upstreams that serve the topics that are new.
        fresh: those of them that served the client nothing before.
        unserved: the topics that cannot be had, each with the reason; the client does not have them.
    """

    serving: Set[Upstream]
    fresh: Set[Upstream]
    unserved: dict[Topic, str]


class Subscriptions:
    """The topics of every client, counted into the demand on the upstreams."""

    def __init__(
        self,
        route: Route,
        demands: Mapping[Upstream, Demand],
        connections: Mapping[Upstream, UpstreamConnection],
    ) -> None:
        """Begin without clients.

        Args:
            route: where topics are served.
            demands: what is asked of each upstream.
            connections: the connection to each upstream, of which ``demands`` has the demand.
        """
        self._route = route
        self._demands = demands
        self._connections = connections
        self._steps: WorkSteps
        self._topics: dict[Client, GrowingSet[Topic]] = {}
        self._index = TopicIndex[Client]()  # by upstream and upstream topic
        # How many upstream topics of each upstream a client has.
        self._concerned: dict[Client, Counter[Upstream]] = {}
        # Upstream topics whose refusal the clients are still to be told.
        self._refused: dict[tuple[Upstream, str], None] = {}

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients; ``steps`` carries out what is long."""
        self._steps = steps

    def add_client(self, client: Client) -> None:
        """Begin to count for a client."""
        self._topics[client] = GrowingSet()
        self._concerned[client] = Counter()

    def topics(self, client: Client) -> Set[Topic]:
        """Return what a client is subscribed to, as a live view."""
        return self._topics[client]

    def concerned(self, client: Client) -> frozenset[Upstream]:
        """Return the upstreams that serve a client something."""
        return frozenset(self._concerned[client])

    def subscribe(
        self,
        client: Client,
        topics: Sequence[Topic],
        *,
        since: int | None = None,
        since_of: Collection[Upstream] = (),
        asked_apart: Callable[[Topic], bool] = lambda _: False,
    ) -> Concerns:
        """Ask the upstreams for the topics that are new; topics that they have refused before are refused again.

        Args:
            client: who wants them.
            topics: what it wants; it may have some of them.
            since: from when on upstreams are to bring what has passed of those that nobody else has, in Unix
                milliseconds; None for nothing.
            since_of: which upstreams.
            asked_apart: returns whether what has passed of a topic is asked for in another way.

        Returns:
            the upstreams that serve the new topics, those among them that served the client nothing before, and the
            topics that are more than an upstream's vendor allows.
        """
        own, concerned = self._topics[client], self._concerned[client]
        refused: list[str] = []
        before = frozenset(concerned)
        serving: set[Upstream] = set()
        unserved: dict[Topic, str] = {}
        for topic in topics:
            if topic in own:
                continue
            routed = tuple(self._route(topic))
            reasons = (self._demands[upstream].refusal_of_more(text) for upstream, text in routed)
            reason = next((reason for reason in reasons if reason is not None), None)
            if reason is not None:
                unserved[topic] = reason
                continue
            own.add(topic)
            for upstream, text in routed:
                serving.add(upstream)
                concerned[upstream] += 1
                self._index.add((upstream, text), client)
                brings = since is not None and upstream in since_of and not asked_apart(topic)
                self._demands[upstream].acquire(text, since=since if brings else None)
                if self._connections[upstream].refusal(text) is not None:
                    refused.append(text)
        self._changed()
        if refused:
            client.after_reply(partial(self._tell, client, refused))
        return Concerns(serving, serving - before, unserved)

    def fresh(self, client: Client, topics: Iterable[Topic]) -> Set[Upstream]:
        """Return the upstreams that serve topics, and serve a client nothing so far."""
        serving = {upstream for topic in topics for upstream, _ in self._route(topic)}
        return serving - self._concerned[client].keys()

    def left(self, client: Client, topics: Iterable[Topic]) -> Set[Upstream]:
        """Return the upstreams that serve a client nothing besides those of its topics that are among these."""
        own, concerned = self._topics[client], self._concerned[client]
        gone = Counter(upstream for topic in {*topics} if topic in own for upstream, _ in self._route(topic))
        return {upstream for upstream, count in gone.items() if count == concerned[upstream]}

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> Set[Upstream]:
        """Give up the topics among these that the client has.

        Returns:
            the upstreams that serve the client nothing any more.
        """
        own = self._topics[client]
        gone = {topic for topic in topics if topic in own}
        own -= gone
        before = frozenset(self._concerned[client])
        self._release(client, gone)
        return before - self._concerned[client].keys()

    def remove_client(self, client: Client, *, are_kept: bool = False) -> Steps:
        """Forget a client at once; return the work of giving up all that it had, to be done in steps.

        Args:
            client: who is gone.
            are_kept: whether somebody keeps the set of what it had, which is left as it is then. Else it is emptied, as
                to free very many topics at once takes tens of milliseconds.
        """
        topics = self._topics.pop(client)
        return self._give_up(client, pieces(topics) if are_kept else _taken_out(topics))

    def _give_up(self, client: Client, topics: Iterable[Sequence[Topic]]) -> Steps:
        for piece in topics:
            self._release(client, piece)
            yield None
        del self._concerned[client]

    def flow_since(
        self,
        topics: Iterable[Topic],
        time: int,
        whole_since: Callable[[Upstream], float] = lambda _: 0,
    ) -> bool:
        """Return whether nothing of topics is missing since a time.

        Args:
            topics: which.
            time: in Unix milliseconds.
            whole_since: returns since when an upstream's stream has had no gap, in Unix milliseconds. What an earlier
                one has cost may have come after all, if the upstream has been asked.
        """
        for topic in topics:
            for upstream, text in self._route(topic):
                demand = self._demands[upstream]
                since = demand.flows_since(text)
                if since is None or since > time:
                    return False
                if time < whole_since(upstream) and demand.vouched_at(text) < whole_since(upstream):
                    return False
        return True

    def await_past(self, topics: Iterable[Topic]) -> bool:
        """Return whether an upstream has still to bring what has passed of one of the topics."""
        return any(
            self._demands[upstream].awaits_past(text)
            for topic in topics
            for upstream, text in self._route(topic)
        )

    def refused(self, upstream: Upstream, topics: Sequence[str]) -> None:
        """Tell every client whose subscriptions an upstream has refused: from the next turn of the loop on, in steps.

        A client is told of the refusals of this turn together.

        Args:
            upstream: the upstream.
            topics: the upstream topics that it refused.
        """
        if topics and not self._refused:
            self._steps.add(self, self._tell_all())
        self._refused.update(((upstream, text), None) for text in topics)

    def _tell_all(self) -> Steps:
        refused, self._refused = self._refused, {}
        asked: dict[Client, list[str]] = {}
        count = 0
        for upstream, text in refused:
            for client in self._index.holders((upstream, text)):
                asked.setdefault(client, []).append(text)
                count += 1
                if count % TOLD_TOPICS == 0:
                    yield None
        for client, texts in asked.items():
            for first in range(0, len(texts), TOLD_TOPICS):
                if client in self._topics:
                    self._tell(client, texts[first : first + TOLD_TOPICS])
                yield None

    def _release(self, client: Client, topics: Iterable[Topic]) -> None:
        now = time.monotonic()
        concerned = self._concerned[client]
        for topic in topics:
            for upstream, text in self._route(topic):
                concerned[upstream] -= 1
                if not concerned[upstream]:
                    del concerned[upstream]
                self._index.discard((upstream, text), client)
                self._demands[upstream].release(text, now)
        self._changed()

    def _changed(self) -> None:
        for connection in self._connections.values():
            connection.poke()

    def _tell(self, client: Client, topics: Iterable[str]) -> None:
        statuses = []
        for text in topics:
            reasons = (connection.refusal(text) for connection in self._connections.values())
            reason = next((reason for reason in reasons if reason is not None), None)
            if reason is not None:
                # Some upstreams name the topic, as we do.
                statuses.append((REFUSED_STATUS, f"{reason.removesuffix(f': {text}')}: {text}"))
        if statuses:
            for message in status_messages(statuses):
                client.send_status(message)
