"""What the aggregator brings once more of topics that flow already, for clients that ask for what has passed.

It is kept in the history beside what came live, and is for nobody else: they have had it. A client that asks is
brought that, from its beginning to its end, and then what has come of the topics since: everything once, and in order.
"""

from collections import deque
from collections.abc import Callable, Collection, Set
from typing import NamedTuple

from fproxy._fastpath import Fanout, FanoutInput, History
from fproxy.core.demand import Demand
from fproxy.core.market import Upstream
from fproxy.core.past_requests import PastRequest
from fproxy.core.routes import Route
from fproxy.core.topics import WILDCARD, Topic, is_covered
from fproxy.roles.market_fanouts import PAST_SOURCE
from fproxy.shell.clock import unix_ms

FlowsSince = Callable[[Collection[Topic], int], bool]
"""Returns whether what came live of topics has nothing missing from a time on, in Unix milliseconds."""


class Passage(NamedTuple):
    """Where in the history that is, of some topics.

    Attributes:
        since: from when on it was asked for, in Unix milliseconds.
        first: the number of the first message.
        end: the number of the first one behind it.
        at: when it had come, in Unix milliseconds.
        is_complete: whether it was all there was.
    """

    since: int
    first: int
    end: int
    at: int
    is_complete: bool


class BroughtPast:
    """Has the aggregator asked for it, and knows where it is. This is a ``PastTaker``."""

    def __init__(
        self,
        demand: Demand,
        upstream: FanoutInput,
        history: History,
        *,
        route: Route,
        fanout: Callable[[], Fanout],
        flows_since: FlowsSince,
        is_kept: Callable[[], bool],
        asked: Callable[[], None],
    ) -> None:
        """Begin with nothing.

        Args:
            demand: what is asked of the aggregator.
            upstream: takes the aggregator's messages.
            history: keeps them.
            route: where topics are served.
            fanout: returns a fan-out without clients that matches what was brought.
            flows_since: tells what need not be asked for.
            is_kept: returns whether the aggregator keeps what has passed.
            asked: called when it is to be asked.
        """
        self.fanout = fanout
        self._demand = demand
        self._upstream = upstream
        self._live_source = upstream.source
        self._history = history
        self._route = route
        self._flows_since = flows_since
        self._is_kept = is_kept
        self._asked = asked
        self._first: int | None = None  # of what is coming now
        self._passages: dict[str, Passage] = {}
        self._kept: deque[tuple[Passage, tuple[str, ...]]] = deque()  # the oldest first
        demand.past.taker = self

    def is_apart(self, topic: Topic) -> bool:
        """Return whether what has passed of a topic is asked for apart from the topic itself."""
        return self._text(topic) is not None and self._is_kept()

    @property
    def is_busy(self) -> bool:
        """Whether the aggregator is to be asked, or brings something: meanwhile it must not be asked in another way."""
        return bool(self._demand.past)

    def fetch(self, topics: Collection[Topic], since: int, *, held: Set[Topic]) -> frozenset[Topic]:
        """Have the aggregator asked for what a client wants that has passed, and is not here.

        Args:
            topics: what it asks for.
            since: from when on, in Unix milliseconds.
            held: what it has now, these among it.

        Returns:
            those of the topics that it is brought apart.
        """
        apart: set[Topic] = set()
        # Wildcards and short prefixes first, as they bring what is under them.
        for topic in sorted(
            topics, key=lambda topic: (not topic.symbol.endswith(WILDCARD), len(topic.symbol))
        ):
            text = self._text(topic)
            if text is None or not self.is_apart(topic) or self._flows_since([topic], since):
                continue
            if is_covered(topic, held):
                # What comes live of a wildcard that it has already cannot be told from what has passed of this one.
                if is_covered(topic, apart):
                    apart.add(topic)
                continue
            apart.add(topic)
            if self.passage(topic, since) is None:
                self._demand.past.want(text, since)
        if apart:
            self._asked()
        return frozenset(apart)

    def passage(self, topic: Topic, since: int) -> Passage | None:
        """Return where what has passed of a topic since a time is; None when it is not there."""
        text = self._text(topic)
        passage = None if text is None else self._passages.get(text)
        if passage is None or passage.since > since or passage.first < self._history.first:
            return None
        return passage if self._flows_since([topic], passage.at) else None

    # What the demand calls.

    def begins(self) -> None:
        """What comes from now on has passed."""
        self._first = self._history.next
        self._upstream.source = PAST_SOURCE

    def ends(self, request: PastRequest | None, *, is_complete: bool) -> None:
        """All of it has come, for a request; or no more of it comes."""
        first, self._first = self._first, None
        self._upstream.source = self._live_source
        self._forget_old()
        if request is None or first is None:
            return
        passage = Passage(request.since, first, self._history.next, unix_ms(), is_complete)
        self._kept.append((passage, request.topics))
        self._passages.update(dict.fromkeys(request.topics, passage))

    def _forget_old(self) -> None:
        """Forget where something was that the history has forgotten."""
        while self._kept and self._kept[0][0].first < self._history.first:
            passage, topics = self._kept.popleft()
            for topic in topics:
                if self._passages.get(topic) is passage:
                    del self._passages[topic]

    def _text(self, topic: Topic) -> str | None:
        """Return what the aggregator is asked for a topic that it alone serves; None for others."""
        routed = tuple(self._route(topic))
        return routed[0][1] if len(routed) == 1 and routed[0][0] is Upstream.AGGREGATOR else None
