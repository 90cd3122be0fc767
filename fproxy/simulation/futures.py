"""The futures of the simulated market, of all exchanges or of one.

The forms are those that the vendor's official clients read. Symbols are the product, the letter of the month and the
last digit of the year: ``ESZ6``.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, NamedTuple

from fproxy.simulation.amounts import PRICE_UNITS, SIZE_UNITS, price_text
from fproxy.simulation.bars import EVERYTHING, BarForm, Bars, Window, bar_prices
from fproxy.simulation.walk import Walk

_MONTHS: Final = "FGHJKMNQUVXZ"  # the letters of January to December
_QUARTERS: Final = 3  # how many contracts of a product there are, a quarter apart
_CONTRACTS: Final = (1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 8, 12, 25)

# Of 1024 events: the rest are quotes.
_TRADES: Final = 250


class Product(NamedTuple):
    """One product.

    Attributes:
        code: such as ``ES``.
        exchange: the part of the market's path that names the exchange, such as ``cme``.
        price: the first price, in ten-thousandths.
        tick: the least change of the price, in ten-thousandths.
    """

    code: str
    exchange: str
    price: int
    tick: int


PRODUCTS: Final = tuple(
    Product(code, exchange, round(float(price) * PRICE_UNITS), round(float(tick) * PRICE_UNITS))
    for code, exchange, price, tick in (
        entry.split()
        for entry in (
            *("ES cme 6772.25 0.25", "NQ cme 25104.5 0.25", "CL nymex 58.64 0.01", "ZN cbot 113.2656 0.0156"),
            *(
                "GC comex 4160.1 0.1",
                "MES cme 6772.25 0.25",
                "MNQ cme 25104.5 0.25",
                "ZF cbot 109.6406 0.0078",
            ),
            *("RTY cme 2471.3 0.1", "YM cbot 47203 1", "NG nymex 4.562 0.001", "SI comex 53.445 0.005"),
            *("HG comex 5.0725 0.0005", "ZC cbot 437.25 0.25", "ZS cbot 1124.5 0.25", "ZW cbot 531.25 0.25"),
            *(
                "6E cme 1.1604 0.0001",
                "6J cme 0.0064 0.0001",
                "HO nymex 2.4012 0.0001",
                "RB nymex 1.8451 0.0001",
            ),
        )
    )
)
"""Every product of the simulated market, the most active first."""


class Future:
    """One futures contract of the simulated market.

    Args:
        symbol: its symbol.
        product: its product.
        sequence: where its sequence numbers begin.

    Attributes:
        symbol: its symbol.
        bars: the bars that its trades build.
    """

    __slots__ = ("_sequence", "_walk", "bars", "symbol")

    def __init__(self, symbol: str, product: Product, sequence: int) -> None:
        self.symbol = symbol
        self._walk = Walk(product.price, product.tick)
        self._sequence = sequence
        self.bars = Bars(_bar_form(symbol))

    def happen(
        self, choice: int, bits: int, draw: Callable[[], int], now: int, *, render: bool
    ) -> tuple[str | None, bool]:
        """Have something happen to the contract; see ``Instrument.happen``."""
        walk = self._walk
        self._sequence += 1 + (bits & 3)
        if choice < _TRADES:
            price, contracts = walk.trade_price(bits >> 2), _CONTRACTS[bits >> 4 & 15]
            self.bars.second.add(price, contracts * SIZE_UNITS, EVERYTHING)
            return (
                f'{{"ev":"T","sym":"{self.symbol}","p":{price_text(price)},"s":{contracts},"t":{now},'
                f'"q":{self._sequence}}}'
                if render
                else None
            ), True
        walk.move(bits >> 2)
        return (
            f'{{"ev":"Q","sym":"{self.symbol}","bp":{price_text(walk.bid)},"bs":{1 + (bits >> 10 & 63)},"bt":{now},'
            f'"ap":{price_text(walk.ask)},"as":{1 + (bits >> 16 & 63)},"at":{now},"t":{now}}}'
            if render
            else None
        ), False


def _bar_form(symbol: str) -> BarForm:
    def form(event_type: str, window: Window, day: Window, start: int, end: int) -> str:
        value = price_text(window.notional // SIZE_UNITS)
        return (
            f'{{"ev":"{event_type}","sym":"{symbol}","v":{window.volume // SIZE_UNITS},"dv":{value},'
            f'"n":{window.trades},{bar_prices(window, price_text)},"s":{start},"e":{end}}}'
        )

    return form


def futures(start: int, *, exchange: str | None = None) -> Sequence[Callable[[int], Future]]:
    """Return what makes each contract of a market that begins at ``start`` (Unix milliseconds), the most active first.

    Args:
        start: when the market begins.
        exchange: the exchange as the market's path names it; None for all of them.
    """
    today = datetime.fromtimestamp(start / 1_000, UTC).date()
    makers = []
    for quarter in range(_QUARTERS):
        # March, June, September and December, this month's only before its third week.
        months = today.year * 12 + today.month - (today.day < 15)  # since the year 0
        month = (months // 3 + quarter) * 3 + 2
        suffix = f"{_MONTHS[month % 12]}{month // 12 % 10}"
        makers += [
            partial(Future, product.code + suffix, product)
            for product in PRODUCTS
            if exchange in (None, product.exchange)
        ]
    return makers
