"""Which trades flow from an upstream, and from when on: what bars of whole windows depend on.

Where a market's bars are built of other events, quotes or values, those are meant wherever this speaks of trades.

A symbol's trades flow from the moment when the upstream acknowledges the subscription until the moment when the
subscription is given up, refused, or lost with the connection. Acknowledgements come in order with the trades, so they
tell exactly. An upstream that does not acknowledge anything (simple firehoses send everything to everyone) is taken
at its silence after a while.

From a firehose that sends everybody everything all trades flow, whatever is subscribed to: the follower is told so if
it keeps them.

When a connection is lost whose upstream may bring later what is missed now, trades are taken as flowing on: they come
late, and in order. Whether they do is known when the upstream is back.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from fproxy.core.demand import DEFAULT_LINGER, Demand
from fproxy.core.demand_changes import Changes
from fproxy.core.spread import SpreadDict, SpreadSet
from fproxy.core.status_event import (
    INTERRUPTED_STATUS,
    RESTORED_STATUS,
    StatusError,
    answers_unsubscribe,
    parse_status,
    words,
)
from fproxy.core.topics import WILDCARD

ANSWER_TIME: Final = 2.0
"""How long an upstream that acknowledges nothing has before its silence counts as an acknowledgement, in seconds."""

LATE_ANSWER_TIME: Final = 10.0
"""The same for one that has answered anything on this connection, such as auth: it is late, and not silent."""


class TradeFollower(Protocol):
    """Who has to know which trades flow: ``fproxy._bars.BarBuilder``."""

    def trades_started(self, symbol: str) -> None:
        """From now on every trade of ``symbol`` comes."""

    def trades_stopped(self, symbol: str) -> None:
        """From now on trades of ``symbol`` may be missed."""

    def gap(self) -> None:
        """From now on trades of every symbol may be missed."""


class TradeDemand(Demand):
    """A demand that tells a follower of the trades under it which of them flow."""

    __slots__ = (
        "_all_flow",
        "_all_trades",
        "_answers",
        "_catches_up",
        "_deferred",
        "_defers",
        "_flowing",
        "_follower",
        "_interrupted",
        "_is_undecided",
        "_prefix",
        "_trade_type",
        "_unanswered",
        "_wants_all",
    )

    def __init__(
        self,
        follower: TradeFollower,
        *,
        event_type: str = "T",
        linger: float = DEFAULT_LINGER,
        wants_all: bool = False,
    ) -> None:
        """Prepare a demand for nothing.

        Args:
            follower: whom to tell.
            event_type: the type of the trades.
            linger: how long an active topic stays active after its last release, in seconds.
            wants_all: tell the follower that all trades flow where they do, whatever is subscribed to.

        Raises:
            ValueError: ``linger`` is negative.
        """
        super().__init__(linger=linger)
        self._wants_all = wants_all
        self._all_flow = False  # whether all trades flow without being asked for
        self._follower = follower
        self._trade_type = event_type
        self._prefix = f"{event_type}."
        self._all_trades = f"{event_type}.{WILDCARD}"
        self._flowing = SpreadSet[str]()  # topics of trades
        self._answers = False  # whether the upstream has acknowledged anything on this connection
        self._interrupted = False  # whether it says that it misses trades itself
        self._catches_up = False
        self._is_undecided = False  # whether the trades that are missed may still be brought
        # While an upstream brings what was missed, which need not hold trades that nobody had subscribed to: those flow
        # when it has done so.
        self._defers = False
        self._deferred = SpreadSet[str]()
        # Topics of trades that were asked for: how many acknowledgements are due, and when the last one was asked for.
        self._unanswered = SpreadDict[str, tuple[int, float]]()

    @property
    def catches_up(self) -> bool:
        """Whether trades that come are late, because they were missed before, or may be."""
        return self._catches_up

    def changes(self, now: float, *, drop: bool = True) -> Changes:
        """Return what has to be said upstream now, and take it as said; see ``Demand.changes``."""
        changes = super().changes(now, drop=drop)
        for topic in changes.subscribe:
            if topic.startswith(self._prefix):
                due, _ = self._unanswered.get(topic, (0, now))
                self._unanswered[topic] = (due + 1, now)
                # The upstream subscribes to it before it gives up the wildcard that has covered it.
                if self._all_trades in self._flowing:
                    self._start(topic)
        for topic in changes.given_up:
            if topic.startswith(self._prefix):
                self._stop(topic)
        if self._is_undecided and changes.are_all:
            # What was given up while there was no connection to say so on.
            for topic in [topic for topic in self._flowing if topic not in self._active]:
                self._stop(topic)
        return changes

    def answered(self, statuses: Iterable[bytes]) -> None:
        """The upstream has sent status events, each a JSON object as it came: look for acknowledgements."""
        for raw in statuses:
            try:
                status, text, _ = parse_status(raw)
            except StatusError:
                continue
            if status == INTERRUPTED_STATUS:
                self._interrupt()
            elif status == RESTORED_STATUS:
                self._restore()
            elif status == "auth_success":
                self._answers = True
            elif status == "success" and not answers_unsubscribe(text):
                self._decide(is_complete=False)  # else it would have said so before
                for topic in words(text):
                    self._acknowledged(topic)

    def take_silence(self, now: float) -> None:
        """Take as acknowledged what the upstream has had time to answer."""
        patience = LATE_ANSWER_TIME if self._answers else ANSWER_TIME
        overdue = [
            topic
            for part in self._unanswered.parts
            for topic, (_, asked) in part.items()
            if now - asked >= patience
        ]
        for topic in overdue:
            self._unanswered.pop(topic)
            if topic in self._active:
                self._start(topic)

    def refuse(self, topics: Iterable[str], message: str) -> None:
        """The upstream refused topics; see ``Demand.refuse``."""
        refused = [topic for topic in topics if topic in self._active]
        super().refuse(refused, message)
        for topic in refused:
            self._unanswered.pop(topic)
            self._stop(topic)

    def reset(self, *, is_recoverable: bool = False) -> None:
        """The connection is lost; see ``Demand.reset``."""
        super().reset(is_recoverable=is_recoverable)
        self.leftovers += (*self._unanswered.parts, *self._deferred.parts)
        self._unanswered, self._deferred = SpreadDict(), SpreadSet()
        self._answers = self._defers = False
        self._is_undecided = self._catches_up = is_recoverable and not self._interrupted
        self._interrupted = False
        if not self._is_undecided:
            self._lose_all()

    def recovering(self, *, is_complete: bool, all_of: Iterable[str], gap_ahead: bool = False) -> None:
        """The upstream is about to bring what was missed; see ``Demand.recovering``."""
        super().recovering(is_complete=is_complete, all_of=all_of)
        self._decide(is_complete=is_complete)
        self._defers = True
        self._catches_up = True
        if not gap_ahead:
            self.gap_passed()

    def gap_passed(self) -> None:
        """From here on nothing is missing in what the upstream brings."""
        if self._trade_type not in self._flows.all_of:
            return
        self._defers = False
        if self._wants_all:
            self._all_flow = True
            self._start(self._all_trades)
        for topic in self._active:
            if topic.startswith(self._prefix):
                self._start(topic)

    def recovered(self) -> None:
        """The upstream has brought all that it could; see ``Demand.recovered``."""
        super().recovered()
        self.gap_passed()
        self._defers = self._catches_up = False
        deferred, self._deferred = self._deferred, SpreadSet()
        for topic in deferred:
            self._start(topic)

    def unrecoverable(self) -> None:
        """The upstream will not bring what was missed; see ``Demand.unrecoverable``."""
        super().unrecoverable()
        self._decide(is_complete=False)
        self.recovered()

    def _decide(self, *, is_complete: bool) -> None:
        """Whether the trades that were missed since the connection was lost come is known."""
        if self._is_undecided:
            self._is_undecided = False
            if not is_complete:
                self._lose_all()

    def _lose_all(self) -> None:
        self._flowing = SpreadSet()
        self._all_flow = False
        self._follower.gap()

    def _acknowledged(self, topic: str) -> None:
        self._answers = True
        due, asked = self._unanswered.get(topic, (0, 0.0))
        if due > 1:
            self._unanswered[topic] = (due - 1, asked)
        elif due == 1:
            self._unanswered.pop(topic)
            if topic in self._active:
                self._start(topic)

    def _start(self, topic: str) -> None:
        if self._defers and topic not in self._flowing:
            self._deferred.add(topic)
        elif topic not in self._flowing:
            self._flowing.add(topic)
            if not self._interrupted:
                self._follower.trades_started(topic.removeprefix(self._prefix))

    def _stop(self, topic: str) -> None:
        self._deferred.discard(topic)
        if topic == self._all_trades and self._all_flow:
            return
        if topic in self._flowing:
            self._flowing.discard(topic)
            if not self._interrupted:
                self._follower.trades_stopped(topic.removeprefix(self._prefix))

    def _interrupt(self) -> None:
        if not self._interrupted:
            self._interrupted = True
            self._follower.gap()

    def _restore(self) -> None:
        if self._interrupted:
            self._interrupted = False
            for topic in self._flowing:
                self._follower.trades_started(topic.removeprefix(self._prefix))
