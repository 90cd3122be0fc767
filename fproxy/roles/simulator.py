"""The market simulator: plays the vendor, with the vendor's manners, for whoever has no account.

Clients connect, authenticate and subscribe as with the vendor, on the path of each market. An account, which is a key
here, may have so many connections to each market: one more costs it the oldest, which is told ``max_connections`` and
closed. Slow readers are cut off. The markets go on with the clock whether or not anybody listens; flat out, without a
clock, they go on as fast as they are made and read.
"""

import time
from collections.abc import Callable
from typing import Final

from fproxy.metrics import Metrics
from fproxy.roles.served_markets import ServedMarkets
from fproxy.roles.simulated_market import SimulatedMarket, logger
from fproxy.roles.simulator_settings import SimulatorSettings

NOT_IN_PLAN: Final = "Your plan doesn't include websocket access."
"""What the vendor answers the auth of an account whose plan does not include a market."""


class Simulator(ServedMarkets[SimulatedMarket]):
    """Simulated markets behind the vendor's protocol."""

    def __init__(
        self, settings: SimulatorSettings, metrics: Metrics, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Prepare the role; nothing happens before :meth:`start`.

        Args:
            settings: what to simulate, and where.
            metrics: where to count clients.
            clock: returns Unix seconds.

        Raises:
            ValueError: a setting is out of range.
        """
        self._settings = settings
        super().__init__(
            [SimulatedMarket(market, settings, metrics, clock=clock) for market in settings.markets],
            settings.server,
            metrics,
            denials=dict.fromkeys(settings.not_in_plan, NOT_IN_PLAN),
        )

    async def start(self) -> None:
        """Begin to serve clients and to let the markets go on.

        Raises:
            ServerStartError: the server cannot listen.
        """
        await super().start()
        settings = self._settings
        for simulated in self.markets.values():
            logger.info(
                "Simulating %s: %d symbols on port %d, %s, seed %d",
                simulated.market.name,
                len(simulated.symbols),
                self.port,
                f"{settings.rate:g} events/s" if settings.rate else "as fast as they are read",
                settings.seed,
            )
