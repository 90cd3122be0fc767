"""Which bars clients want, counted, and kept a while after the last of them has left.

A client that connects again soon finds its bars built without a break, and the last minute of them to be replayed.
"""

from collections import OrderedDict
from typing import Final, Protocol

from fproxy.core.bar_errors import TooManyIntervalsError
from fproxy.core.topics import Topic, bar_interval

DEFAULT_LINGER: Final = 30.0
"""How long bars are built after the last client that wanted them, in seconds."""


class BarSource(Protocol):
    """What builds the bars: ``fproxy._bars.BarBuilder``."""

    def want(self, interval_ms: int, symbol: str) -> None:
        """One more wants bars; TooManyIntervalsError when that would be too many intervals."""

    def unwant(self, interval_ms: int, symbol: str) -> None:
        """One less wants them."""


class BarWants:
    """The millisecond-bar topics that clients have, as wants of one builder.

    Every topic passed in is one of a type of digits and ``Ms``. Times are seconds of any clock.
    """

    __slots__ = ("_holders", "_lingering", "_source", "linger")

    def __init__(self, source: BarSource, *, linger: float = DEFAULT_LINGER) -> None:
        """Begin without wants.

        Args:
            source: what builds the bars.
            linger: how long it goes on building after the last release of a topic.
        """
        self.linger = linger
        self._source = source
        self._holders: dict[Topic, int] = {}
        self._lingering: OrderedDict[Topic, float] = OrderedDict()  # until when, the soonest first

    def acquire(self, topic: Topic) -> None:
        """One more client wants a topic.

        Raises:
            TooManyIntervalsError: its symbol is wanted at as many intervals as may be; nothing has changed.
        """
        holders = self._holders.get(topic, 0)
        if not holders and self._lingering.pop(topic, None) is None:
            self._want(topic)
        self._holders[topic] = holders + 1

    def release(self, topic: Topic, now: float) -> None:
        """One client less wants a topic, which was acquired."""
        holders = self._holders[topic]
        if holders > 1:
            self._holders[topic] = holders - 1
            return
        del self._holders[topic]
        self._lingering[topic] = now + self.linger

    def expire(self, now: float) -> None:
        """Give up the topics that have lingered long enough."""
        while self._lingering and next(iter(self._lingering.values())) <= now:
            topic, _ = self._lingering.popitem(last=False)
            self._unwant(topic)

    def _want(self, topic: Topic) -> None:
        try:
            self._source.want(_interval(topic), topic.symbol)
        except TooManyIntervalsError:
            idle = [other for other in self._lingering if other.symbol == topic.symbol]
            if not idle:
                raise
            for other in idle:
                del self._lingering[other]
                self._unwant(other)
            self._source.want(_interval(topic), topic.symbol)

    def _unwant(self, topic: Topic) -> None:
        self._source.unwant(_interval(topic), topic.symbol)


def _interval(topic: Topic) -> int:
    interval = bar_interval(topic.event_type)
    assert interval is not None, "a millisecond-bar topic"
    return interval
