"""The filtered proxy: two upstreams in, one stream out to each client, with just what it subscribed to."""

import asyncio
from collections.abc import Sequence, Set
from functools import partial
from typing import Final

from fproxy._fastpath import Fanout
from fproxy.core.client_keys import ClientKeys
from fproxy.core.demand import Demand
from fproxy.core.stream import Stream
from fproxy.core.topics import AGGREGATOR_TYPES, BARS, VENDOR_EVENT_TYPES, Topic, Upstream, upstream_topics
from fproxy.metrics import Metrics
from fproxy.roles.settings import FilteredProxySettings
from fproxy.roles.stream_notices import StreamNotices
from fproxy.roles.subscriptions import Subscriptions
from fproxy.roles.upstream_feed import UpstreamFeed, unix_ms
from fproxy.shell.client import Client
from fproxy.shell.server import ClientServer
from fproxy.shell.upstream import UpstreamConnection

MARKET: Final = "stocks"

UPSTREAM_NAMES: Final = {Upstream.FIREHOSE: "firehose", Upstream.AGGREGATOR: "ms-aggregator"}
"""What logs and metrics call the upstreams."""

SETTLE_INTERVAL: Final = 1.0
"""How long subscriptions must rest before clients with equal ones are served as one audience, in seconds."""


class FilteredProxy:
    """The role that clients connect to. It serves them whether or not its upstreams are there.

    Attributes:
        streams: what it gets from each upstream, with its state.
    """

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
        self._server = ClientServer(
            self,
            keys=ClientKeys(settings.server.client_keys),
            metrics=metrics,
            host=settings.server.host,
            port=settings.server.port,
            limits=settings.server.limits,
            max_clients=settings.server.max_clients,
            reuse_port=settings.server.reuse_port,
        )
        self.streams = {
            upstream: Stream(name, market=MARKET, now=unix_ms()) for upstream, name in UPSTREAM_NAMES.items()
        }
        metrics.watch_streams(self.streams.values())
        self._notices = StreamNotices(self._fanout, self.streams, enabled=settings.gap_notices)
        urls = {Upstream.FIREHOSE: settings.firehose_url, Upstream.AGGREGATOR: settings.aggregator_url}
        demands = {upstream: Demand(linger=settings.unsubscribe_linger) for upstream in Upstream}
        self._upstreams = {
            upstream: UpstreamConnection(
                name=name,
                market=MARKET,
                url=urls[upstream],
                api_key=settings.polygon_api_key,
                demand=demands[upstream],
                listener=UpstreamFeed(
                    self.streams[upstream],
                    metrics,
                    take=self._fanout.input(upstream),
                    drained=self._drained if self._coalesce else self._fanout.flush,
                    refused=partial(self._refused, upstream),
                    last_event=partial(self._fanout.last_event, upstream),
                    tell=partial(self._notices.tell, upstream),
                ),
                metrics=metrics,
                options=settings.upstream,
            )
            for upstream, name in UPSTREAM_NAMES.items()
        }
        self._subscriptions = Subscriptions(upstream_topics, demands, self._upstreams)

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
        client.context = self._fanout.add_client(client.sink)
        self._subscriptions.add_client(client)

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Give a client topics, and ask the upstreams for those that nobody had."""
        concerns = self._subscriptions.subscribe(client, topics)
        self._fanout.subscribe(client.context, [*topics, *self._notices.topics(concerns.fresh)])
        self._notices.tell_late(client, concerns.serving)
        self._settle_later()

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Take topics from a client."""
        left = self._subscriptions.unsubscribe(client, topics)
        self._fanout.unsubscribe(client.context, [*topics, *self._notices.topics(left)])
        self._settle_later()

    def topics(self, client: Client) -> Set[Topic]:
        """Return what a client is subscribed to."""
        return self._subscriptions.topics(client)

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        self._fanout.remove_client(client.context)
        self._subscriptions.remove_client(client)

    def _settle_later(self) -> None:
        if self._settle_timer is None:
            self._settle_timer = asyncio.get_running_loop().call_later(SETTLE_INTERVAL, self._settle)

    def _settle(self) -> None:
        self._settle_timer = None
        if self._fanout.settle():
            self._settle_later()

    # What the upstreams call.

    def _drained(self) -> None:
        # Write what a burst brought when the coalescing window ends.
        if self._flush_timer is None and self._fanout.has_pending:
            self._flush_timer = asyncio.get_running_loop().call_later(self._coalesce, self._flush_window)

    def _refused(self, upstream: Upstream, topics: Sequence[str], message: str) -> None:
        self._subscriptions.refused(upstream, topics)

    def _flush_window(self) -> None:
        self._flush_timer = None
        self._fanout.flush()
