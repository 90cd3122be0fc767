"""The vendor's hosts: one for each feed that an account may have.

Source: the list of feeds in the vendor's official clients (``massive.websocket.models.Feed`` in the Python one).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fproxy.core.market import Market

_DOMAIN: Final = "massive.com"

FEEDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "realtime": f"socket.{_DOMAIN}",
        **{
            name: f"{name}.{_DOMAIN}"
            for name in (
                "delayed",
                "business",
                "launchpad",
                "nasdaqfeed",
                "polyfeed",
                "polyfeedplus",
                "starterfeed",
                "edgx-business",
                "iex-business",
                "delayed-business",
                "delayed-edgx-business",
                "delayed-nasdaq-last-sale-business",
                "delayed-nasdaq-basic-business",
                "delayed-fullmarket-business",
                "fullmarket-business",
                "nasdaq-last-sale-business",
                "nasdaq-basic-business",
            )
        },
    }
)
"""The host of each feed, by the name that fproxy has for it: the first part of the host, or ``realtime``."""


def feed_url(feed: str, market: Market) -> str:
    """Return the vendor's URL of a market in a feed, one of ``FEEDS``."""
    return f"wss://{FEEDS[feed]}{market.path}"
