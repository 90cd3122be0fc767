"""A quote that walks at random, in whole units of any size: what instruments of most markets have."""

from typing import Final

_MOVES: Final = (*[0] * 16, *[1, -1] * 6, *[2, -2] * 2)
_SPREADS: Final = (1, 1, 1, 1, 2, 2, 3, 4)


class Walk:
    """A bid and a spread.

    Args:
        bid: where the bid begins, in price units; positive.
        step: the least change of it, in price units.

    Attributes:
        bid: the bid, between half and twice where it began.
        spread: the ask less the bid, in price units.
    """

    __slots__ = ("_ceiling", "_floor", "_step", "bid", "spread")

    def __init__(self, bid: int, step: int) -> None:
        self.bid = max(bid - bid % step, 2 * step)
        self.spread = self._step = step
        # No price reaches zero however long it walks.
        self._floor = max(self.bid // 2 // step * step, step)
        self._ceiling = self.bid * 2

    @property
    def ask(self) -> int:
        """The ask, in price units."""
        return self.bid + self.spread

    def move(self, bits: int) -> None:
        """Walk one step: a new bid and a new spread, by 8 random bits."""
        self.bid = min(max(self.bid + _MOVES[bits & 31] * self._step, self._floor), self._ceiling)
        self.spread = _SPREADS[bits >> 5 & 7] * self._step

    def trade_price(self, bits: int) -> int:
        """Return the price of a trade, by 2 random bits: the bid, the ask or, where there is one, a tick between."""
        place = bits & 3
        if place == 3:
            return self.bid + self.spread // (2 * self._step) * self._step
        return self.ask if place & 1 else self.bid
