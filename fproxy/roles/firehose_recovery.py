"""What an aggregator minds while its firehose brings what was missed, or what it keeps from before the start."""

from fproxy._fastpath import FanoutInput
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.trade_demand import TradeDemand
from fproxy.core.upstream_effects import Recovering
from fproxy.roles.source_positions import SourcePositions


class FirehoseRecovery:
    """Which of those messages are for clients, from which on no trade is missing, and which number each has."""

    def __init__(
        self,
        native: FanoutInput,
        bars: FanoutInput,
        demand: TradeDemand,
        followed: FollowedStream,
        source: SourcePositions | None,
    ) -> None:
        """Begin with nothing to be brought.

        Args:
            native: takes the messages.
            bars: takes the bars that are made of them.
            demand: for trades.
            followed: where the aggregator stands in the firehose's stream.
            source: notes what it begins with; None when nothing is kept.
        """
        self._native = native
        self._bars = bars
        self._demand = demand
        self._followed = followed
        self._source = source
        self._gap_until: int | None = None  # trades may be missing up to the message of this number
        self._is_filling = False

    def take(self, payload: memoryview) -> list[bytes] | None:
        """Have a message taken; return its status events, nothing for none."""
        if self._gap_until is not None:
            self._look_for_end_of_gap(self._gap_until)
        if self._source is None or not self._is_filling:
            return self._native(payload)
        number = self._source.own_next
        statuses: list[bytes] | None = self._native(payload)
        self._source.taken(number)
        return statuses

    def begins(self, recovering: Recovering) -> None:
        """It follows."""
        # What the firehose keeps from before the aggregator began is for those who ask for it, and so are the bars of
        # that: a proxy that came before all of it may have had later ones of the aggregator before this one.
        self._native.is_live = self._bars.is_live = not recovering.is_fresh
        self._gap_until = recovering.complete_at if recovering.gap_ahead else None
        self._is_filling = recovering.is_fresh
        if self._source is not None and recovering.is_fresh:
            self._source.begins(recovering)

    def ends(self) -> None:
        """All of it has come."""
        if self._source is not None and self._is_filling:
            self._source.ends()
        self.fails()

    def fails(self) -> None:
        """It does not come."""
        self._native.is_live = self._bars.is_live = True
        self._gap_until = None
        self._is_filling = False

    def _look_for_end_of_gap(self, number: int) -> None:
        position = self._followed.position
        if position is None or position.next >= number:
            self._gap_until = None
            self._demand.gap_passed()
