"""What is read of the parts of a process whenever its metrics are read: nothing is counted twice for it."""

import time
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final, Generic, Protocol, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fproxy.core.stream import Stream, StreamState
from fproxy.observed import ObservedDistributor

NAMESPACE: Final = "fproxy"
"""What the names of all metrics begin with."""

T = TypeVar("T")


class FanoutCounts(ObservedDistributor, Protocol):
    """What a fan-out counts by itself, without Python objects on its hot path."""

    @property
    def events_collected(self) -> int: ...  # noqa: D102

    @property
    def exact_messages(self) -> int: ...  # noqa: D102

    @property
    def audiences(self) -> int: ...  # noqa: D102

    @property
    def exact_topics(self) -> int: ...  # noqa: D102

    @property
    def topic_bytes(self) -> int: ...  # noqa: D102


class MarketCollector(Collector, Generic[T]):
    """Reads something of each market whenever the metrics are read.

    Attributes:
        watched: the markets' names, each with what to read there.
    """

    def __init__(self) -> None:
        self.watched: list[tuple[str, T]] = []

    def families(
        self, kind: type[CounterMetricFamily | GaugeMetricFamily], readings: Sequence[tuple[str, str, str]]
    ) -> Iterator[Metric]:
        """Yield a metric for each reading, labelled by market.

        Args:
            kind: what the metrics are.
            readings: for each its name, its documentation, and the attribute of what is watched that has its value,
                such as ``counts.bars``.
        """
        for name, documentation, attribute in readings:
            family = kind(f"{NAMESPACE}_{name}", documentation, labels=("market",))
            for market, watched in self.watched:
                family.add_metric((market,), attrgetter(attribute)(watched))
            yield family


class BacklogState(Protocol):
    """What the backlog of a server tells of itself."""

    @property
    def bytes(self) -> int: ...  # noqa: D102

    @property
    def spare_bytes(self) -> int: ...  # noqa: D102

    @property
    def waiting_bytes(self) -> int: ...  # noqa: D102

    @property
    def lagging(self) -> int: ...  # noqa: D102

    @property
    def lag(self) -> float: ...  # noqa: D102

    @property
    def dropped_events(self) -> int: ...  # noqa: D102

    @property
    def replaced_events(self) -> int: ...  # noqa: D102


class SnapshotState(Protocol):
    """What the last events of topics tell of themselves."""

    @property
    def bytes(self) -> int: ...  # noqa: D102

    @property
    def topics(self) -> int: ...  # noqa: D102

    @property
    def evicted(self) -> int: ...  # noqa: D102


class BacklogCollector(Collector):
    """What a server's backlog counts."""

    def __init__(self, backlog: BacklogState) -> None:
        self._backlog = backlog

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for name, documentation, count in (
            ("dropped_events", "Events dropped for clients that lag.", self._backlog.dropped_events),
            (
                "replaced_events",
                "Quotes and values that newer ones replaced, for clients that lag.",
                self._backlog.replaced_events,
            ),
        ):
            yield CounterMetricFamily(f"{NAMESPACE}_{name}", documentation, count)


class StreamCollector(MarketCollector[Stream]):
    """The state of each stream."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
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
        for market, stream in self.watched:
            values = (stream.name, market)
            for each in StreamState:
                state.add_metric((*values, each.value), float(stream.state is each))
            interruptions.add_metric(values, stream.interruptions)
            if stream.last_message is not None:
                silence.add_metric(values, max(0.0, time.time() - stream.last_message / 1000))
        yield from (state, interruptions, silence)


class SnapshotCollector(MarketCollector[SnapshotState]):
    """How many last events are kept, and in how much memory."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self.families(
            GaugeMetricFamily,
            (
                ("snapshot_bytes", "Memory that the last events of topics take.", "bytes"),
                ("snapshot_topics", "Topics whose last event is kept.", "topics"),
            ),
        )
        yield from self.families(
            CounterMetricFamily,
            (("snapshot_evictions", "Topics whose last event was evicted for another's.", "evicted"),),
        )


class DeliveryCollector(MarketCollector[ObservedDistributor]):
    """What fan-outs and broadcasts have delivered."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        return self.families(
            CounterMetricFamily,
            (
                ("deliveries", "Events written, once for each client that got them.", "deliveries"),
                ("sent_bytes", "Bytes of market data written to clients.", "sent_bytes"),
            ),
        )


class FanoutCollector(MarketCollector[FanoutCounts]):
    """What fan-outs take in, and for whom."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self.families(
            CounterMetricFamily,
            (
                ("events", "Events taken in.", "events_in"),
                ("events_matched", "Events that at least one client took.", "events_collected"),
                ("exact_messages", "Upstream messages that needed the exact scanner.", "exact_messages"),
            ),
        )
        yield from self.families(
            GaugeMetricFamily,
            (
                ("audiences", "Distinct sets of subscriptions now.", "audiences"),
                ("topics", "Distinct topics with a symbol that clients have now.", "exact_topics"),
                ("topic_bytes", "Memory that topics and who has them take.", "topic_bytes"),
            ),
        )
