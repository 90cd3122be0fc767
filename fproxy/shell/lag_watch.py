"""Looks after what waits for clients: who has lagged for too long, and what memory is no longer needed."""

import asyncio
from typing import Final

from fproxy._socket_writer import BacklogPool

LOOKS: Final = 8
"""How often it looks within the longest lag: nobody lags for more than an eighth longer."""

SHORTEST_INTERVAL: Final = 0.005
"""Seconds between two looks, at least."""

TIDYING_INTERVAL: Final = 1.0
"""Seconds for which memory that is kept ready must not have been needed, before it goes back."""

TIDYING_PAUSE: Final = 0.02
"""Seconds between two steps in which it goes back."""


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
        self._looking: asyncio.TimerHandle | None = None
        if max_lag:
            self._looking = loop.call_later(self._interval, self._look)
        self._tidying = loop.call_later(TIDYING_INTERVAL, self._tidy)

    def stop(self) -> None:
        """Watch no more."""
        if self._looking is not None:
            self._looking.cancel()
        self._tidying.cancel()

    @property
    def _interval(self) -> float:
        return max(SHORTEST_INTERVAL, self._max_lag / LOOKS)

    def _look(self) -> None:
        self._looking = self._loop.call_later(self._interval, self._look)
        self._pool.evict_lagging(self._max_lag)

    def _tidy(self) -> None:
        self._pool.look_at_use()
        self._tidy_on(self._loop.time() + TIDYING_INTERVAL)

    def _tidy_on(self, next_look: float) -> None:
        """Do a step; look at what was needed again at a time, by the loop's clock, when there is nothing left to do."""
        if self._pool.tidy():
            self._tidying = self._loop.call_later(TIDYING_PAUSE, self._tidy_on, next_look)
        else:
            self._tidying = self._loop.call_at(next_look, self._tidy)
