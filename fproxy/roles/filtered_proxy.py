"""The filtered proxy: two upstreams in, one stream out to each client, with just what it subscribed to."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final

from fproxy._fastpath import Fanout, FrameError
from fproxy.core.client_keys import ClientKeys
from fproxy.core.control import status_message
from fproxy.core.demand import Demand
from fproxy.core.topics import AGGREGATOR_TYPES, BARS, VENDOR_EVENT_TYPES, Topic, Upstream, upstream_topics
from fproxy.metrics import Metrics
from fproxy.roles.settings import FilteredProxySettings
from fproxy.shell.client import Client
from fproxy.shell.log_throttle import LogThrottle
from fproxy.shell.server import ClientServer
from fproxy.shell.upstream import UpstreamConnection

logger: Final = logging.getLogger("fproxy.proxy")

MARKET: Final = "stocks"

UPSTREAM_NAMES: Final = {Upstream.FIREHOSE: "firehose", Upstream.AGGREGATOR: "ms-aggregator"}
"""What logs and metrics call the upstreams."""

SETTLE_INTERVAL: Final = 1.0
"""How long subscriptions must rest before clients with equal ones are served as one audience, in seconds."""


class FilteredProxy:
    """The role that clients connect to. It serves them whether or not its upstreams are there."""

    def __init__(self, settings: FilteredProxySettings, metrics: Metrics) -> None:
        """Prepare the role; nothing happens before :meth:`start`.

        Args:
            settings: what it is told.
            metrics: where to count.

        Raises:
            fproxy.core.urls.UrlError: a URL is not one of an upstream.
        """
        self._metrics = metrics
        self._fanout = Fanout()
        metrics.watch_fanout(self._fanout)
        for event_type in VENDOR_EVENT_TYPES - AGGREGATOR_TYPES:
            self._fanout.set_sources(event_type, [Upstream.FIREHOSE])
        for event_type in [*AGGREGATOR_TYPES, BARS]:
            self._fanout.set_sources(event_type, [Upstream.AGGREGATOR])
        self._coalesce = settings.coalesce_ms / 1000
        self._flush_timer: asyncio.TimerHandle | None = None
        self._settle_timer: asyncio.TimerHandle | None = None
        self._subscribers: dict[Client, _Subscriber] = {}
        self._server = ClientServer(
            self,
            keys=ClientKeys(settings.server.client_keys),
            metrics=metrics,
            host=settings.server.host,
            port=settings.server.port,
            limits=settings.server.limits,
            max_clients=settings.server.max_clients,
        )
        urls = {Upstream.FIREHOSE: settings.firehose_url, Upstream.AGGREGATOR: settings.aggregator_url}
        self._demands = {upstream: Demand(linger=settings.unsubscribe_linger) for upstream in Upstream}
        self._upstreams = {
            upstream: UpstreamConnection(
                name=name,
                market=MARKET,
                url=urls[upstream],
                api_key=settings.polygon_api_key,
                demand=self._demands[upstream],
                listener=_UpstreamFeed(self, upstream),
                metrics=metrics,
                options=settings.upstream,
            )
            for upstream, name in UPSTREAM_NAMES.items()
        }

    @property
    def port(self) -> int:
        """The port that clients connect to, once the role has started."""
        return self._server.port

    async def start(self) -> None:
        """Listen for clients, and begin to connect upstream.

        Raises:
            fproxy.shell.server.ServerStartError: it cannot listen.
        """
        await self._server.start()
        for upstream in self._upstreams.values():
            upstream.start()

    async def stop(self) -> None:
        """Write what is pending, close clients with 1001 and the upstreams, and stop."""
        self._fanout.flush()
        await asyncio.gather(self._server.stop(), *(upstream.stop() for upstream in self._upstreams.values()))
        for timer in (self._flush_timer, self._settle_timer):
            if timer is not None:
                timer.cancel()
        self._flush_timer = self._settle_timer = None

    # What the server calls.

    def client_joined(self, client: Client) -> None:
        """Take in a client that has authenticated."""
        self._subscribers[client] = _Subscriber(self._fanout.add_client(client))

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Give a client topics, and ask the upstreams for those that nobody had."""
        subscriber = self._subscribers[client]
        self._fanout.subscribe(subscriber.number, topics)
        asked: list[str] = []
        for topic in topics:
            if topic in subscriber.topics:
                continue
            subscriber.topics.add(topic)
            for upstream, text in upstream_topics(topic):
                self._demands[upstream].acquire(text)
                if self._upstreams[upstream].refusal(text) is not None:
                    asked.append(text)
        self._demand_changed()
        if asked:
            # Behind the acknowledgement, which is sent when this returns.
            asyncio.get_running_loop().call_soon(self._tell_refusals, client, asked)

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Take topics from a client."""
        subscriber = self._subscribers[client]
        self._fanout.unsubscribe(subscriber.number, topics)
        gone = subscriber.topics.intersection(topics)
        subscriber.topics -= gone
        self._release(gone)

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        subscriber = self._subscribers.pop(client)
        self._fanout.remove_client(subscriber.number)
        self._release(subscriber.topics)

    def _release(self, topics: set[Topic]) -> None:
        now = time.monotonic()
        for topic in topics:
            for upstream, text in upstream_topics(topic):
                self._demands[upstream].release(text, now)
        self._demand_changed()

    def _demand_changed(self) -> None:
        for upstream in self._upstreams.values():
            upstream.poke()
        if self._settle_timer is None:
            self._settle_timer = asyncio.get_running_loop().call_later(SETTLE_INTERVAL, self._settle)

    def _settle(self) -> None:
        self._settle_timer = None
        if self._fanout.settle():
            self._settle_timer = asyncio.get_running_loop().call_later(SETTLE_INTERVAL, self._settle)

    # What the upstreams call, through _UpstreamFeed.

    def feed(self, upstream: Upstream, payload: memoryview | bytes) -> list[bytes] | None:
        """Take one upstream message in; see ``UpstreamListener.frame``.

        Raises:
            FrameError: it is not sound, and nothing of it was forwarded.
        """
        return self._fanout.feed(upstream, payload)

    def drained(self) -> None:
        """Write what a burst brought, at once or when the coalescing window ends."""
        if not self._coalesce:
            self._fanout.flush()
        elif self._flush_timer is None and self._fanout.has_pending:
            self._flush_timer = asyncio.get_running_loop().call_later(self._coalesce, self._flush_window)

    def _flush_window(self) -> None:
        self._flush_timer = None
        self._fanout.flush()

    def refused(self, upstream: Upstream, topics: Sequence[str]) -> None:
        """Tell every client whose subscriptions an upstream refused."""
        refused = frozenset(topics)
        for client, subscriber in tuple(self._subscribers.items()):
            asked = {
                text: None
                for topic in subscriber.topics
                for owner, text in upstream_topics(topic)
                if owner is upstream and text in refused
            }
            if asked:
                self._tell_refusals(client, list(asked))

    def _tell_refusals(self, client: Client, topics: Sequence[str]) -> None:
        for text in topics:
            reasons = (upstream.refusal(text) for upstream in self._upstreams.values())
            reason = next((reason for reason in reasons if reason is not None), None)
            if reason is not None:
                client.send_status(status_message(("error", f"{reason}: {text}")))


class _Subscriber:
    """A client's number in the fan-out, and its topics."""

    __slots__ = ("number", "topics")

    def __init__(self, number: int) -> None:
        self.number = number
        self.topics: set[Topic] = set()


class _UpstreamFeed:
    """What one upstream connection tells the role."""

    __slots__ = ("_log", "_name", "_proxy", "_refused_frames", "_upstream")

    def __init__(self, proxy: FilteredProxy, upstream: Upstream) -> None:
        self._proxy = proxy
        self._upstream = upstream
        self._name = UPSTREAM_NAMES[upstream]
        self._refused_frames = proxy._metrics.refused_frames.labels(self._name)
        self._log = LogThrottle(logger, logging.WARNING, 10.0)

    def frame(self, payload: memoryview | bytes) -> list[bytes] | None:
        try:
            return self._proxy.feed(self._upstream, payload)
        except FrameError as error:
            self._refused_frames.inc()
            self._log.log("A message of %s was refused: %s", self._name, error)
            return None

    def drained(self) -> None:
        self._proxy.drained()

    def connected(self) -> None:
        pass

    def disconnected(self) -> None:
        pass

    def refused(self, topics: Sequence[str], message: str) -> None:
        self._proxy.refused(self._upstream, topics)
