"""What a bar builder has done, as numbers for its operator."""

from typing import NamedTuple


class BarCounts(NamedTuple):
    """Counts since a bar builder was made.

    Attributes:
        trades: trades that went into at least one window.
        late_trades: trades that came too late for at least one window that they belong to.
        misdated_trades: trades passed over because they were dated far ahead of the stream, and the trades after
            them were not.
        unusable_trades: trades of wanted symbols without a price, a size or a time that a trade can have.
        unknown_conditions: conditions of such trades that the market has no rule for; they forbid nothing.
        bars: bars built.
        lost_windows: windows given up, instead of sent incomplete, because trades of them were missed or they were
            too many.
        refused_windows: those of them given up because too many others were open.
        restarts: how often the stream began again at an earlier time.
    """

    trades: int
    late_trades: int
    misdated_trades: int
    unusable_trades: int
    unknown_conditions: int
    bars: int
    lost_windows: int
    refused_windows: int
    restarts: int
