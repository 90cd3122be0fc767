"""Looks for clients whose backlog is too old: slow ones of quiet topics, for which it stays small."""

import asyncio
from typing import Final

from fproxy._socket_writer import BacklogPool

LOOKS: Final = 8
"""How often it looks within the longest lag: nobody lags for more than an eighth longer."""

SHORTEST_INTERVAL: Final = 0.005
"""Seconds between two looks, at least."""


class LagWatch:
    """Looks now and then at the oldest of what waits, for as long as its server runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: BacklogPool, *, max_lag: float) -> None:
        """Begin to watch.

        Args:
            loop: the event loop.
            pool: what waits.
            max_lag: for how long something may wait, in seconds.
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
        return max(SHORTEST_INTERVAL, self._max_lag / LOOKS)

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._look)
        self._pool.evict_lagging(self._max_lag)
