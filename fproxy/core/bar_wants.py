"""Which bars clients want, counted, and kept a while after the last of them has left.

A client that connects again soon finds its bars built without a break, and the last minute of them to be replayed.
"""

from collections import OrderedDict
from typing import Final, Protocol

from fproxy.core.bar_errors import BarLimitError
from fproxy.core.topics import Topic, bar_interval

DEFAULT_LINGER: Final = 30.0
"""How long bars are built after the last client that wanted them, in seconds."""


class BarSource(Protocol):
    """What builds the bars: ``fproxy._bars.BarBuilder``."""

    def want(self, interval_ms: int, symbol: str) -> None:
        """One more wants bars; BarLimitError when that would be too many."""

    def unwant(self, interval_ms: int, symbol: str) -> None:
        """One less wants them."""


class BarWants:
    """The millisecond-bar topics that clients have, as wants of one builder.

    Every topic passed in is one of a type of digits and ``Ms``; for a prefix the bars of all symbols are wanted. Times
    are seconds of any clock.

    Attributes:
        linger: how long it goes on building after the last release of a topic.
        drops: how many topics have been given up.
    """

    __slots__ = ("_built_since", "_holders", "_lingering", "_lingering_of", "_source", "drops", "linger")

    def __init__(self, source: BarSource, *, linger: float = DEFAULT_LINGER) -> None:
        """Begin without wants.

        Args:
            source: what builds the bars.
            linger: how long it goes on building after the last release of a topic.
        """
        self.linger = linger
        self.drops = 0
        self._source = source
        self._built_since: dict[Topic, int] = {}
        self._holders: dict[Topic, int] = {}
        self._lingering: OrderedDict[Topic, float] = OrderedDict()  # until when, the soonest first
        self._lingering_of: dict[str, set[Topic]] = {}  # the same topics, by symbol

    def acquire(self, topic: Topic, *, at: int = 0) -> None:
        """One more client wants a topic.

        Args:
            topic: what it wants.
            at: when, in Unix milliseconds.

        Raises:
            BarLimitError: its symbol is wanted at as many intervals as may be, or there are too many bars already;
                no want has changed.
        """
        topic = topic.covering
        holders = self._holders.get(topic, 0)
        if not holders:
            if topic in self._lingering:
                self._end_lingering(topic)
            else:
                self._want(topic)
                self._built_since[topic] = at
        self._holders[topic] = holders + 1

    def built_since(self, topic: Topic) -> int | None:
        """Return from when on a topic's bars are built, in Unix milliseconds; None when they are not."""
        return self._built_since.get(topic.covering)

    def release(self, topic: Topic, now: float) -> None:
        """One client less wants a topic, which was acquired."""
        topic = topic.covering
        holders = self._holders[topic]
        if holders > 1:
            self._holders[topic] = holders - 1
            return
        del self._holders[topic]
        self._lingering[topic] = now + self.linger
        self._lingering_of.setdefault(topic.symbol, set()).add(topic)

    def expire(self, now: float) -> None:
        """Give up the topics that have lingered long enough."""
        while self._lingering and next(iter(self._lingering.values())) <= now:
            topic = next(iter(self._lingering))
            self._end_lingering(topic)
            self._unwant(topic)

    def _end_lingering(self, topic: Topic) -> None:
        del self._lingering[topic]
        of_symbol = self._lingering_of[topic.symbol]
        of_symbol.remove(topic)
        if not of_symbol:
            del self._lingering_of[topic.symbol]

    def _want(self, topic: Topic) -> None:
        try:
            self._source.want(_interval(topic), topic.symbol)
        except BarLimitError:
            idle = list(self._lingering_of.get(topic.symbol, ()))
            if not idle:
                raise
            for other in idle:
                self._end_lingering(other)
                self._unwant(other)
            self._source.want(_interval(topic), topic.symbol)

    def _unwant(self, topic: Topic) -> None:
        self._source.unwant(_interval(topic), topic.symbol)
        self._built_since.pop(topic, None)
        self.drops += 1


def _interval(topic: Topic) -> int:
    interval = bar_interval(topic.event_type)
    assert interval is not None, "a millisecond-bar topic"
    return interval
