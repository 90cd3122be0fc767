"""The counters that tell an operator what the proxy refused, lost or did, in Prometheus' own objects."""

from typing import Any, Final, Generic, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from fproxy._fastpath import buffer_bytes
from fproxy.collected_metrics import (
    NAMESPACE,
    BacklogCollector,
    BacklogState,
    DeliveryCollector,
    FanoutCollector,
    FanoutCounts,
    MarketCollector,
    SnapshotCollector,
    SnapshotState,
    StreamCollector,
    T,
)
from fproxy.core.stream import Stream
from fproxy.observed import Observed, ObservedDistributor, ObservedHistory
from fproxy.process_state import ProcessCollector

LAG_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Where the buckets of the loop's lag end, in seconds."""

M = TypeVar("M", bound=MetricWrapperBase)

SLOW_CONSUMER_REASONS: Final = ("bytes", "lag", "memory", "replay")
"""Why clients are disconnected as slow consumers: too much waits, for too long, more than the server can keep, or the
history has passed by what they were being brought."""


class Metrics:
    """The counters and gauges of one process.

    Every instance has a registry of its own, so that several roles, or several tests, can live in one process. What is
    not the same for all markets is counted by market: see :meth:`of`.

    Attributes:
        registry: the Prometheus registry that holds everything.
        connections: client connections accepted.
        dropped_log_lines: lines of the log dropped because whoever reads it did not keep up.
        refused_origins: web pages of other hosts refused because any key would have let them in.
        auth_failures: clients refused, by ``reason`` (``bad_key``, ``timeout``, ``expired``, ``market``, ``shut_out``).
        key_clients: clients connected and authenticated now with a ``key`` that has a name.
        held_inputs: times that a client was not read for a while, as it had sent too many messages.
        tls_failures: connections of clients whose TLS handshake failed.
        revoked_clients: clients disconnected as their key is not good any more, by ``reason``.
        refused_connections: connections turned away, by ``reason``: which limit was reached; ``handshake`` for those
            that did not finish it in time, ``protocol`` for those that sent what is no WebSocket, or too much.
        label_names: the labels of counters and gauges, by their names, also of those that have no values yet.
        loop_lag: how late the event loop is, in seconds.
        observed: what else the process can be asked about.
        by_market: the metrics with a label ``market``, by their names; they are written to through :meth:`of`.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.label_names: dict[str, tuple[str, ...]] = {}
        self.connections = self._counter("connections", "Client connections accepted.")
        self.dropped_log_lines = self._counter(
            "dropped_log_lines", "Lines of the log dropped because whoever reads it did not keep up."
        )
        self.refused_origins = self._counter("refused_origins", "Web pages of other hosts refused.")
        self.auth_failures = self._counter(
            "auth_failures",
            "Clients refused at authentication: bad_key, timeout, expired, market or shut_out.",
            "reason",
        )
        self.loop_lag = Histogram(
            "loop_lag_seconds",
            "How late the event loop is, asked ten times a second.",
            namespace=NAMESPACE,
            registry=self.registry,
            buckets=LAG_BUCKETS,
        )
        self.registry.register(ProcessCollector())
        self.observed = Observed()
        self.key_clients = self._gauge("key_clients", "Clients of a named key now.", "key")
        self.held_inputs = self._counter(
            "held_inputs",
            "Times that a client was read no more for a while, as it had sent too many messages.",
        )
        self.tls_failures = self._counter(
            "tls_failures", "Connections of clients whose TLS handshake failed."
        )
        self.revoked_clients = self._counter(
            "revoked_clients",
            "Clients disconnected for a change of keys: revoked, expired or market.",
            "reason",
        )
        self.refused_connections = self._counter(
            "refused_connections",
            "Connections turned away at a limit, or for what they sent: clients, unauthenticated, address, key, "
            "auth_failures, files, handshake or protocol.",
            "reason",
        )
        self.by_market: dict[str, Counter | Gauge] = {
            "clients": self._gauge("clients", "Clients connected and authenticated now.", "market"),
            "history_bytes": self._gauge("history_bytes", "Memory that the history takes.", "market"),
            "upstream_up": self._gauge(
                "upstream_up", "Whether an upstream is connected (1) or not (0).", "upstream", "market"
            ),
        }
        for name, documentation, *labels in (
            ("control_errors", "Errors in clients' control messages."),
            (
                "slow_consumers",
                "Clients disconnected as slow consumers: bytes, lag, memory or replay.",
                "reason",
            ),
            ("upstream_connects", "Connections made upstream.", "upstream"),
            ("upstream_failures", "Failed or dropped upstream connections.", "upstream", "reason"),
            ("frames", "Messages received from an upstream.", "upstream"),
            ("received_bytes", "Bytes of messages received from an upstream.", "upstream"),
            ("refused_frames", "Upstream messages that were not sound JSON.", "upstream"),
            ("replayed_events", "Kept events sent to clients once more."),
            ("recovered_messages", "Kept messages gone through for roles of ours that began or came back."),
            ("snapshot_events", "Last events of topics sent to clients that subscribed to them."),
            ("refused_topics", "Topics refused by an upstream.", "upstream"),
        ):
            self.by_market[name] = self._counter(name, documentation, *labels, "market")
        self._markets: dict[str, MarketMetrics] = {}
        self._collectors: dict[type[MarketCollector[Any]], MarketCollector[Any]] = {}

    def of(self, market: str) -> "MarketMetrics":
        """Return the metrics of one market, by its name."""
        if market not in self._markets:
            self._markets[market] = MarketMetrics(self, market)
        return self._markets[market]

    def watch(self, collector: type[MarketCollector[T]], market: str, watched: T) -> None:
        """Have a collector read something of a market whenever the metrics are read."""
        if collector not in self._collectors:
            self._collectors[collector] = collector()
            self.registry.register(self._collectors[collector])
        self._collectors[collector].watched.append((market, watched))

    def watch_backlog(self, backlog: BacklogState) -> None:
        """Read what waits for a server's clients whenever the metrics are read."""
        for name, documentation, read in (
            ("backlog_bytes", "Memory that what waits for clients takes.", lambda: backlog.bytes),
            (
                "backlog_spare_bytes",
                "Memory that is kept ready for what will wait for clients.",
                lambda: backlog.spare_bytes,
            ),
            (
                "backlog_waiting_bytes",
                "Bytes that wait, added up over clients, which share them.",
                lambda: backlog.waiting_bytes,
            ),
            ("buffer_bytes", "Memory for what is about to be written to clients.", buffer_bytes),
            ("lagging_clients", "Clients for which something waits.", lambda: backlog.lagging),
            (
                "lag_seconds",
                "How long the oldest of what waits for clients has waited, in seconds.",
                lambda: backlog.lag,
            ),
        ):
            self._gauge(name, documentation).set_function(read)
        self.registry.register(BacklogCollector(backlog))

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        self.label_names[f"{NAMESPACE}_{name}"] = labels
        return Counter(name, documentation, labels, namespace=NAMESPACE, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        self.label_names[f"{NAMESPACE}_{name}"] = labels
        return Gauge(name, documentation, labels, namespace=NAMESPACE, registry=self.registry)


class LabelledMetric(Generic[M]):
    """A metric of one market with a value for each upstream, or for other labels."""

    def __init__(self, metric: M, market: str) -> None:
        self._metric = metric
        self._market = market

    def labels(self, *values: str) -> M:
        """Return the metric for values of its other labels, in their order."""
        return self._metric.labels(*values, self._market)


class MarketMetrics:
    """The counters and gauges of one market.

    Attributes:
        market: the market's name.
        observed: what else the process can be asked about.
        clients: clients connected and authenticated now.
        control_errors: control messages, or topics in them, answered with an error.
        slow_consumers: clients disconnected because they read too slowly, by ``reason`` (``SLOW_CONSUMER_REASONS``).
        upstream_up: 1 while an ``upstream`` is connected and authenticated, else 0.
        upstream_connects: connections made to an ``upstream``.
        upstream_failures: failed attempts to connect to an ``upstream``, and drops, by ``reason``.
        frames: messages received from an ``upstream``.
        received_bytes: bytes of these messages.
        refused_frames: messages of an ``upstream`` that were not sound JSON, and were not forwarded.
        refused_topics: topics that an ``upstream`` refused to serve.
        replayed_events: kept events that were sent to clients which asked for what has passed.
        recovered_messages: kept messages that were gone through for roles of ours which began or came back.
        snapshot_events: last events of topics that were sent to clients which subscribed to them.
    """

    def __init__(self, metrics: Metrics, market: str) -> None:
        """Prepare the metrics of a market; :meth:`Metrics.of` keeps them."""
        self.market = market
        self._metrics = metrics
        self.observed = metrics.observed
        self.clients = self._gauge("clients").labels(market)
        self.control_errors = self._counter("control_errors").labels(market)
        self.slow_consumers = LabelledMetric(self._counter("slow_consumers"), market)
        for reason in SLOW_CONSUMER_REASONS:
            self.slow_consumers.labels(reason)
        self.replayed_events = self._counter("replayed_events").labels(market)
        self.recovered_messages = self._counter("recovered_messages").labels(market)
        self.snapshot_events = self._counter("snapshot_events").labels(market)
        self.upstream_up = LabelledMetric(self._gauge("upstream_up"), market)
        self.upstream_connects = LabelledMetric(self._counter("upstream_connects"), market)
        self.upstream_failures = LabelledMetric(self._counter("upstream_failures"), market)
        self.frames = LabelledMetric(self._counter("frames"), market)
        self.received_bytes = LabelledMetric(self._counter("received_bytes"), market)
        self.refused_frames = LabelledMetric(self._counter("refused_frames"), market)
        self.refused_topics = LabelledMetric(self._counter("refused_topics"), market)

    def watch(self, collector: type[MarketCollector[T]], watched: T) -> None:
        """Have a collector read something whenever the metrics are read."""
        self._metrics.watch(collector, self.market, watched)

    def watch_fanout(self, fanout: FanoutCounts) -> None:
        """Read a fan-out's counts whenever the metrics are read."""
        self.watch(FanoutCollector, fanout)
        self.watch_distributor(fanout)

    def watch_distributor(self, distributor: ObservedDistributor) -> None:
        """Read what a fan-out or a broadcast has delivered whenever the metrics are read."""
        self.watch(DeliveryCollector, distributor)
        self.observed.distributors.append(distributor)

    def watch_history(self, history: ObservedHistory) -> None:
        """Read how much a history holds whenever the metrics are read."""
        self._gauge("history_bytes").labels(self.market).set_function(lambda: history.bytes)
        self.observed.histories.append((self.market, history))

    def watch_snapshots(self, snapshots: SnapshotState) -> None:
        """Read how many last events are kept, and in how much memory, whenever the metrics are read."""
        self.watch(SnapshotCollector, snapshots)

    def watch_stream(self, stream: Stream) -> None:
        """Read the state of a stream whenever the metrics are read."""
        self.watch(StreamCollector, stream)
        self.observed.streams.append(stream)

    def _counter(self, name: str) -> Counter:
        return cast(Counter, self._metrics.by_market[name])

    def _gauge(self, name: str) -> Gauge:
        return cast(Gauge, self._metrics.by_market[name])
