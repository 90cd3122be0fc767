"""What an aggregator asks its firehose for."""

from fproxy._bars import BarBuilder
from fproxy.core.bar_wants import BarWants
from fproxy.core.demand_changes import Changes
from fproxy.core.trade_demand import TradeDemand


class BarTradeDemand(TradeDemand):
    """The demand for trades, which gives up bars that nobody wants before it gives up their trades.

    Else the open windows of those bars would count as lost.
    """

    __slots__ = ("_wants",)

    def __init__(
        self, builder: BarBuilder, wants: BarWants, *, event_type: str, linger: float, wants_all: bool
    ) -> None:
        """Prepare a demand for nothing; the arguments are those of ``TradeDemand``, and the bars that clients want."""
        super().__init__(builder, event_type=event_type, linger=linger, wants_all=wants_all)
        self._wants = wants

    def changes(self, now: float, *, drop: bool = True) -> Changes:
        """Return what has to be said upstream now; see ``Demand.changes``."""
        self._wants.expire(now)
        return super().changes(now, drop=drop)
