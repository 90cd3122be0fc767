"""Durations that compiled code counts, as Prometheus' histograms."""

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from fproxy._read_timer import BUCKET_ENDS
from fproxy.collected_metrics import NAMESPACE, MarketCollector
from fproxy.observed import UpstreamTimer

PARTS_PER_POWER: Final = 4
"""How many buckets of the compiled counts make one power of two."""


class DurationCollector(MarketCollector[UpstreamTimer]):
    """How long what comes from upstream takes until it is written, with buckets of powers of two."""

    def collect(self) -> Iterator[Metric]:
        """Yield the histograms as they are now."""
        labels = ("upstream", "market")
        written = HistogramMetricFamily(
            f"{NAMESPACE}_read_to_write_seconds",
            "Time from a read of an upstream until all that it brought is written.",
            labels=labels,
        )
        age = HistogramMetricFamily(
            f"{NAMESPACE}_event_to_write_seconds",
            "Age of an event, by its own time, when it is written; of some events.",
            labels=labels,
        )
        for market, watched in self.watched:
            timer = watched.timer
            for family, (counts, total) in ((written, timer.read_to_write), (age, timer.event_to_write)):
                family.add_metric((watched.upstream, market), _cumulative(counts), total)
        yield from (written, age)


def _cumulative(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus has them: each with all that is less, from power of two to power of two."""
    buckets, passed = [], 0
    for index, (end, count) in enumerate(zip(BUCKET_ENDS, counts, strict=True)):
        passed += count
        if index % PARTS_PER_POWER == 0 or end == float("inf"):
            buckets.append((floatToGoString(end), float(passed)))  # type: ignore[no-untyped-call]
    return buckets
