"""The forex pairs of the simulated market.

Quotes and the bars that they build have the forms of the vendor's published WebSocket specification.
A topic spells a pair ``EUR-USD``; events spell it ``EUR/USD``, and fair market values ``C:EURUSD``.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from fproxy.simulation.amounts import amount_text
from fproxy.simulation.bars import EVERYTHING, BarForm, Bars, Window, bar_prices
from fproxy.simulation.walk import Walk

_EXCHANGE: Final = 48  # the vendor's number for its forex feed

# Of 1024 events: the rest are quotes.
_FAIR_VALUES: Final = 12


class CurrencyPair(NamedTuple):
    """One pair, and where its walk begins.

    Attributes:
        symbol: such as ``EUR-USD``.
        price: the first price, in units of ten to the power of ``-decimals``.
        decimals: how many decimals its quotes have.
    """

    symbol: str
    price: int
    decimals: int


PAIRS: Final = tuple(
    CurrencyPair(symbol, int(price.replace(".", "")), len(price.partition(".")[2]))
    for symbol, price in (
        line.split()
        for line in (
            *("EUR-USD 1.15893", "USD-JPY 156.412", "GBP-USD 1.32154", "AUD-USD 0.64971", "USD-CAD 1.40876"),
            *("USD-CHF 0.80632", "NZD-USD 0.57014", "EUR-GBP 0.87688", "EUR-JPY 181.264", "GBP-JPY 206.715"),
            *(
                "USD-CNH 7.08312",
                "USD-MXN 18.30415",
                "USD-SEK 9.47632",
                "USD-NOK 10.17422",
                "EUR-CHF 0.93447",
            ),
            *("AUD-JPY 101.625", "CAD-JPY 111.031", "USD-SGD 1.29984", "USD-HKD 7.78235", "USD-ZAR 17.15238"),
            *(
                "XAU-USD 4163.25",
                "XAG-USD 53.412",
                "USD-TRY 42.48521",
                "EUR-NOK 11.79154",
                "USD-INR 89.21450",
            ),
        )
    )
)
"""Every forex pair of the simulated market, the most active first."""


class ForexPair:
    """One forex pair of the simulated market.

    Args:
        pair: its symbol and first price.
        sequence: not used; there are no sequence numbers in forex.

    Attributes:
        symbol: its symbol, as a topic spells it.
        bars: the bars that the middle of its quotes builds.
    """

    __slots__ = ("_decimals", "_fair_symbol", "_head", "_walk", "bars", "symbol")

    def __init__(self, pair: CurrencyPair, sequence: int) -> None:
        self.symbol, price, self._decimals = pair
        slashed = self.symbol.replace("-", "/")
        self._walk = Walk(price, max(1, price // 100_000))
        self._head = f'{{"ev":"C","p":"{slashed}","x":"{_EXCHANGE}","a":'
        self._fair_symbol = f"C:{self.symbol.replace('-', '')}"
        self.bars = Bars(_bar_form(slashed, self._decimals + 1), second_type="CAS", minute_type="CA")

    def happen(
        self, choice: int, bits: int, draw: Callable[[], int], now: int, *, render: bool
    ) -> tuple[str | None, bool]:
        """Have something happen to the pair; see ``Instrument.happen``."""
        walk = self._walk
        if choice < _FAIR_VALUES:
            middle = amount_text(walk.bid + walk.spread // 2, self._decimals)
            event = f'{{"ev":"FMV","fmv":{middle},"sym":"{self._fair_symbol}","t":{now}}}'
            return (event if render else None), False
        walk.move(bits)
        # A half is one decimal more.
        self.bars.second.add((walk.bid + walk.ask) * 5, 1, EVERYTHING)
        ask, bid = amount_text(walk.ask, self._decimals), amount_text(walk.bid, self._decimals)
        return (f'{self._head}{ask},"b":{bid},"t":{now}}}' if render else None), True


def _bar_form(slashed: str, decimals: int) -> BarForm:
    price_text = partial(amount_text, decimals=decimals)

    def form(event_type: str, window: Window, day: Window, start: int, end: int) -> str:
        return (
            f'{{"ev":"{event_type}","pair":"{slashed}",{bar_prices(window, price_text)},"v":{window.trades},'
            f'"s":{start}}}'
        )

    return form


def forex_pairs(start: int) -> Sequence[Callable[[int], ForexPair]]:
    """Return what makes each pair, the most active first; the same whenever the market begins."""
    return [partial(ForexPair, pair) for pair in PAIRS]
