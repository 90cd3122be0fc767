"""The counters that tell an operator what the proxy refused, lost or did, in Prometheus' own objects."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

NAMESPACE: Final = "fproxy"


class Metrics:
    """The counters and gauges of one process.

    Every instance has a registry of its own, so that several roles, or several tests, can live in one process.

    Attributes:
        registry: the Prometheus registry that holds everything below.
        clients: clients connected and authenticated now.
        connections: client connections accepted.
        auth_failures: clients refused, by ``reason`` (``bad_key`` or ``timeout``).
        control_errors: control messages, or topics in them, answered with an error.
        slow_consumers: clients disconnected because they read too slowly.
        upstream_up: 1 while an ``upstream`` is connected and authenticated, else 0.
        upstream_connects: connections made to an ``upstream``.
        upstream_failures: failed attempts to connect to an ``upstream``, and drops, by ``reason``.
        frames: messages received from an ``upstream``.
        refused_frames: messages of an ``upstream`` that were not sound JSON, and were not forwarded.
        refused_topics: topics that an ``upstream`` refused to serve.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.clients = self._gauge("clients", "Clients connected and authenticated now.")
        self.connections = self._counter("connections", "Client connections accepted.")
        self.auth_failures = self._counter("auth_failures", "Clients refused at authentication.", "reason")
        self.control_errors = self._counter("control_errors", "Errors in clients' control messages.")
        self.slow_consumers = self._counter("slow_consumers", "Clients disconnected as slow consumers.")
        self.upstream_up = self._gauge("upstream_up", "Whether an upstream is connected (1) or not (0).", "upstream")
        self.upstream_connects = self._counter("upstream_connects", "Connections made upstream.", "upstream")
        self.upstream_failures = self._counter(
            "upstream_failures", "Failed or dropped upstream connections.", "upstream", "reason"
        )
        self.frames = self._counter("frames", "Messages received from an upstream.", "upstream")
        self.refused_frames = self._counter("refused_frames", "Upstream messages that were not sound JSON.", "upstream")
        self.refused_topics = self._counter("refused_topics", "Topics refused by an upstream.", "upstream")

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, namespace=NAMESPACE, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, namespace=NAMESPACE, registry=self.registry)
