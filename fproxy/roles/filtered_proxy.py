"""The filtered proxy: what clients connect to."""

from fproxy.core.market import STOCKS
from fproxy.metrics import Metrics
from fproxy.roles.filtered_market import FilteredMarket
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
            fproxy.core.urls.UrlError: a URL is not one of an upstream.
        """
        super().__init__([FilteredMarket(STOCKS, settings, metrics)], settings.server, metrics)
