"""What a role is told, for one of its markets: its own values, and what the plain ones say of it."""

from dataclasses import fields, replace
from typing import Final, TypeVar
from urllib.parse import urlsplit

from fproxy.core.feeds import feed_url
from fproxy.core.market import STOCKS, Market, Upstream
from fproxy.core.urls import UrlError
from fproxy.roles.settings import AggregatorSettings, FilteredProxySettings, FirehoseSettings

RoleSettings = FilteredProxySettings | FirehoseSettings | AggregatorSettings
"""The settings of a role with markets and upstreams."""

S = TypeVar("S", bound=RoleSettings)

_URLS: Final = ("firehose_url", "aggregator_url", "vendor_url")


class MarketSettingsError(ValueError):
    """What a role is told does not do for one of its markets; the message says why.

    Attributes:
        field: the field of the role's settings.
        market: the market.
    """

    def __init__(self, text: str, *, field: str, market: Market) -> None:
        super().__init__(text)
        self.field = field
        self.market = market


def settings_of_market(settings: S, market: Market) -> S:
    """Return the settings of one market.

    What the market has of its own counts. Else a plain URL is that of stocks, and the other markets have it with
    their own paths; the event types to subscribe to are all that ``*`` means; and all the rest is as it is for stocks.

    Args:
        settings: what the role is told.
        market: one of its markets.

    Raises:
        MarketSettingsError: there is no telling a URL of the market from the plain one, or an event type cannot be
            subscribed to for all symbols.
    """
    names = {field.name for field in fields(settings)}
    changes = {
        name: value for name, value in settings.own_of_markets.get(market, {}).items() if name in names
    }
    alone = settings.markets == (market,)
    for name in names.intersection(_URLS).difference(changes):
        try:
            changes[name] = market_url(getattr(settings, name), market, alone=alone)
        except UrlError as error:
            raise MarketSettingsError(str(error), field=name, market=market) from error
    if isinstance(settings, FirehoseSettings):
        if settings.feed and "vendor_url" not in settings.own_of_markets.get(market, {}):
            changes["vendor_url"] = feed_url(settings.feed, market)
        if market is not STOCKS:
            changes.setdefault("data_types", everything_of(market))
        for name in changes.get("data_types", settings.data_types):
            if name in market.event_types and not market.event_types[name].has_wildcard:
                raise MarketSettingsError(
                    f"the vendor has no {name}.* of {market.name}", field="data_types", market=market
                )
    return replace(settings, **changes)


def market_url(url: str, market: Market, *, alone: bool) -> str:
    """Return where a market is, when a URL says where stocks are.

    Args:
        url: the URL of stocks: without a path, or with one that ends with that of stocks; for stocks, with any.
        market: the market.
        alone: whether it is the only one. Stocks alone are asked for at the URL as it is, because upstreams other than
            fproxy may know no paths.

    Raises:
        UrlError: the path is another one.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if market is STOCKS and (path or alone):
        return url
    if path and not path.endswith(STOCKS.path):
        raise UrlError(
            f"the path {parts.path} does not end with {STOCKS.path}, so {market.name} need a URL of their own"
        )
    return parts._replace(path=path.removesuffix(STOCKS.path) + market.path).geturl()


def everything_of(market: Market) -> tuple[str, ...]:
    """Return the event types that the topic ``*`` means in a market."""
    return tuple(text.partition(".")[0] for upstream in Upstream for text in market.wildcards(upstream))
