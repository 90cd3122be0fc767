"""What an instrument of a simulated market is, whichever market that is."""

from collections.abc import Callable, Hashable, Sequence
from typing import Final, Protocol

from fproxy.simulation.bars import Bars

CHOICE_BITS: Final = 10
"""How many random bits choose what happens to an instrument."""


class Instrument(Hashable, Protocol):
    """One instrument: where its price is, and its events in the vendor's form.

    Attributes:
        symbol: its symbol, as a topic spells it.
        bars: the bars that its prices build.
    """

    symbol: str
    bars: Bars

    def happen(
        self, choice: int, bits: int, draw: Callable[[], int], now: int, *, render: bool
    ) -> tuple[str | None, bool]:
        """Have something happen to the instrument.

        Args:
            choice: says what: ``CHOICE_BITS`` random bits.
            bits: 30 random bits, of which it may use some: one draw serves a whole event.
            draw: returns 53 random bits more.
            now: Unix milliseconds.
            render: False when nobody listens: the same happens, but no event is made of it.

        Returns:
            the event, and whether it was one that bars are built of.
        """


Roster = Callable[[int], Sequence[Callable[[int], Instrument]]]
"""Returns what makes each instrument of a market that begins at a time (Unix milliseconds), the most active first.

A maker gets the number at which the sequence numbers of its instrument begin.
"""
