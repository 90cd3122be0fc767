"""What the market simulator can be told."""

from dataclasses import dataclass, field
from typing import Final

from fproxy.core.market import STOCKS, Market
from fproxy.roles.settings import ServerSettings
from fproxy.simulation.stock_listings import LISTINGS

MAX_RATE: Final = 1_000_000.0
"""The most events a second that may be asked for: more than one process makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """What the market simulator can be told.

    Attributes:
        server: the server for clients; without client keys, any key is accepted.
        markets: what to simulate; at least one. The first is served on ``/`` too.
        not_in_plan: those of them that no account's plan includes: whoever authenticates there is refused.
        rate: trades, quotes and other events a second of each market, together, up to `MAX_RATE`; bars come on
            top. 0 for as many as this process makes and its clients read, with the market's time running ahead
            of the clock.
        seed: of the random generator: the same seed gives the same walk.
        symbols: how many stocks, the most active first; from 1 to as many as there are. Other markets have all
            of theirs.
        max_connections: how many connections to each market one key may have; a further one costs it the
            oldest. 0 for any number.
    """

    server: ServerSettings = field(default_factory=lambda: ServerSettings(port=8766))
    markets: tuple[Market, ...] = (STOCKS,)
    not_in_plan: tuple[Market, ...] = ()
    rate: float = 2_000.0
    seed: int = 1
    symbols: int = len(LISTINGS)
    max_connections: int = 1
