"""Wrong keys, by address: who tries many is answered slowly, and then not at all for a while."""

from collections import OrderedDict
from typing import Final

from fproxy.core.loopback import is_loopback

PERIOD: Final = 60.0
"""In how many seconds an address gets back all the failures that it may have."""

MAX_ADDRESSES: Final = 10_000
"""How many addresses are remembered; the one that failed longest ago is forgotten first."""

FIRST_DELAY: Final = 0.25
MAX_DELAY: Final = 4.0


class AuthFailures:
    """How often each address has failed to authenticate of late. Times are seconds, and passed in."""

    __slots__ = ("_counts", "_limit")

    def __init__(self, limit: int) -> None:
        """Begin with nobody.

        Args:
            limit: how many failures in a minute an address may have.
        """
        self._limit = limit
        self._counts: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # failures, and when they were as many

    def failed(self, address: str, now: float) -> float:
        """An address has failed. Return how long to hold its answer back, in seconds: not at all the first time."""
        count = self._count(address, now) + 1
        self._counts[address] = (count, now)
        self._counts.move_to_end(address)
        if len(self._counts) > MAX_ADDRESSES:
            self._counts.popitem(last=False)
        doublings = min(round(count) - 2, 10)
        return 0.0 if doublings < 0 else min(MAX_DELAY, FIRST_DELAY * 2**doublings)

    def is_refused(self, address: str, now: float) -> bool:
        """Return whether an address has failed too often of late for another attempt.

        This machine's own never has: one program of it must not shut out the others.
        """
        # One more than the limit would be too many; what has been made up for since the last one does not count yet.
        return self._count(address, now) > self._limit - 1 and not is_loopback(address)

    def _count(self, address: str, now: float) -> float:
        count, at = self._counts.get(address, (0.0, now))
        return max(0.0, count - (now - at) * self._limit / PERIOD)
