"""How fast one client's messages are taken."""

from collections.abc import Callable
from typing import Final

BURST: Final = 2.0
"""The seconds' worth of messages that may come at once."""


class MessageRate:
    """Counts messages against a rate: after a burst, no more than so many a second are free of debt."""

    __slots__ = ("_clock", "_per_second", "_since", "_spent")

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        """Begin with none.

        Args:
            per_second: the rate; 0 for any.
            clock: returns the time, in seconds.
        """
        self._per_second = per_second
        self._clock = clock
        self._spent = 0.0  # messages that the rate has not made up for
        self._since = 0.0

    def take(self) -> None:
        """A message has come."""
        if self._per_second:
            now = self._clock()
            self._spent = 1.0 + max(0.0, self._spent - (now - self._since) * self._per_second)
            self._since = now

    @property
    def debt(self) -> float:
        """For how long no more should be taken, in seconds."""
        return max(0.0, self._spent / self._per_second - BURST) if self._per_second else 0.0
