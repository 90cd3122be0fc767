"""The ms-aggregator: bars of any interval, built of the firehose's events, beside the vendor's own bars."""

from fproxy.metrics import Metrics
from fproxy.roles.aggregator_market import AggregatorMarket
from fproxy.roles.market_settings import settings_of_market
from fproxy.roles.served_markets import ServedMarkets
from fproxy.roles.settings import AggregatorSettings


class Aggregator(ServedMarkets[AggregatorMarket]):
    """The role that builds millisecond bars and forwards the vendor's own."""

    def __init__(self, settings: AggregatorSettings, metrics: Metrics) -> None:
        """Prepare the role; nothing happens before :meth:`start`.

        Args:
            settings: what it is told.
            metrics: where to count.

        Raises:
            fproxy.roles.market_settings.MarketSettingsError: the settings do not do for a market.
            fproxy.core.urls.UrlError: the firehose's URL is not one of an upstream.
            ValueError: the bar delay is out of range.
        """
        super().__init__(
            [
                AggregatorMarket(market, settings_of_market(settings, market), metrics)
                for market in settings.markets
            ],
            settings.server,
            metrics,
        )
