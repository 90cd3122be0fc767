"""The crypto pairs of the simulated market.

Trades, quotes, books and bars have the forms of the vendor's published WebSocket specification.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from fproxy.simulation.amounts import amount_text
from fproxy.simulation.bars import EVERYTHING, BarForm, Bars, Window, bar_prices
from fproxy.simulation.walk import Walk

_SIZE_DECIMALS: Final = 8
_SIZE_UNITS: Final = 10**_SIZE_DECIMALS
_EXCHANGES: Final = (1, 1, 1, 2, 6, 10, 23, 23)
_BOOK_LEVELS: Final = 10

# Of 1024 events.
_TRADES: Final = 300
_BOOKS: Final = _TRADES + 120
_FAIR_VALUES: Final = _BOOKS + 5


class Pair(NamedTuple):
    """One pair, and where its walk begins.

    Attributes:
        symbol: such as ``BTC-USD``.
        price: the first price, in units of ten to the power of ``-decimals``.
        decimals: how many decimals its prices have.
    """

    symbol: str
    price: int
    decimals: int


PAIRS: Final = tuple(
    Pair(symbol, int(price.replace(".", "")), len(price.partition(".")[2]))
    for symbol, price in (
        line.split()
        for line in (
            *("BTC-USD 91250.41", "ETH-USD 3041.27", "SOL-USD 141.35", "XRP-USD 2.1974", "DOGE-USD 0.15132"),
            *("ADA-USD 0.4283", "LTC-USD 86.12", "LINK-USD 13.214", "AVAX-USD 14.57", "BCH-USD 541.8"),
            *(
                "BTC-EUR 78810.5",
                "ETH-EUR 2626.4",
                "ETH-BTC 0.033328",
                "UNI-USD 6.212",
                "SHIB-USD 0.00000862",
            ),
            *("DOT-USD 2.284", "ATOM-USD 2.543", "XLM-USD 0.25171", "ETC-USD 13.94", "1INCH-USD 0.1943"),
            *("BTC-GBP 69130.2", "SOL-EUR 122.07", "AAVE-USD 181.9", "FIL-USD 1.602", "ALGO-USD 0.14271"),
        )
    )
)
"""Every crypto pair of the simulated market, the most active first."""


class CryptoPair:
    """One crypto pair of the simulated market.

    Args:
        pair: its symbol and first price.
        sequence: where its numbers begin.

    Attributes:
        symbol: its symbol, as a topic spells it.
        bars: the bars that its trades build.
    """

    __slots__ = ("_decimals", "_head", "_trades", "_typical_size", "_walk", "bars", "symbol")

    def __init__(self, pair: Pair, sequence: int) -> None:
        self.symbol, price, self._decimals = pair
        self._walk = Walk(price, max(1, price // 50_000))
        self._trades = sequence
        # About a hundred of the second currency.
        self._typical_size = max(1, 100 * _SIZE_UNITS * 10**self._decimals // price)
        self._head = f'","pair":"{self.symbol}",'
        self.bars = Bars(_bar_form(self.symbol, self._decimals), second_type="XAS", minute_type="XA")

    def happen(
        self, choice: int, bits: int, draw: Callable[[], int], now: int, *, render: bool
    ) -> tuple[str | None, bool]:
        """Have something happen to the pair; see ``Instrument.happen``."""
        walk = self._walk
        if choice < _TRADES:
            self._trades += 1
            price = walk.trade_price(bits)
            size = 1 + self._typical_size * (bits >> 8 & 0xFFFFF) // (1 << 18)
            self.bars.second.add(price, size, EVERYTHING)
            return (
                f'{{"ev":"XT{self._head}"p":{self._price(price)},"t":{now},"s":{amount_text(size, _SIZE_DECIMALS)},'
                f'"c":[{1 + (bits >> 2 & 1)}],"i":{self._trades},"x":{self._exchange(bits)},"r":{now + 1}}}'
                if render
                else None
            ), True
        if choice < _BOOKS:
            return (self._book(bits, draw(), now) if render else self._draw_nothing(draw)), False
        if choice < _FAIR_VALUES:
            middle = self._price(walk.bid + walk.spread // 2)
            return (
                f'{{"ev":"FMV","fmv":{middle},"sym":"X:{self.symbol}","t":{now}}}' if render else None
            ), False
        walk.move(bits)
        return (
            f'{{"ev":"XQ{self._head}"bp":{self._price(walk.bid)},"bs":{self._size(bits >> 8)},'
            f'"ap":{self._price(walk.ask)},"as":{self._size(bits >> 18)},"t":{now},"x":{self._exchange(bits)},'
            f'"r":{now + 1}}}'
            if render
            else None
        ), False

    @staticmethod
    def _draw_nothing(draw: Callable[[], int]) -> None:
        draw()  # what happens does not depend on whether anybody listens

    def _book(self, bits: int, more: int, now: int) -> str:
        walk = self._walk
        gap = max(1, walk.spread // 2)
        bids, asks = (
            ",".join(
                f"[{self._price(max(1, first + level * step))},{self._size(more >> 2 * level)}]"
                for level in range(_BOOK_LEVELS)
            )
            for first, step in ((walk.bid, -gap), (walk.ask, gap))
        )
        return (
            f'{{"ev":"XL2{self._head}"t":{now},"r":{now + 1},"x":{self._exchange(bits)},'
            f'"b":[{bids}],"a":[{asks}]}}'
        )

    def _price(self, price: int) -> str:
        return amount_text(price, self._decimals)

    def _size(self, bits: int) -> str:
        return amount_text(1 + self._typical_size * (bits & 1023) // 128, _SIZE_DECIMALS)

    @staticmethod
    def _exchange(bits: int) -> int:
        return _EXCHANGES[bits >> 3 & 7]


def _bar_form(symbol: str, decimals: int) -> BarForm:
    price_text = partial(amount_text, decimals=decimals)

    def form(event_type: str, window: Window, day: Window, start: int, end: int) -> str:
        volume = amount_text(window.volume, _SIZE_DECIMALS)
        return (
            f'{{"ev":"{event_type}","pair":"{symbol}","v":{volume},"vw":{price_text(window.mean)},'
            f'"z":{window.volume // (window.trades * _SIZE_UNITS)},{bar_prices(window, price_text)},'
            f'"s":{start},"e":{end}}}'
        )

    return form


def crypto_pairs(start: int) -> Sequence[Callable[[int], CryptoPair]]:
    """Return what makes each pair, the most active first; the same whenever the market begins."""
    return [partial(CryptoPair, pair) for pair in PAIRS]
