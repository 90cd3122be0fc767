"""What kinds of trades there are, and how often each comes up.

A kind is a set of conditions with what follows from it. The frequencies are about those of a US trading day:
half of all trades are odd lots, more than a third are intermarket sweeps, and a few in a hundred are out of
the ordinary.
"""

from typing import Final, NamedTuple

from fproxy.core.trade_conditions import ConditionEffect, effect_of

ODD_LOT: Final = 37


class TradeKind(NamedTuple):
    """One kind of trade.

    Attributes:
        conditions: its conditions, as in the vendor's ``c``.
        field: the JSON field with a comma before it, such as ``,"c":[14,41]``; empty without conditions.
        is_odd_lot: whether it is smaller than a round lot.
        effect: what it may change in a bar.
    """

    conditions: tuple[int, ...]
    field: str
    is_odd_lot: bool
    effect: ConditionEffect


_FREQUENCIES: Final[dict[tuple[int, ...], int]] = {
    (): 304,
    (14, 41): 190,
    (37,): 176,
    (14, 37, 41): 206,
    (12,): 14,
    (12, 37): 26,
    (12, 14, 41): 10,
    (12, 14, 37, 41): 18,
    (10,): 8,
    (10, 37): 6,
    (10, 41): 6,
    (2,): 5,
    (41, 52): 6,
    (52,): 3,
    (41, 53): 7,
    (53,): 4,
    (9,): 3,
    (9, 17, 41): 2,  # 17 has no rule
    (8, 9, 41): 2,
    (22,): 4,
    (15,): 3,
    (16,): 3,
    (4,): 3,
    (5,): 2,
    (7,): 3,
    (12, 13): 2,
    (20,): 1,
    (21,): 2,
    (29,): 1,
    (33,): 2,
    (25, 41): 1,
    (28,): 1,
}
"""How many trades in 1024 carry each set of conditions."""

TRADE_KINDS: Final[tuple[TradeKind, ...]] = tuple(
    TradeKind(
        conditions,
        f',"c":[{",".join(map(str, conditions))}]' if conditions else "",
        ODD_LOT in conditions,
        effect_of(conditions, extended_hours=True),
    )
    for conditions, frequency in _FREQUENCIES.items()
    for _ in range(frequency)
)
"""1024 kinds, each as often as it comes up: an even draw among them is a draw by frequency."""
