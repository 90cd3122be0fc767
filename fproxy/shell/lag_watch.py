"""Looks after what waits for clients: who has lagged for too long, and what memory is no longer needed."""

import asyncio
from typing import Final

from fproxy._socket_writer import BacklogPool

LOOKS: Final = 8
"""How often it looks within the longest lag: nobody lags for more than an eighth longer."""

SHORTEST_INTERVAL: Final = 0.005
"""Seconds between two looks, at least."""

TIDYING_INTERVAL: Final = 1.0
"""Seconds between two looks where clients may lag for any time: at memory alone."""


class LagWatch:
    """Looks now and then at the oldest of what waits, for as long as its server runs.

    Slow clients of quiet topics are found by this only: what waits for them stays little.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: BacklogPool, *, max_lag: float) -> None:
        """Begin to watch.

        Args:
            loop: the event loop.
            pool: what waits.
            max_lag: for how long something may wait, in seconds; 0 for any time.
        """
        self._loop = loop
        self._pool = pool
        self._max_lag = max_lag
        self._timer = loop.call_later(self._interval, self._look)

    def stop(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    @property
    def _interval(self) -> float:
        return max(SHORTEST_INTERVAL, self._max_lag / LOOKS) if self._max_lag else TIDYING_INTERVAL

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._look)
        if self._max_lag:
            self._pool.evict_lagging(self._max_lag)
        self._pool.tidy()
