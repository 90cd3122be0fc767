"""What builds the bars of one market, as the settings want it, and what the log says of those that are lost."""

import logging
import math
from typing import Final

from fproxy._bars import MAX_REBUILT_MS, BarBuilder
from fproxy.core.market import Market
from fproxy.metrics import MarketMetrics
from fproxy.roles.aggregator_metrics import watch_bars
from fproxy.roles.settings import AggregatorSettings

logger: Final = logging.getLogger("fproxy.aggregator")

RETAINED_TRADES: Final = 1 << 20
"""How many trades are kept at least for bars that are wanted later, if so many come: 40 MiB."""

TRADE_BYTES: Final = 40
"""How much memory one of them takes."""


def bar_builder(market: Market, settings: AggregatorSettings, counters: MarketMetrics) -> BarBuilder:
    """Return a builder of a market's bars, which the metrics watch.

    Raises:
        ValueError: the bar delay is out of range, or the market has nothing that bars are built of.
    """
    history = settings.history
    builder = BarBuilder(
        market,
        delay_ms=math.ceil(settings.bar_delay_ms),
        all_trades=settings.all_trades,
        max_windows=settings.max_bar_windows,
        # Of what nobody wants yet the trades are kept as long as bars are: they may be asked for later.
        keeps_all=history.keeps_anything,
        rebuilt_ms=min(math.ceil(history.history * 1000), MAX_REBUILT_MS),
        retained_trades=max(RETAINED_TRADES, history.history_bytes // TRADE_BYTES),
    )
    watch_bars(counters, builder)
    return builder


class LostWindows:
    """Logs how many windows have no bar because trades of them were missed, or may have been."""

    def __init__(self, builder: BarBuilder) -> None:
        """Begin with none."""
        self._builder = builder
        self._logged = 0
        self._stopped = False

    def log(self) -> None:
        """Log those since the last time, if there are any."""
        lost = self._builder.counts.lost_windows
        if lost != self._logged and not self._stopped:
            logger.warning("Trades were missed: %d windows have no bar", lost - self._logged)
            self._logged = lost

    def stop(self) -> None:
        """The role is about to stop: what is missed from now on is not worth a word."""
        self._stopped = True
