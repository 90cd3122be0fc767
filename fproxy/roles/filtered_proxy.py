"""The filtered proxy: what clients connect to."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from fproxy.metrics import Metrics
from fproxy.roles.filtered_market import FilteredMarket
from fproxy.roles.market_settings import settings_of_market
from fproxy.roles.resumption import EndedConnection
from fproxy.roles.served_markets import ServedMarkets
from fproxy.roles.settings import FilteredProxySettings
from fproxy.roles.succession import Succession
from fproxy.shell.client import Client


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

    @property
    def successions(self) -> Mapping[str, Succession]:
        """Each market's part in a take-over, by the market's name."""
        return {name: served.succession for name, served in self.markets.items()}

    async def hand_over(self, leave: Callable[[str, EndedConnection], Awaitable[None]]) -> None:
        """Stop, now that another process serves the port.

        Args:
            leave: takes the market, and what each client leaves behind, before it is let go.
        """

        async def before_close(clients: Sequence[Client]) -> None:
            left = [
                leave(name, behind)
                for name, served in self.markets.items()
                for client in clients
                if (behind := served.leaves_behind(client)) is not None
            ]
            await asyncio.gather(*left)

        await self.stop(before_close=before_close)
