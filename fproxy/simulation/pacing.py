"""When the simulated market goes on: with the clock, or as fast as it is asked to."""

from collections.abc import Callable
from typing import Final

from fproxy.simulation.market import Frame, Market

MAX_BATCH_EVENTS: Final = 2_000
"""About how many events one batch may hold: some ten milliseconds of work, then sockets get their turn."""

MAX_LAG_MS: Final = 2_000
"""How far behind the clock the market may fall before it leaves out what it missed."""


class Pacer:
    """Lets a market go on in batches, by a clock.

    The market is always brought to the clock's time, never forward by an interval, so that timers may be late
    without any drift. One that has fallen behind catches up in bounded batches; where it cannot (the rate is
    more than the machine makes, or the machine slept) it leaves out what it missed. A clock that steps back
    halts it until it has caught up.

    Args:
        market: the market, which nobody else may advance.
        clock: returns Unix seconds, such as ``time.time``; None lets every batch be full, as for a replay.

    Attributes:
        skipped: how many milliseconds of market time were left out so far.
    """

    def __init__(self, market: Market, clock: Callable[[], float] | None) -> None:
        self._market = market
        self._clock = clock
        self._batch = max(1, int(MAX_BATCH_EVENTS * 1_000 / market.rate))
        self.skipped = 0

    def advance(self, *, render: bool = True) -> tuple[list[Frame], bool]:
        """Let one batch happen.

        Args:
            render: False when nobody listens; see `Market.advance`.

        Returns:
            The frames, and whether the market is still behind: then it wants to go on at once.
        """
        market = self._market
        limit = market.now + self._batch
        if self._clock is None:
            return market.advance(limit, render=render), True
        due = int(self._clock() * 1_000)
        frames = []
        if due - market.now > MAX_LAG_MS:
            self.skipped += due - market.now
            frames = market.skip(due, render=render)
        frames += market.advance(min(due, limit), render=render)
        return frames, market.now < due
