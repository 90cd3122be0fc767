"""The vendor's second and minute bars of one instrument, built exactly from its trades.

Which trade may change what is the business of `fproxy.core.trade_conditions`.
"""

from typing import Final

from fproxy.core.trade_conditions import ConditionEffect
from fproxy.simulation.amounts import SIZE_UNITS, average_price, decimal_size_text, price_text

NO_PRICE: Final = 0
"""Stands for a price that no trade has set: real prices are positive."""


class Window:
    """What the trades of one window of time add up to.

    Prices are in price units, sizes in size units (see `fproxy.simulation.amounts`).

    Attributes:
        open: the first price of a trade that may set open and close, or `NO_PRICE`.
        close: the last such price, or `NO_PRICE`.
        first: the first price of a trade that may set high and low, or `NO_PRICE`: then the window has no
            bar.
        last: the last such price, or `NO_PRICE`.
        high: the highest such price, or `NO_PRICE`.
        low: the lowest such price, or `NO_PRICE`.
        volume: the size of all trades that may update volume.
        notional: price times size, summed over those trades.
        trades: how many those were.
    """

    __slots__ = ("close", "first", "high", "last", "low", "notional", "open", "trades", "volume")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin again without a trade."""
        self.open = self.close = self.first = self.last = self.high = self.low = NO_PRICE
        self.volume = self.notional = self.trades = 0

    def add(self, price: int, size: int, effect: ConditionEffect) -> None:
        """Count one trade; trades come in order of time."""
        high_low, open_close, volume = effect
        if high_low:
            if self.first == NO_PRICE:
                self.first = self.high = self.low = price
            elif price > self.high:
                self.high = price
            elif price < self.low:
                self.low = price
            self.last = price
        if open_close:
            if self.open == NO_PRICE:
                self.open = price
            self.close = price
        if volume:
            self.volume += size
            self.notional += price * size
            self.trades += 1

    def absorb(self, later: "Window") -> None:
        """Count all trades of a window that comes after this one's."""
        if later.first != NO_PRICE:
            if self.first == NO_PRICE:
                self.first, self.high, self.low = later.first, later.high, later.low
            else:
                self.high = max(self.high, later.high)
                self.low = min(self.low, later.low)
            self.last = later.last
        if later.open != NO_PRICE:
            if self.open == NO_PRICE:
                self.open = later.open
            self.close = later.close
        self.volume += later.volume
        self.notional += later.notional
        self.trades += later.trades


class Bars:
    """The second, the minute and the day of one instrument.

    Args:
        symbol: the ticker.
        official_open: the day's official opening price, in price units.
    """

    __slots__ = ("_day", "_head", "_minute", "_opening", "second")

    def __init__(self, symbol: str, official_open: int) -> None:
        self._head = f'","sym":"{symbol}","v":'
        self._opening = f',"op":{price_text(official_open)},"vw":'
        self.second = Window()
        self._minute = Window()
        self._day = Window()

    def close_second(self, start: int) -> str | None:
        """End the second that began at ``start`` (Unix milliseconds); return its ``A`` event, if any."""
        self._minute.absorb(self.second)
        self._day.absorb(self.second)
        event = self._event("A", self.second, start, start + 1_000)
        self.second.clear()
        return event

    def close_minute(self, start: int) -> str | None:
        """End the minute that began at ``start``, after its last second; return its ``AM`` event, if any."""
        event = self._event("AM", self._minute, start, start + 60_000)
        self._minute.clear()
        return event

    def _event(self, event_type: str, window: Window, start: int, end: int) -> str | None:
        if window.first == NO_PRICE:
            return None
        day = self._day
        open_, close = window.open or window.first, window.close or window.last
        volume_weighted = average_price(window.notional, window.volume) if window.volume else close
        day_weighted = average_price(day.notional, day.volume) if day.volume else close
        shares = window.volume // SIZE_UNITS
        return (
            f'{{"ev":"{event_type}{self._head}{shares},"av":{day.volume // SIZE_UNITS}{self._opening}'
            f'{price_text(volume_weighted)},"o":{price_text(open_)},"c":{price_text(close)},'
            f'"h":{price_text(window.high)},"l":{price_text(window.low)},"a":{price_text(day_weighted)},'
            f'"z":{shares // window.trades if window.trades else 0},"s":{start},"e":{end},'
            f'"dv":"{decimal_size_text(window.volume)}","dav":"{decimal_size_text(day.volume)}"}}'
        )
