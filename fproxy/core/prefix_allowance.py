"""How many prefixes one client may have: each is looked at for what begins like it, so they are bounded apart."""

from collections.abc import Set as AbstractSet
from typing import Final

from fproxy.core.topics import Topic

MAX_PREFIXES: Final = 1_000
"""The most prefixes that a client may have at once: the chains of twice as many underlyings as most indices have."""


class PrefixAllowance:
    """The prefixes that a client has.

    It is told of what the client subscribes to and unsubscribes from. What the client does not have all the same,
    because it was refused later, is found out when it matters.
    """

    __slots__ = ("_fresh", "_most", "_topics")

    def __init__(self, most: int = MAX_PREFIXES) -> None:
        """Begin without topics.

        Args:
            most: how many prefixes the client may have.
        """
        self._most = most
        self._topics: set[Topic] = set()
        self._fresh: set[Topic] = set()  # those that the client has not had the time to get

    def begin(self) -> None:
        """By now the client has what it was granted, unless it was refused it."""
        self._fresh.clear()

    def refusal(self, topic: Topic, held: AbstractSet[Topic]) -> str | None:
        """Count one topic more, or return why the client may not have it.

        Args:
            topic: any topic; only prefixes are counted.
            held: what the client has.
        """
        if not topic.is_prefix or topic in held or topic in self._topics:
            return None
        if len(self._topics) >= self._most:
            self._topics = {other for other in self._topics if other in held or other in self._fresh}
            if len(self._topics) >= self._most:
                return f"too many prefixes, a client may have {self._most}"
        self._topics.add(topic)
        self._fresh.add(topic)
        return None

    def forget(self, topic: Topic) -> None:
        """The client unsubscribes from a topic, whether it has it or not."""
        self._topics.discard(topic)
