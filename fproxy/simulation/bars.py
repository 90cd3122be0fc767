"""The vendor's second and minute bars of one instrument, built exactly from what it trades at.

Which trade may change what is the business of `fproxy.core.trade_conditions`.
"""

from collections.abc import Callable
from typing import Final

from fproxy.core.trade_conditions import ConditionEffect
from fproxy.simulation.amounts import SIZE_UNITS, average_price, decimal_size_text, price_text

NO_PRICE: Final = 0
"""Stands for a price that no trade has set: real prices are positive."""

EVERYTHING: Final = ConditionEffect(True, True, True)
"""What a trade may change where no condition forbids it."""


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

    @property
    def mean(self) -> int:
        """The volume-weighted price of trades that count in the volume; there must be one."""
        return average_price(self.notional, self.volume)

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


BarForm = Callable[[str, Window, Window, int, int], str]
"""Makes an event of a window that has a bar: of its type, the window, the day, and when the window begins and ends."""


class Bars:
    """The second, the minute and the day of one instrument.

    Args:
        form: writes the events.
        second_type: the type of the events of a second.
        minute_type: the type of those of a minute.

    Attributes:
        second: the second that is open.
    """

    __slots__ = ("_day", "_form", "_minute", "_minute_type", "_second_type", "second")

    def __init__(self, form: BarForm, *, second_type: str = "A", minute_type: str = "AM") -> None:
        self._form = form
        self._second_type = second_type
        self._minute_type = minute_type
        self.second = Window()
        self._minute = Window()
        self._day = Window()

    def close_second(self, start: int) -> str | None:
        """End the second that began at ``start`` (Unix milliseconds); return its event, if any."""
        self._minute.absorb(self.second)
        self._day.absorb(self.second)
        event = self._event(self._second_type, self.second, start, start + 1_000)
        self.second.clear()
        return event

    def close_minute(self, start: int) -> str | None:
        """End the minute that began at ``start``, after its last second; return its event, if any."""
        event = self._event(self._minute_type, self._minute, start, start + 60_000)
        self._minute.clear()
        return event

    def _event(self, event_type: str, window: Window, start: int, end: int) -> str | None:
        return None if window.first == NO_PRICE else self._form(event_type, window, self._day, start, end)


def bar_prices(window: Window, price_text: Callable[[int], str]) -> str:
    """Return open, close, high and low of a window that has them, as members of an event.

    Args:
        window: the window.
        price_text: writes a price.
    """
    return (
        f'"o":{price_text(window.open)},"c":{price_text(window.close)},'
        f'"h":{price_text(window.high)},"l":{price_text(window.low)}'
    )


def stock_bar_form(symbol: str, official_open: int) -> BarForm:
    """Return what writes the ``A`` and ``AM`` events of a stock.

    Args:
        symbol: the ticker.
        official_open: the day's official opening price, in price units.
    """
    head = f'","sym":"{symbol}","v":'
    opening = f',"op":{price_text(official_open)},"vw":'

    def form(event_type: str, window: Window, day: Window, start: int, end: int) -> str:
        open_, close = window.open or window.first, window.close or window.last
        volume_weighted = average_price(window.notional, window.volume) if window.volume else close
        day_weighted = average_price(day.notional, day.volume) if day.volume else close
        shares = window.volume // SIZE_UNITS
        return (
            f'{{"ev":"{event_type}{head}{shares},"av":{day.volume // SIZE_UNITS}{opening}'
            f'{price_text(volume_weighted)},"o":{price_text(open_)},"c":{price_text(close)},'
            f'"h":{price_text(window.high)},"l":{price_text(window.low)},"a":{price_text(day_weighted)},'
            f'"z":{shares // window.trades if window.trades else 0},"s":{start},"e":{end},'
            f'"dv":"{decimal_size_text(window.volume)}","dav":"{decimal_size_text(day.volume)}"}}'
        )

    return form
