"""The kinds of value that name markets, and what they are made of."""

from typing import Any

import click

from fproxy.core.feeds import FEEDS
from fproxy.core.market import KNOWN_EVENT_TYPES, MARKETS, Market
from fproxy.face.settings.kinds import ValueType


class EventTypes(ValueType):
    """Event types separated by commas."""

    name = "types"
    takes_many = True
    allowed = f"event types with commas between them, of {', '.join(sorted(KNOWN_EVENT_TYPES))}"

    def text(self, value: Any) -> str:
        """Return the event types with commas between them."""
        return ",".join(value)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the event types, or fail saying which there are."""
        if isinstance(value, tuple):
            return value
        types = tuple(event_type.strip() for event_type in value.split(","))
        unknown = [event_type for event_type in types if event_type not in KNOWN_EVENT_TYPES]
        if unknown:
            allowed = ", ".join(sorted(KNOWN_EVENT_TYPES))
            self.fail(f"{unknown[0]!r} in {value!r} is not an event type; allowed are {allowed}", param, ctx)
        return tuple(dict.fromkeys(types))


class Markets(ValueType):
    """Markets separated by commas."""

    name = "markets"
    takes_many = True
    allowed = f"markets with commas between them, of {', '.join(MARKETS)}"

    def text(self, value: Any) -> str:
        """Return the names of the markets with commas between them."""
        return ",".join(market.name for market in value)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Market, ...]:
        """Return the markets, or fail saying which there are."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip().strip("/").lower() for name in value.split(",")))
        for name in names:
            if name not in MARKETS:
                self.fail(f"{name!r} in {value!r} is no market; allowed are {', '.join(MARKETS)}", param, ctx)
        return tuple(MARKETS[name] for name in names)


class MarketName(ValueType):
    """One market."""

    name = "market"
    allowed = f"one of {', '.join(MARKETS)}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Market:
        """Return the market, or fail saying which there are."""
        if isinstance(value, Market):
            return value
        name = str(value).strip().strip("/").lower()
        if name not in MARKETS:
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return MARKETS[name]


class Feed(ValueType):
    """One of the vendor's feeds."""

    name = "feed"
    allowed = f"one of {', '.join(FEEDS)}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the feed, or fail saying which there are."""
        feed = str(value).strip().lower()
        if feed not in FEEDS:
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return feed
