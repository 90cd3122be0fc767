"""A connection to an upstream that is made again whenever it is lost.

What the session says and means is decided in ``fproxy.core.upstream_session``, what to subscribe to in
``fproxy.core.demand``, and how long to wait after a failure in ``fproxy.core.backoff``. The connection as
it lives is in ``fproxy.shell.upstream_link``; here is the loop around it, with what an operator sees of it.
"""

import asyncio
import logging
import ssl
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from picows import WSProtocolError

from fproxy.core.backoff import Backoff
from fproxy.core.demand import Demand
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.market import logged_name
from fproxy.core.topics import covering_topic
from fproxy.core.upstream_failure import UpstreamFailure
from fproxy.core.upstream_session import UpstreamSession
from fproxy.core.urls import check_upstream_url, redacted_url, url_secrets
from fproxy.metrics import MarketMetrics
from fproxy.shell.link_end import LinkEnd
from fproxy.shell.log_throttle import LogThrottle
from fproxy.shell.upstream_dial import dial, explain, is_peer
from fproxy.shell.upstream_link import UpstreamLink
from fproxy.shell.upstream_listener import UpstreamListener
from fproxy.shell.upstream_options import UpstreamOptions

__all__ = ["UpstreamConnection", "UpstreamListener", "UpstreamOptions"]

logger = logging.getLogger("fproxy.upstream")

COLLECT_INTERVAL: Final = 1.0
"""How often the plain counts of the hot path are added to the metrics, in seconds."""

DEFAULT_OPTIONS: Final = UpstreamOptions()


class UpstreamConnection:
    """The connection to one upstream, made again whenever it is lost, until it is stopped.

    Attributes:
        name: what log and metrics call the upstream, such as ``firehose``.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        api_key: str,
        demand: Demand,
        listener: UpstreamListener,
        metrics: MarketMetrics,
        options: UpstreamOptions = DEFAULT_OPTIONS,
        ssl_context: ssl.SSLContext | None = None,
        is_vendor: bool = False,
        followed: FollowedStream | None = None,
    ) -> None:
        """Prepare a connection; nothing happens before ``start``.

        Args:
            name: what log and metrics call the upstream.
            url: a ``ws://`` or ``wss://`` URL.
            api_key: the key to authenticate with; empty when there is none. It is never logged.
            demand: what to subscribe to. Its times are those of ``time.monotonic``. It serves this
                connection only.
            listener: takes what comes.
            metrics: where to count; its market is what the log calls the market.
            options: times and limits.
            ssl_context: for ``wss://``, how to verify the server; None for what ``options`` say.
            is_vendor: whether the upstream is the vendor, and no proxy as the log calls every other.
            followed: where its owner stands in the stream of a role of ours, which is asked for what was missed; None
                to ask for nothing.

        Raises:
            fproxy.core.urls.UrlError: the URL is not one of an upstream.
            ValueError: a delay among the options is negative.
        """
        self.name = name
        self._market = metrics.market
        self._shown_name = logged_name(name, metrics.market)
        self._logged_as = name if is_vendor else f"{name} proxy"
        self._url = check_upstream_url(url)
        self._shown_url = redacted_url(url)
        self._api_key = api_key
        # A simulated market is a role of ours, too, but plays the vendor, who has never heard of that key.
        self._peer_key = "" if is_vendor else options.internal_key
        self._secrets = url_secrets(url) | {api_key, options.internal_key}
        self._demand = demand
        self._listener = listener
        self._options = options
        self._followed = followed
        self._ssl_context = ssl_context
        self._backoff = Backoff(
            initial=options.reconnect_min,
            peer_initial=options.peer_reconnect_min,
            maximum=options.reconnect_max,
            refused=options.refused_delay,
            stable_after=options.stable_after,
        )
        # Whether the upstream is a role of ours, which may be asked again at once: its last handshake said so.
        self._is_peer = False
        self._notices = LogThrottle(logger, logging.WARNING, 1.0)
        self._errors = LogThrottle(logger, logging.ERROR, 60.0)
        self._task: asyncio.Task[None] | None = None
        self._collect_timer: asyncio.TimerHandle | None = None
        self._link: UpstreamLink | None = None
        self._holding = False
        self._was_ready = False  # whether the present connection has been ready
        self._earlier_messages = self._earlier_bytes = 0
        self._collected_messages = self._collected_bytes = 0
        # A metric with labels appears when it is first used; an operator wants to see these from the start.
        self._up_gauge = metrics.upstream_up.labels(name)
        self._up_gauge.set(0)
        self._connect_counter = metrics.upstream_connects.labels(name)
        self._message_counter = metrics.frames.labels(name)
        self._byte_counter = metrics.received_bytes.labels(name)
        self._refused_counter = metrics.refused_topics.labels(name)
        self._failure_counter = metrics.upstream_failures
        metrics.observed.upstreams[metrics.market, name] = self

    @property
    def ready(self) -> bool:
        """Whether the upstream is connected and takes subscriptions."""
        return self._link is not None and self._link.ready

    @property
    def messages(self) -> int:
        """How many messages have come, over all connections."""
        return self._earlier_messages + (self._link.messages if self._link is not None else 0)

    @property
    def bytes_read(self) -> int:
        """How many bytes they had."""
        return self._earlier_bytes + (self._link.bytes_read if self._link is not None else 0)

    def start(self) -> None:
        """Begin to connect, and return at once.

        Raises:
            RuntimeError: it was started before, or no event loop runs.
        """
        if self._task is not None:
            raise RuntimeError(f"the connection to {self.name} was started before")
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"upstream {self.name}")
        self._collect_regularly()

    async def stop(self) -> None:
        """Close the connection in order, and stop for good. The listener hears nothing after this returns."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._collect_timer is not None:
            self._collect_timer.cancel()
        self.collect()

    def poke(self) -> None:
        """The demand has changed: say so upstream soon, in one go with what else changes in this turn of
        the loop.

        While the upstream is not connected this does nothing: once it is, all that is wanted is asked for.
        """
        if self._link is not None:
            self._link.poke()

    def hold(self, holding: bool) -> None:
        """Read nothing from the upstream for now, or read again; this holds for later connections as well."""
        self._holding = holding
        if self._link is not None:
            self._link.hold(holding)

    def is_confirmed(self, topic: str) -> bool:
        """Return whether the upstream has acknowledged a topic, or the wildcard that covers it, on this connection."""
        link = self._link
        return link is not None and (link.is_confirmed(topic) or link.is_confirmed(covering_topic(topic)))

    def refusal(self, topic: str) -> str | None:
        """Return what the upstream said when it refused ``topic``, or None when it did not.

        A refused topic is not asked for again as long as the connection lasts and somebody wants it, so a
        listener hears of each refusal once; this tells those who come later.
        """
        return self._demand.refusal(topic)

    def collect(self) -> None:
        """Add what was counted since the last time to the metrics; this also happens every second."""
        messages = self.messages
        if messages != self._collected_messages:
            self._listener.messages_came()
            self._message_counter.inc(messages - self._collected_messages)
            self._collected_messages = messages
            size = self.bytes_read
            self._byte_counter.inc(size - self._collected_bytes)
            self._collected_bytes = size

    async def _run(self) -> None:
        while True:
            logger.info("Connecting to %s at %s", self._shown_name, self._shown_url)
            self._was_ready = False
            end = await self._connect_once()
            self._failure_counter.labels(self.name, end.failure.value).inc()
            if not self._was_ready:
                self._listener.unreachable(end.text)
            delay = self._backoff.failed(
                time.monotonic(), refused=end.failure.turned_away, is_peer=self._is_peer
            )
            logger.warning(
                "%s %s at %s: %s; next try in %.1f s",
                "Lost connection to" if self._was_ready else "Failed to connect to",
                self._shown_name,
                self._shown_url,
                end.text,
                delay,
            )
            await asyncio.sleep(delay)

    async def _connect_once(self) -> LinkEnd:
        """Connect, stay until the connection ends, and return why it did."""
        options = self._options
        link = self._link = UpstreamLink(
            name=self._shown_name,
            session=UpstreamSession(
                self._api_key, self._secrets, peer_key=self._peer_key, followed=self._followed
            ),
            demand=self._demand,
            listener=self._listener,
            options=options,
            secrets=self._secrets,
            on_ready=self._became_ready,
            on_refused=self._refused_counter.inc,
            notices=self._notices,
            errors=self._errors,
        )
        link.hold(self._holding)
        try:
            context = self._ssl_context
            if self._url.startswith("wss:") and context is None:
                context = options.tls.context()
                if not options.tls.names_files:  # else each time: certificates are renewed
                    self._ssl_context = context
            transport = await dial(
                self._url,
                link,
                ssl_context=context,
                time_limit=options.connect_timeout,
                max_frame_size=options.max_message_size,
                silence=options.silence,
            )
            self._connect_counter.inc()
            self._is_peer = is_peer(transport)
            try:
                # What picows itself finds wrong it raises here as well; the link knows of it.
                with suppress(WSProtocolError):
                    await transport.wait_disconnected()
            except asyncio.CancelledError:
                await link.say_goodbye(transport)
                raise
            return link.end(transport)
        except Exception as error:
            failure, text = explain(
                error,
                host=urlsplit(self._url).hostname or "",
                time_limit=options.connect_timeout,
                secrets=self._secrets,
            )
            if failure is UpstreamFailure.INTERNAL:
                logger.exception("Unexpected error in the connection to %s", self._shown_name)
            return LinkEnd(failure, text)
        finally:
            link.lost("stopped")
            self._up_gauge.set(0)
            self._earlier_messages += link.messages
            self._earlier_bytes += link.bytes_read
            self._link = None

    def _became_ready(self) -> None:
        self._was_ready = True
        self._backoff.connected(time.monotonic())
        self._up_gauge.set(1)
        logger.info("%s connected to %s", self._market, self._logged_as)

    def _collect_regularly(self) -> None:
        self.collect()
        self._collect_timer = asyncio.get_running_loop().call_later(COLLECT_INTERVAL, self._collect_regularly)
