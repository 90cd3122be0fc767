"""Which parts of a bar a trade may change, by its conditions.

The rules are those that the SIPs (CTA for tapes A and B, UTP for tape C) publish for their consolidated
high, low, last and volume, in the numbering of conditions that the vendor uses on the wire; the vendor serves
the same table as ``update_rules.consolidated`` of its reference data on trade conditions
(``/v3/reference/conditions``, asset class "stocks", data type "trade"). The vendor builds its second and
minute bars by them, and so do fproxy's own bars.

One rule differs in bars: condition 12 (extended hours) forbids prices by the consolidated rules, because the
day's high and low are those of the session, but the vendor's second and minute bars do take prices from
extended-hours trades, or there would be no bars outside the session. ``extended_hours`` chooses between
the two.

The bars made by these rules, here and in the simulated market alike:

- high and low are those of the trades that may set them; a window without such a trade has no bar;
- open and close are the first and last of the trades that may set them. Where a window has a high and a low
  but no trade that may set open and close (a lone derivatively priced one), they are the first and last of
  those that may set high and low: there is no better price in that window;
- volume, volume-weighted price and count of trades are over the trades that may update volume.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple


class TradeCondition(NamedTuple):
    """One condition that a trade may carry, and what it allows that trade to change.

    Attributes:
        name: the condition as the SIPs call it.
        updates_high_low: whether the trade may set the high and the low.
        updates_open_close: whether the trade may set the open (the first such trade) and the close
            (the last).
        updates_volume: whether the trade's size counts in the volume.
    """

    name: str
    updates_high_low: bool
    updates_open_close: bool
    updates_volume: bool


class ConditionEffect(NamedTuple):
    """What a trade may change, given all of its conditions.

    Attributes:
        high_low: whether it may set the high and the low.
        open_close: whether it may set the open and the close.
        volume: whether its size counts in the volume.
    """

    high_low: bool
    open_close: bool
    volume: bool


EXTENDED_HOURS: Final = 12
"""The condition of a trade outside the regular session."""

CONDITIONS: Final[dict[int, TradeCondition]] = {
    0: TradeCondition("Regular Sale", True, True, True),
    1: TradeCondition("Acquisition", True, True, True),
    2: TradeCondition("Average Price Trade", False, False, True),
    3: TradeCondition("Automatic Execution", True, True, True),
    4: TradeCondition("Bunched Trade", True, True, True),
    5: TradeCondition("Bunched Sold Trade", True, False, True),
    7: TradeCondition("Cash Sale", False, False, True),
    8: TradeCondition("Closing Prints", True, True, True),
    9: TradeCondition("Cross Trade", True, True, True),
    10: TradeCondition("Derivatively Priced", True, False, True),
    11: TradeCondition("Distribution", True, True, True),
    12: TradeCondition("Form T/Extended Hours", False, False, True),
    13: TradeCondition("Extended Hours (Sold Out of Sequence)", False, False, True),
    14: TradeCondition("Intermarket Sweep", True, True, True),
    15: TradeCondition("Market Center Official Close", False, False, False),
    16: TradeCondition("Market Center Official Open", False, False, False),
    20: TradeCondition("Next Day", False, False, True),
    21: TradeCondition("Price Variation Trade", False, False, True),
    22: TradeCondition("Prior Reference Price", True, False, True),
    23: TradeCondition("Rule 155 Trade (AMEX)", True, True, True),
    25: TradeCondition("Opening Prints", True, True, True),
    27: TradeCondition("Stopped Stock (Regular Trade)", True, True, True),
    28: TradeCondition("Re-Opening Prints", True, True, True),
    29: TradeCondition("Seller", True, False, True),
    30: TradeCondition("Sold Last", True, True, True),
    33: TradeCondition("Sold (Out of Sequence)", True, False, True),
    34: TradeCondition("Split Trade", True, True, True),
    36: TradeCondition("Yellow Flag Regular Trade", True, True, True),
    37: TradeCondition("Odd Lot Trade", False, False, True),
    38: TradeCondition("Corrected Consolidated Close (per listing market)", True, True, False),
    41: TradeCondition("Trade Thru Exempt", True, True, True),
    52: TradeCondition("Contingent Trade", False, False, True),
    53: TradeCondition("Qualified Contingent Trade", False, False, True),
}
"""Every condition with a rule, by its number in a trade's ``c``; one that is not here allows everything."""


def effect_of(conditions: Iterable[int], *, extended_hours: bool) -> ConditionEffect:
    """Return what a trade may change: only what every one of its conditions allows.

    Args:
        conditions: the numbers in the trade's ``c``; none of them for a trade without ``c``. A number that is
            not in `CONDITIONS` allows everything.
        extended_hours: True for second, minute and millisecond bars, in which condition 12 itself forbids
            nothing (the trade's other conditions still count); False for the consolidated rules as the SIPs
            state them.
    """
    high_low = open_close = volume = True
    for number in conditions:
        condition = CONDITIONS.get(number)
        if condition is None or (extended_hours and number == EXTENDED_HOURS):
            continue
        high_low = high_low and condition.updates_high_low
        open_close = open_close and condition.updates_open_close
        volume = volume and condition.updates_volume
    return ConditionEffect(high_low, open_close, volume)
