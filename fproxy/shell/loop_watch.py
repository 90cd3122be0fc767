"""How late the event loop is: what holds it up holds up every client."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

INTERVAL: Final = 0.1
"""How often the loop is asked, in seconds."""

REMEMBERED: Final = 50
"""How many answers the longest of is told: those of the last five seconds."""


class LoopWatch:
    """Asks the loop to call back, again and again, and notes how late it does."""

    __slots__ = ("_lags", "_loop", "_note", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, note: Callable[[float], None]) -> None:
        """Begin to ask.

        Args:
            loop: the loop.
            note: gets each lag, in seconds.
        """
        self._loop = loop
        self._note = note
        self._lags: deque[float] = deque(maxlen=REMEMBERED)
        self._timer = loop.call_later(INTERVAL, self._look, loop.time() + INTERVAL)

    @property
    def longest(self) -> float:
        """The longest lag of the last seconds, in seconds."""
        return max(self._lags, default=0.0)

    def stop(self) -> None:
        """Ask no more."""
        self._timer.cancel()

    def _look(self, due: float) -> None:
        now = self._loop.time()
        lag = max(0.0, now - due)
        self._lags.append(lag)
        self._note(lag)
        self._timer = self._loop.call_later(INTERVAL, self._look, now + INTERVAL)
