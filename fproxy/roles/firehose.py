"""The firehose: the vendor's one connection for each market, shared."""

from fproxy.metrics import Metrics
from fproxy.roles.firehose_market import FirehoseMarket
from fproxy.roles.market_settings import settings_of_market
from fproxy.roles.served_markets import ServedMarkets
from fproxy.roles.settings import FirehoseSettings


class Firehose(ServedMarkets[FirehoseMarket]):
    """The role that keeps the one connection that the vendor allows an account for each market."""

    def __init__(self, settings: FirehoseSettings, metrics: Metrics) -> None:
        """Prepare the role; nothing happens before :meth:`start`.

        Args:
            settings: what it is told.
            metrics: where to count.

        Raises:
            fproxy.roles.market_settings.MarketSettingsError: the settings do not do for a market.
            fproxy.core.urls.UrlError: the vendor's URL is not one of an upstream.
        """
        super().__init__(
            [
                FirehoseMarket(market, settings_of_market(settings, market), metrics)
                for market in settings.markets
            ],
            settings.server,
            metrics,
        )
