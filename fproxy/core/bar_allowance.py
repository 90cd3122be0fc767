"""What one client may have of the millisecond bars, so that it leaves room for the others."""

from collections.abc import Set as AbstractSet
from typing import Final

from fproxy.core.topics import WILDCARD, Topic, bar_interval

DEFAULT_MAX_BAR_WILDCARDS: Final = 4
"""At how many intervals a client may have the bars of all symbols: each puts every trade into one window more."""

MAX_BAR_WILDCARDS: Final = 64
"""At how many intervals all clients together may have the bars of all symbols."""

MAX_BAR_INTERVALS: Final = 256
"""At how many intervals they may have the bars of one symbol, those of all symbols included."""

DEFAULT_MAX_BAR_INTERVALS: Final = 32
"""At how many intervals a client may have the bars of one symbol: others want some, too."""

CLIENT: Final = "a client"
"""Who has a limit, as refusals say it."""

ALL_CLIENTS: Final = "all clients together"
"""The same where the client is a filtered proxy, whose own clients are told what it is refused."""


class BarAllowance:
    """How many intervals a client has of each symbol, and of all.

    It is told of what the client subscribes to and unsubscribes from. What the client does not have all the same,
    because it was refused later, is found out when it matters.
    """

    __slots__ = ("_fresh", "_holder", "_max_intervals", "_max_wildcards", "_topics")

    def __init__(self, *, max_wildcards: int, max_intervals: int, holder: str = CLIENT) -> None:
        """Begin without topics.

        Args:
            max_wildcards: at how many intervals the client may have the bars of all symbols.
            max_intervals: at how many intervals it may have the bars of one symbol.
            holder: who has these limits, as a refusal says it.
        """
        self._holder = holder
        self._max_intervals = max_intervals
        self._max_wildcards = max_wildcards
        self._topics: dict[str, tuple[Topic, ...]] = {}  # of millisecond bars, by symbol
        self._fresh: set[Topic] = set()  # those that the client has not had the time to get

    def begin(self) -> None:
        """By now the client has what it was granted, unless it was refused it."""
        self._fresh.clear()

    def refusal(self, topic: Topic, held: AbstractSet[Topic]) -> str | None:
        """Count one topic more, or return why the client may not have it.

        Args:
            topic: any topic; those of other types are not counted.
            held: what the client has.
        """
        if topic in held or bar_interval(topic.event_type) is None:
            return None
        symbol = topic.covering.symbol  # for a prefix, bars of all symbols are built
        is_wildcard = symbol == WILDCARD
        most = self._max_wildcards if is_wildcard else self._max_intervals
        topics = self._topics.get(symbol, ())
        if topic in topics:
            return None
        if len(topics) >= most:
            topics = tuple(other for other in topics if other in held or other in self._fresh)
            if len(topics) >= most:
                of = "all symbols" if is_wildcard else "one symbol"
                return f"too many intervals, {self._holder} may have {most} of {of}"
        self._topics[symbol] = (*topics, topic)
        self._fresh.add(topic)
        return None

    def forget(self, topic: Topic) -> None:
        """The client unsubscribes from a topic, whether it has it or not."""
        symbol = topic.covering.symbol
        topics = self._topics.get(symbol, ())
        if topic not in topics:
            return
        self._fresh.discard(topic)
        left = tuple(other for other in topics if other != topic)
        if left:
            self._topics[symbol] = left
        else:
            del self._topics[symbol]
