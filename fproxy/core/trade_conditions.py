"""Which parts of a bar a trade may change, by its conditions.

The rules for stocks are those that the SIPs (CTA for tapes A and B, UTP for tape C) publish for their consolidated
high, low, last and volume, in the numbering of conditions that the vendor uses on the wire; the vendor serves
the same table as ``update_rules.consolidated`` of its reference data on trade conditions
(``/v3/reference/conditions``, asset class "stocks", data type "trade"). The vendor builds its second and
minute bars by them, and so do fproxy's own bars.

One rule differs in bars: condition 12 (extended hours) forbids prices by the consolidated rules, because the
day's high and low are those of the session, but the vendor's second and minute bars do take prices from
extended-hours trades, or there would be no bars outside the session. ``extended_hours`` chooses between
the two.

Options have conditions of their own, the OPRA's, in the vendor's numbering with the vendor's rules (the same reference
data, asset class "options"). Conditions of crypto trades say who was the aggressor, and forbid nothing. Of futures no
table of conditions is known here: whatever a trade of theirs carries allows everything, and is counted as unknown.

The bars made by these rules, here and in the simulated market alike:

- high and low are those of the trades that may set them; a window without such a trade has no bar;
- open and close are the first and last of the trades that may set them. Where a window has a high and a low
  but no trade that may set open and close (a lone derivatively priced one), they are the first and last of
  those that may set high and low: there is no better price in that window;
- volume, volume-weighted price and count of trades are over the trades that may update volume.
"""

from collections.abc import Iterable, Mapping
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
"""Every condition of stocks with a rule, by its number in a trade's ``c``; one that is not here allows everything."""

OPTION_CONDITIONS: Final[dict[int, TradeCondition]] = {
    201: TradeCondition("Canceled", False, False, False),
    202: TradeCondition("Late and Out Of Sequence", False, False, False),
    203: TradeCondition("Last and Canceled", False, False, False),
    204: TradeCondition("Late", False, False, False),
    205: TradeCondition("Opening Trade and Canceled", False, False, False),
    206: TradeCondition("Opening Trade, Late, and Out Of Sequence", False, False, False),
    207: TradeCondition("Only Trade and Canceled", False, False, False),
    208: TradeCondition("Opening Trade and Late", True, True, True),
    209: TradeCondition("Automatic Execution", True, True, True),
    210: TradeCondition("Reopening Trade", True, True, True),
    219: TradeCondition("Intermarket Sweep Order", True, True, True),
    227: TradeCondition("Single Leg Auction Non ISO", True, True, True),
    228: TradeCondition("Single Leg Auction ISO", True, True, True),
    229: TradeCondition("Single Leg Cross Non ISO", True, True, True),
    230: TradeCondition("Single Leg Cross ISO", True, True, True),
    231: TradeCondition("Single Leg Floor Trade", True, True, True),
    232: TradeCondition("Multi Leg auto-electronic trade", True, True, True),
    233: TradeCondition("Multi Leg Auction", True, True, True),
    234: TradeCondition("Multi Leg Cross", True, True, True),
    235: TradeCondition("Multi Leg floor trade", True, True, True),
    236: TradeCondition("Multi Leg auto-electronic trade against single leg(s)", True, True, True),
    237: TradeCondition("Stock Options Auction", True, True, True),
    238: TradeCondition("Multi Leg Auction against single leg(s)", True, True, True),
    239: TradeCondition("Multi Leg floor trade against single leg(s)", True, True, True),
    240: TradeCondition("Stock Options auto-electronic trade", True, True, True),
    241: TradeCondition("Stock Options Cross", True, True, True),
    242: TradeCondition("Stock Options floor trade", True, True, True),
    243: TradeCondition("Stock Options auto-electronic trade against single leg(s)", True, True, True),
    244: TradeCondition("Stock Options Auction against single leg(s)", True, True, True),
    245: TradeCondition("Stock Options floor trade against single leg(s)", True, True, True),
    246: TradeCondition("Multi Leg Floor Trade of Proprietary Products", False, False, True),
    247: TradeCondition("Multilateral Compression Trade of Proprietary Products", False, False, True),
    248: TradeCondition("Extended Hours Trade", False, False, True),
}
"""The same for options."""

CRYPTO_CONDITIONS: Final[dict[int, TradeCondition]] = {
    0: TradeCondition("Not known", True, True, True),
    1: TradeCondition("Sellside", True, True, True),
    2: TradeCondition("Buyside", True, True, True),
}
"""The same for crypto."""


def effect_of(
    conditions: Iterable[int], *, extended_hours: bool, rules: Mapping[int, TradeCondition] = CONDITIONS
) -> ConditionEffect:
    """Return what a trade may change: only what every one of its conditions allows.

    Args:
        conditions: the numbers in the trade's ``c``; none of them for a trade without ``c``. A number that is
            not in ``rules`` allows everything.
        extended_hours: True for second, minute and millisecond bars, in which condition 12 itself forbids
            nothing (the trade's other conditions still count); False for the consolidated rules as the SIPs
            state them.
        rules: the conditions of the market.
    """
    high_low = open_close = volume = True
    for number in conditions:
        condition = rules.get(number)
        if condition is None or (extended_hours and number == EXTENDED_HOURS):
            continue
        high_low = high_low and condition.updates_high_low
        open_close = open_close and condition.updates_open_close
        volume = volume and condition.updates_volume
    return ConditionEffect(high_low, open_close, volume)
