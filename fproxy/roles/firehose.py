"""The firehose: the vendor's one connection, shared; every client gets everything."""

import asyncio
from collections.abc import Mapping, Sequence, Set
from typing import Final

from fproxy._fastpath import Broadcast
from fproxy.core.client_keys import ClientKeys
from fproxy.core.control import status_message
from fproxy.core.demand import Demand
from fproxy.core.status_event import INTERRUPTED_STATUS
from fproxy.core.topics import WILDCARD_TOPICS, Topic, Upstream, bar_interval
from fproxy.metrics import Metrics
from fproxy.roles.settings import FirehoseSettings
from fproxy.roles.subscriptions import Subscriptions
from fproxy.roles.upstream_feed import UpstreamFeed
from fproxy.shell.client import Client
from fproxy.shell.server import ClientServer
from fproxy.shell.upstream import UpstreamConnection

MARKET: Final = "stocks"
UPSTREAM_NAME: Final = "vendor"
"""What logs and metrics call the vendor."""

VENDOR_LOST: Final = status_message(
    (INTERRUPTED_STATUS, "Lost the vendor; what it sends until it is back is missing.")
)
"""What clients are told when the vendor's connection is lost."""


def vendor_topics(topic: Topic) -> tuple[tuple[Upstream, str], ...]:
    """Return what a topic asks of the vendor: itself, except that the vendor has no topic for everything."""
    if topic.is_everything:
        return tuple((Upstream.FIREHOSE, text) for texts in WILDCARD_TOPICS.values() for text in texts)
    return ((Upstream.FIREHOSE, topic.text),)


class Firehose:
    """The role that keeps the one connection that the vendor allows an account.

    Every message of the vendor goes to every authenticated client as it came. What clients subscribe to is told back;
    it matters on demand only, when the vendor is asked for the union of it.
    """

    def __init__(self, settings: FirehoseSettings, metrics: Metrics) -> None:
        """Prepare the role; nothing happens before :meth:`start`.

        Args:
            settings: what it is told.
            metrics: where to count.

        Raises:
            fproxy.core.urls.UrlError: the vendor's URL is not one of an upstream.
        """
        self._broadcast = Broadcast()
        self._clients: set[Client] = set()
        self._server = ClientServer(
            self,
            keys=ClientKeys(settings.server.client_keys),
            metrics=metrics,
            host=settings.server.host,
            port=settings.server.port,
            limits=settings.server.limits,
            max_clients=settings.server.max_clients,
        )
        demand = Demand(linger=settings.unsubscribe_linger)
        self._vendor = UpstreamConnection(
            name=UPSTREAM_NAME,
            market=MARKET,
            url=settings.vendor_url,
            api_key=settings.polygon_api_key,
            demand=demand,
            listener=UpstreamFeed(
                UPSTREAM_NAME,
                metrics,
                take=self._broadcast,
                drained=self._broadcast.flush,
                refused=self._refused,
                disconnected=self._vendor_lost,
            ),
            metrics=metrics,
            options=settings.upstream,
        )
        self._subscriptions: Subscriptions | None = None
        if settings.on_demand:
            self._subscriptions = Subscriptions(
                vendor_topics, {Upstream.FIREHOSE: demand}, {Upstream.FIREHOSE: self._vendor}
            )
        else:
            for event_type in settings.data_types:
                demand.acquire(f"{event_type}.*")

    @property
    def port(self) -> int:
        """The port that clients connect to, once the role has started."""
        return self._server.port

    async def start(self) -> None:
        """Listen for clients, and begin to connect to the vendor.

        Raises:
            fproxy.shell.server.ServerStartError: it cannot listen.
        """
        await self._server.start()
        self._vendor.start()

    async def stop(self) -> None:
        """Write what is pending, close clients with 1001 and the vendor's connection, and stop."""
        self._broadcast.flush()
        await asyncio.gather(self._server.stop(), self._vendor.stop())

    # What the server calls.

    def client_joined(self, client: Client) -> None:
        """Send a client everything from now on."""
        self._broadcast.add_client(client.sink)
        self._clients.add(client)
        if self._subscriptions is not None:
            self._subscriptions.add_client(client)

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> Mapping[Topic, str]:
        """Ask the vendor for topics, on demand. Return the topics that no vendor has, each with the reason."""
        unserved = {
            topic: "not served by a firehose"
            for topic in topics
            if bar_interval(topic.event_type) is not None
        }
        if self._subscriptions is not None:
            self._subscriptions.subscribe(client, [topic for topic in topics if topic not in unserved])
        return unserved

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Give topics up, on demand."""
        if self._subscriptions is not None:
            self._subscriptions.unsubscribe(client, topics)

    def topics(self, client: Client) -> Set[Topic] | None:
        """Return what a client is subscribed to, on demand; else that is not kept."""
        return None if self._subscriptions is None else self._subscriptions.topics(client)

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        self._broadcast.remove_client(client.sink)
        self._clients.discard(client)
        if self._subscriptions is not None:
            self._subscriptions.remove_client(client)

    def _vendor_lost(self) -> None:
        # Clients cannot see it themselves, and some must know: a bar, say, is not whole when trades may be missing.
        self._broadcast.flush()
        for client in tuple(self._clients):
            client.send_status(VENDOR_LOST)

    def _refused(self, topics: Sequence[str], message: str) -> None:
        if self._subscriptions is not None:
            self._subscriptions.refused(Upstream.FIREHOSE, topics)
