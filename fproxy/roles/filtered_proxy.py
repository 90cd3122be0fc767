"""The filtered proxy: what clients connect to."""

from fproxy.metrics import Metrics
from fproxy.roles.filtered_market import FilteredMarket
from fproxy.roles.market_settings import settings_of_market
from fproxy.roles.served_markets import ServedMarkets
from fproxy.roles.settings import FilteredProxySettings


class FilteredProxy(ServedMarkets[FilteredMarket]):
    """The role that clients connect to."""

    def __init__(self, settings: FilteredProxySettings, metrics: Metrics) -> None:
        """Prepare the role; nothing happens before :meth:`start`.

        Args:
            settings: what it is told.
            metrics: where to count.

        Raises:
            fproxy.roles.market_settings.MarketSettingsError: the settings do not do for a market.
            fproxy.core.urls.UrlError: a URL is not one of an upstream.
        """
        super().__init__(
            [
                FilteredMarket(market, settings_of_market(settings, market), metrics)
                for market in settings.markets
            ],
            settings.server,
            metrics,
        )
