"""The indices of the simulated market.

Values and the bars that they build have the forms of the vendor's published WebSocket specification.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from fproxy.simulation.amounts import PRICE_UNITS, price_text
from fproxy.simulation.bars import EVERYTHING, BarForm, Bars, Window, bar_prices
from fproxy.simulation.walk import Walk

_STEP: Final = PRICE_UNITS // 100


class IndexListing(NamedTuple):
    """One index, and where its walk begins.

    Attributes:
        symbol: such as ``I:SPX``.
        value: the first value, in ten-thousandths.
    """

    symbol: str
    value: int


INDICES: Final = tuple(
    IndexListing(f"I:{name}", int(hundredths) * 100)
    for name, hundredths in (
        entry.split()
        for entry in (
            *(
                "SPX 676512",
                "NDX 2502347",
                "DJI 4711237",
                "VIX 1823",
                "RUT 246598",
                "COMP 2303148",
                "OEX 339041",
            ),
            *(
                "VIX1D 1342",
                "VXN 2385",
                "SOX 679820",
                "NYA 2161385",
                "XSP 67651",
                "MID 323074",
                "DJT 1612355",
            ),
            *(
                "DJU 110932",
                "XAU 31877",
                "BKX 15511",
                "UTY 121740",
                "HGX 74021",
                "TNX 4008",
                "TYX 4660",
                "SKEW 14771",
            ),
        )
    )
)
"""Every index of the simulated market, the most active first."""


class Index:
    """One index of the simulated market.

    Args:
        listing: its symbol and first value.
        sequence: not used; there are no sequence numbers in indices.

    Attributes:
        symbol: its symbol.
        bars: the bars that its values build.
    """

    __slots__ = ("_tail", "_walk", "bars", "symbol")

    def __init__(self, listing: IndexListing, sequence: int) -> None:
        self.symbol, value = listing
        self._walk = Walk(value, _STEP)
        self._tail = f',"T":"{self.symbol}","t":'
        self.bars = Bars(_bar_form(self.symbol, self._walk.bid))

    def happen(
        self, choice: int, bits: int, draw: Callable[[], int], now: int, *, render: bool
    ) -> tuple[str | None, bool]:
        """Have the index change; see ``Instrument.happen``."""
        self._walk.move(bits)
        value = self._walk.bid
        self.bars.second.add(value, 1, EVERYTHING)
        return (f'{{"ev":"V","val":{price_text(value)}{self._tail}{now}}}' if render else None), True


def _bar_form(symbol: str, official_open: int) -> BarForm:
    opening = price_text(official_open)

    def form(event_type: str, window: Window, day: Window, start: int, end: int) -> str:
        return (
            f'{{"ev":"{event_type}","sym":"{symbol}","op":{opening},{bar_prices(window, price_text)},'
            f'"s":{start},"e":{end}}}'
        )

    return form


def indices(start: int) -> Sequence[Callable[[int], Index]]:
    """Return what makes each index, the most active first; the same whenever the market begins."""
    return [partial(Index, listing) for listing in INDICES]
