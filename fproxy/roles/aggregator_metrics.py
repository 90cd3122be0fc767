"""What an operator sees of the bars: the builder's own counts, read when the metrics are."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from fproxy.collected_metrics import MarketCollector
from fproxy.core.bar_counts import BarCounts
from fproxy.metrics import MarketMetrics


class BarState(Protocol):
    """What a bar builder counts by itself, without Python objects on its hot path."""

    @property
    def counts(self) -> BarCounts: ...  # noqa: D102

    @property
    def symbols(self) -> int: ...  # noqa: D102

    @property
    def open_windows(self) -> int: ...  # noqa: D102

    @property
    def window_bytes(self) -> int: ...  # noqa: D102

    @property
    def retained_trades(self) -> int: ...  # noqa: D102


def watch_bars(metrics: MarketMetrics, bars: BarState) -> None:
    """Read a bar builder's counts whenever the metrics are read."""
    metrics.watch(_BarCollector, bars)


class _BarCollector(MarketCollector[BarState]):
    def collect(self) -> Iterator[Metric]:
        yield from self.families(
            CounterMetricFamily,
            (
                ("bars", "Bars built.", "counts.bars"),
                ("bar_trades", "Trades that went into at least one window.", "counts.trades"),
                (
                    "late_trades",
                    "Trades that came after a window of theirs had closed.",
                    "counts.late_trades",
                ),
                (
                    "misdated_trades",
                    "Trades passed over for a time far ahead of the others'.",
                    "counts.misdated_trades",
                ),
                (
                    "unusable_trades",
                    "Trades without a usable price, size or time.",
                    "counts.unusable_trades",
                ),
                (
                    "unknown_conditions",
                    "Conditions of trades without a rule here; they forbid nothing. Of futures all are.",
                    "counts.unknown_conditions",
                ),
                (
                    "lost_windows",
                    "Windows given up because trades of them were missed or they were too many.",
                    "counts.lost_windows",
                ),
                (
                    "refused_windows",
                    "Windows given up because too many others were open.",
                    "counts.refused_windows",
                ),
                (
                    "stream_restarts",
                    "How often the trades began again at an earlier time.",
                    "counts.restarts",
                ),
            ),
        )
        yield from self.families(
            GaugeMetricFamily,
            (
                ("bar_symbols", "Symbols that bars are built for now.", "symbols"),
                ("open_windows", "Windows that are open now.", "open_windows"),
                (
                    "window_bytes",
                    "Memory that open windows take, with what is kept for more.",
                    "window_bytes",
                ),
                ("retained_trades", "Trades kept for bars wanted half way.", "retained_trades"),
            ),
        )
