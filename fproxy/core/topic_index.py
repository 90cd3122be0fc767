"""Which clients a topic concerns: the way back from an upstream's topic to those who asked for it."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from fproxy.core.spread import SpreadDict

Holder = TypeVar("Holder", bound=Hashable)


class TopicIndex(Generic[Holder]):
    """Topics, each with its holders.

    One may hold a topic more than once, as bars of two intervals hold one topic of trades.

    Most topics have one holder, who is kept without a set of its own: 100,000 topics of one client cost 100,000 entries
    of one table.
    """

    __slots__ = ("_holders",)

    def __init__(self) -> None:
        # Topic -> its only holder, who holds it once; or its holders, each with how many times it holds it.
        self._holders = SpreadDict[Hashable, Holder | dict[Holder, int]]()

    def __len__(self) -> int:
        """Return how many topics have a holder."""
        return len(self._holders)

    def add(self, topic: Hashable, holder: Holder) -> None:
        """``holder``, which is no dict, holds ``topic`` once more."""
        part = self._holders.part(topic)
        held = part.get(topic)
        if held is None:
            part[topic] = holder
        elif isinstance(held, dict):
            held[holder] = held.get(holder, 0) + 1
        elif held == holder:
            part[topic] = {holder: 2}
        else:
            part[topic] = {held: 1, holder: 1}

    def discard(self, topic: Hashable, holder: Holder) -> None:
        """``holder`` holds ``topic`` once less; nothing when it does not hold it."""
        part = self._holders.part(topic)
        held = part.get(topic)
        if isinstance(held, dict):
            count = held.get(holder, 0)
            if count > 1:
                held[holder] = count - 1
            elif count == 1:
                del held[holder]
                if not held:
                    del part[topic]
        elif held == holder:
            del part[topic]

    def holders(self, topic: Hashable) -> tuple[Holder, ...]:
        """Return whoever holds ``topic``, each once."""
        held = self._holders.get(topic)
        if held is None:
            return ()
        return tuple(held) if isinstance(held, dict) else (held,)
