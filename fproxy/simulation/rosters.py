"""Which instruments each simulated market has."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from fproxy.simulation.crypto import crypto_pairs
from fproxy.simulation.forex import forex_pairs
from fproxy.simulation.futures import futures
from fproxy.simulation.indices import indices
from fproxy.simulation.instrument import Roster
from fproxy.simulation.options import options
from fproxy.simulation.stock import stocks

ROSTERS: Final[Mapping[str, Roster]] = MappingProxyType(
    {
        "stocks": stocks,
        "options": options,
        "crypto": crypto_pairs,
        "forex": forex_pairs,
        "indices": indices,
        "futures": futures,
        **{
            f"futures/{exchange}": partial(futures, exchange=exchange)
            for exchange in ("cme", "cbot", "nymex", "comex")
        },
    }
)
"""What makes the instruments of each market, by the market's name."""
