"""What the clients of a role want, turned into what is asked of its upstreams; refusals find their way back."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Final

from fproxy.core.control import status_messages
from fproxy.core.demand import Demand
from fproxy.core.topics import Topic, Upstream
from fproxy.shell.client import Client
from fproxy.shell.upstream import UpstreamConnection

Route = Callable[[Topic], Iterable[tuple[Upstream, str]]]
"""Gives the upstream topics, each with the upstream to ask, that together bring every event of a topic."""

REFUSED_STATUS: Final = "error"


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
        self._topics: dict[Client, set[Topic]] = {}
        # Upstream topics whose refusal the clients are still to be told.
        self._refused: set[tuple[Upstream, str]] = set()

    def add_client(self, client: Client) -> None:
        """Begin to count for a client."""
        self._topics[client] = set()

    def topics(self, client: Client) -> Set[Topic]:
        """Return what a client is subscribed to, as a live view."""
        return self._topics[client]

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Ask the upstreams for the topics that are new; topics that they have refused before are refused again."""
        own = self._topics[client]
        refused: list[str] = []
        for topic in topics:
            if topic in own:
                continue
            own.add(topic)
            for upstream, text in self._route(topic):
                self._demands[upstream].acquire(text)
                if self._connections[upstream].refusal(text) is not None:
                    refused.append(text)
        self._changed()
        if refused:
            client.after_reply(partial(self._tell, client, refused))

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Give up the topics among these that the client has."""
        own = self._topics[client]
        gone = own.intersection(topics)
        own -= gone
        self._release(gone)

    def remove_client(self, client: Client) -> None:
        """Give up all that a client had."""
        self._release(self._topics.pop(client))

    def refused(self, upstream: Upstream, topics: Sequence[str]) -> None:
        """Tell every client whose subscriptions an upstream has refused, in the next turn of the loop.

        All refusals of this turn go together: looking for who asked takes a look at every client's topics.

        Args:
            upstream: the upstream.
            topics: the upstream topics that it refused.
        """
        if topics and not self._refused:
            asyncio.get_running_loop().call_soon(self._tell_all)
        self._refused.update((upstream, text) for text in topics)

    def _tell_all(self) -> None:
        refused, self._refused = self._refused, set()
        for client, own in tuple(self._topics.items()):
            asked = dict.fromkeys(
                text for topic in own for at, text in self._route(topic) if (at, text) in refused
            )
            if asked:
                self._tell(client, asked)

    def _release(self, topics: Iterable[Topic]) -> None:
        now = time.monotonic()
        for topic in topics:
            for upstream, text in self._route(topic):
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
