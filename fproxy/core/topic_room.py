"""What a client may still subscribe to."""

from collections.abc import Set as AbstractSet

from fproxy.core.bar_allowance import CLIENT, BarAllowance
from fproxy.core.prefix_allowance import PrefixAllowance
from fproxy.core.topics import Topic


class TopicRoom:
    """The room for the topics of one request, which are subscribed to in parts."""

    __slots__ = ("_bars", "_held", "_holder", "_is_tight", "_left", "_limit", "_prefixes")

    def __init__(
        self,
        held: AbstractSet[Topic],
        limit: int,
        bars: BarAllowance,
        prefixes: PrefixAllowance,
        holder: str = CLIENT,
    ) -> None:
        """Prepare for a request.

        Args:
            held: the topics that the client has, as a live view.
            limit: how many it may have.
            bars: what it may have of millisecond bars.
            prefixes: what it may have of prefixes.
            holder: who has the limit, as a refusal says it.
        """
        self._held = held
        self._limit = limit
        self._holder = holder
        self._bars = bars
        self._prefixes = prefixes
        self._left = 0
        self._is_tight = False

    def begin(self, count: int) -> None:
        """Begin a part of so many topics, with those before it held by now."""
        self._left = self._limit - len(self._held)
        self._is_tight = self._left < count
        self._bars.begin()
        self._prefixes.begin()

    def refusal(self, topic: Topic) -> str | None:
        """Take the room that a topic needs, or return why there is none; one that is held takes none."""
        takes_room = self._is_tight and topic not in self._held
        if takes_room and self._left <= 0:
            return f"too many topics, {self._holder} may have {self._limit}"
        refusal = self._prefixes.refusal(topic, self._held) or self._bars.refusal(topic, self._held)
        if takes_room and refusal is None:
            self._left -= 1
        return refusal
