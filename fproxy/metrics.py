"""The counters that tell an operator what the proxy refused, lost or did, in Prometheus' own objects."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fproxy.core.stream import Stream, StreamState

NAMESPACE: Final = "fproxy"


class FanoutCounts(Protocol):
    """What a fan-out counts by itself, without Python objects on its hot path."""

    @property
    def events_in(self) -> int: ...  # noqa: D102

    @property
    def events_collected(self) -> int: ...  # noqa: D102

    @property
    def exact_messages(self) -> int: ...  # noqa: D102

    @property
    def audiences(self) -> int: ...  # noqa: D102

    @property
    def exact_topics(self) -> int: ...  # noqa: D102


class HistoryState(Protocol):
    """What a history tells of itself."""

    @property
    def bytes(self) -> int: ...  # noqa: D102


class Metrics:
    """The counters and gauges of one process.

    Every instance has a registry of its own, so that several roles, or several tests, can live in one process.

    Attributes:
        registry: the Prometheus registry that holds everything below.
        clients: clients connected and authenticated now.
        connections: client connections accepted.
        refused_origins: web pages of other hosts refused because any key would have let them in.
        auth_failures: clients refused, by ``reason`` (``bad_key`` or ``timeout``).
        control_errors: control messages, or topics in them, answered with an error.
        slow_consumers: clients disconnected because they read too slowly.
        upstream_up: 1 while an ``upstream`` is connected and authenticated, else 0.
        upstream_connects: connections made to an ``upstream``.
        upstream_failures: failed attempts to connect to an ``upstream``, and drops, by ``reason``.
        frames: messages received from an ``upstream``.
        refused_frames: messages of an ``upstream`` that were not sound JSON, and were not forwarded.
        refused_topics: topics that an ``upstream`` refused to serve.
        replayed_events: kept events that were sent to clients which asked for what has passed.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.clients = self._gauge("clients", "Clients connected and authenticated now.")
        self.connections = self._counter("connections", "Client connections accepted.")
        self.refused_origins = self._counter("refused_origins", "Web pages of other hosts refused.")
        self.auth_failures = self._counter("auth_failures", "Clients refused at authentication.", "reason")
        self.control_errors = self._counter("control_errors", "Errors in clients' control messages.")
        self.slow_consumers = self._counter("slow_consumers", "Clients disconnected as slow consumers.")
        self.upstream_up = self._gauge(
            "upstream_up", "Whether an upstream is connected (1) or not (0).", "upstream"
        )
        self.upstream_connects = self._counter("upstream_connects", "Connections made upstream.", "upstream")
        self.upstream_failures = self._counter(
            "upstream_failures", "Failed or dropped upstream connections.", "upstream", "reason"
        )
        self.frames = self._counter("frames", "Messages received from an upstream.", "upstream")
        self.refused_frames = self._counter(
            "refused_frames", "Upstream messages that were not sound JSON.", "upstream"
        )
        self.replayed_events = self._counter("replayed_events", "Kept events sent to clients once more.")
        self.refused_topics = self._counter("refused_topics", "Topics refused by an upstream.", "upstream")

    def watch_fanout(self, fanout: FanoutCounts) -> None:
        """Read a fan-out's counts whenever the metrics are read."""
        self.registry.register(_FanoutCollector(fanout))

    def watch_history(self, history: HistoryState) -> None:
        """Read how much a history holds whenever the metrics are read."""
        gauge = self._gauge("history_bytes", "Memory that the history takes.")
        gauge.set_function(lambda: history.bytes)

    def watch_streams(self, streams: Iterable[Stream]) -> None:
        """Read the state of streams whenever the metrics are read."""
        self.registry.register(_StreamCollector(tuple(streams)))

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, namespace=NAMESPACE, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, namespace=NAMESPACE, registry=self.registry)


class _StreamCollector(Collector):
    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams

    def collect(self) -> Iterator[Metric]:
        labels = ("upstream", "market")
        state = GaugeMetricFamily(
            f"{NAMESPACE}_stream_state",
            "What a stream is worth: 1 for the state that it is in, else 0.",
            labels=(*labels, "state"),
        )
        interruptions = CounterMetricFamily(
            f"{NAMESPACE}_stream_interruptions",
            "Times that a stream was interrupted after it had been up.",
            labels=labels,
        )
        silence = GaugeMetricFamily(
            f"{NAMESPACE}_stream_last_message_age_seconds",
            "Time since the last message of a stream; none before the first.",
            labels=labels,
        )
        for stream in self._streams:
            values = (stream.name, stream.market)
            for each in StreamState:
                state.add_metric((*values, each.value), float(stream.state is each))
            interruptions.add_metric(values, stream.interruptions)
            if stream.last_message is not None:
                silence.add_metric(values, max(0.0, time.time() - stream.last_message / 1000))
        yield from (state, interruptions, silence)


class _FanoutCollector(Collector):
    def __init__(self, fanout: FanoutCounts) -> None:
        self._fanout = fanout

    def collect(self) -> Iterator[Metric]:
        fanout = self._fanout
        for name, documentation, count in (
            ("events", "Events taken in.", fanout.events_in),
            ("events_matched", "Events that at least one client took.", fanout.events_collected),
            ("exact_messages", "Upstream messages that needed the exact scanner.", fanout.exact_messages),
        ):
            yield CounterMetricFamily(f"{NAMESPACE}_{name}", documentation, count)
        for name, documentation, count in (
            ("audiences", "Distinct sets of subscriptions now.", fanout.audiences),
            ("topics", "Distinct topics with a symbol that clients have now.", fanout.exact_topics),
        ):
            yield GaugeMetricFamily(f"{NAMESPACE}_{name}", documentation, count)
