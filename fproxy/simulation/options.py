"""The options of the simulated market: chains of the most traded underlyings, around their prices and near in time.

The forms are those of the vendor's published WebSocket specification. Symbols are made as the Options Clearing
Corporation makes them: the underlying, the expiry as YYMMDD, C or P, and the strike in thousandths of a dollar with
eight digits.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from fproxy.simulation.amounts import PRICE_UNITS, SIZE_UNITS, price_text
from fproxy.simulation.bars import EVERYTHING, BarForm, Bars, Window, bar_prices
from fproxy.simulation.stock_listings import LISTINGS
from fproxy.simulation.walk import Walk

_UNDERLYINGS: Final = 60
_WEEKS: Final = (1, 2, 3, 4, 8)
_STRIKES: Final = (0, 1, -1, 2, -2, 3, -3)
_TICK: Final = PRICE_UNITS // 100

# Of 1024 events: mostly quotes, as everywhere.
_TRADES: Final = 100
_FAIR_VALUES: Final = _TRADES + 8

_EXCHANGES: Final = (300, 301, 302, 303, 304, 308, 309, 312, 313, 316, 318, 319, 320, 322, 323, 325)
# The OPRA's conditions: automatic execution, sweeps, auctions, trades of several legs; none of them forbids anything.
_CONDITIONS: Final = (*[209] * 8, *[219] * 3, 227, 228, 232, 233, 236)
_CONTRACTS: Final = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 5, 5, 10, 10, 20, 50)


class Contract(NamedTuple):
    """One option, and where its walk begins.

    Attributes:
        symbol: such as ``O:SPY251219C00650000``.
        price: the first price, in ten-thousandths of a dollar.
    """

    symbol: str
    price: int


class Option:
    """One option of the simulated market.

    Args:
        contract: its symbol and first price.
        sequence: where its sequence numbers begin.

    Attributes:
        symbol: its symbol.
        bars: the bars that its trades build.
    """

    __slots__ = ("_head", "_sequence", "_walk", "bars", "symbol")

    def __init__(self, contract: Contract, sequence: int) -> None:
        self.symbol, price = contract
        self._walk = Walk(price, _TICK)
        self._sequence = sequence
        self._head = f'","sym":"{self.symbol}",'
        self.bars = Bars(_bar_form(self.symbol, self._walk.bid))

    def happen(
        self, choice: int, bits: int, draw: Callable[[], int], now: int, *, render: bool
    ) -> tuple[str | None, bool]:
        """Have something happen to the option; see ``Instrument.happen``."""
        walk = self._walk
        self._sequence += 1 + (bits & 3)
        if choice < _TRADES:
            price, contracts = walk.trade_price(bits >> 2), _CONTRACTS[bits >> 4 & 15]
            self.bars.second.add(price, contracts * SIZE_UNITS, EVERYTHING)
            return (
                f'{{"ev":"T{self._head}"x":{_EXCHANGES[bits >> 8 & 15]},"p":{price_text(price)},"s":{contracts},'
                f'"c":[{_CONDITIONS[bits >> 12 & 15]}],"t":{now},"q":{self._sequence}}}'
                if render
                else None
            ), True
        if choice < _FAIR_VALUES:
            middle = price_text(walk.bid + walk.spread // 2)
            # In nanoseconds, as the vendor's for options are.
            event = f'{{"ev":"FMV","fmv":{middle},"sym":"{self.symbol}","t":{now * 1_000_000}}}'
            return (event if render else None), False
        walk.move(bits >> 2)
        exchange = _EXCHANGES[bits >> 10 & 15]
        return (
            f'{{"ev":"Q{self._head}"bx":{exchange},"ax":{_EXCHANGES[bits >> 14 & 15]},"bp":{price_text(walk.bid)},'
            f'"ap":{price_text(walk.ask)},"bs":{1 + (bits >> 18 & 63)},"as":{1 + (bits >> 24 & 63)},"t":{now},'
            f'"q":{self._sequence}}}'
            if render
            else None
        ), False


def _bar_form(symbol: str, official_open: int) -> BarForm:
    head = f'","sym":"{symbol}","v":'
    opening = f',"op":{price_text(official_open)},"vw":'

    def form(event_type: str, window: Window, day: Window, start: int, end: int) -> str:
        contracts = window.volume // SIZE_UNITS
        return (
            f'{{"ev":"{event_type}{head}{contracts},"av":{day.volume // SIZE_UNITS}{opening}'
            f"{price_text(window.mean)},{bar_prices(window, price_text)},"
            f'"a":{price_text(day.mean)},"z":{contracts // window.trades},"s":{start},"e":{end}}}'
        )

    return form


def contracts(start: int) -> list[Contract]:
    """Return the contracts of a market that begins at ``start`` (Unix milliseconds), the most active first.

    Of each underlying those near the money that expire on Fridays of the next two months.
    """
    today = datetime.fromtimestamp(start / 1_000, UTC).date()
    friday = today + timedelta(days=(4 - today.weekday()) % 7)
    found = []
    for strike_offset in _STRIKES:
        for weeks in _WEEKS:
            expiry = friday + timedelta(weeks=weeks)
            for listing in LISTINGS[:_UNDERLYINGS]:
                step = _strike_step(listing.price)
                strike = (round(listing.price / step) + strike_offset) * step
                if strike <= 0:
                    continue
                time_value = listing.price * (2 + weeks) // (150 * (1 + abs(strike_offset)))
                for right, intrinsic in (("C", listing.price - strike), ("P", strike - listing.price)):
                    symbol = f"O:{listing.symbol.replace('.', '')}{expiry:%y%m%d}{right}{strike // 10:08d}"
                    found.append(Contract(symbol, max(intrinsic, 0) + time_value + _TICK))
    return found


def _strike_step(price: int) -> int:
    dollars = price // PRICE_UNITS
    return PRICE_UNITS * (1 if dollars < 100 else 5 if dollars < 500 else 10)


def options(start: int) -> Sequence[Callable[[int], Option]]:
    """Return what makes each option of a market that begins at ``start`` (Unix milliseconds), the most active first."""
    return [partial(Option, contract) for contract in contracts(start)]
