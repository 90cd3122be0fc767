"""Prices and sizes as exact integers, and as the text that the vendor writes.

Integers keep the walk and the bars exact and the same on every machine.
"""

from functools import lru_cache
from typing import Final

PRICE_UNITS: Final = 10_000
"""Price units in a dollar: the vendor's prices have up to four decimals."""

SIZE_UNITS: Final = 1_000_000
"""Size units in a share: the vendor's decimal sizes have six decimals."""


@lru_cache(maxsize=1 << 16)
def price_text(price: int) -> str:
    """Return ``price`` (price units) as dollars in the shortest form of JSON: ``297.845``, ``12``."""
    dollars, fraction = divmod(price, PRICE_UNITS)
    return f"{dollars}.{fraction:04d}".rstrip("0") if fraction else str(dollars)


@lru_cache(maxsize=1 << 16)
def amount_text(amount: int, decimals: int) -> str:
    """Return an amount in units of ten to the power of ``-decimals`` in the shortest form of JSON: ``0.01616617``.

    Args:
        amount: not negative.
        decimals: 1 or more.
    """
    whole, fraction = divmod(amount, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}".rstrip("0") if fraction else str(whole)


def decimal_size_text(size: int) -> str:
    """Return ``size`` (size units) as shares in the vendor's decimal form: ``40.0``, ``0.250000``."""
    shares, fraction = divmod(size, SIZE_UNITS)
    return f"{shares}.{fraction:06d}" if fraction else f"{shares}.0"


def average_price(notional: int, size: int) -> int:
    """Return ``notional`` (price units times size units) over ``size`` (not 0), rounded half up."""
    return (2 * notional + size) // (2 * size)
