"""Topics that were asked for after a server last said where its stream is.

What is recovered on the next connection begins at that place. Of these topics it would be more than was missed: what
the server had sent before it knew of them, behind what has come since.
"""

from collections.abc import Collection
from typing import Final

from fproxy.core.spread import SpreadSet, free_some

FREED: Final = 16
"""How many forgotten topics are freed with each change, and besides as often as there are topics in it ..."""

FREED_FOR_EACH: Final = 4
"""... so many: more than can come to be forgotten for each."""


class UnplacedTopics:
    """Those of one role and its server, from connection to connection.

    Nothing here takes longer for more topics than are passed in: what is forgotten at once is freed little by little.
    """

    __slots__ = ("_acknowledged", "_forgotten", "_requested")

    def __init__(self) -> None:
        """Begin without any."""
        # Those that have been asked for, the latest first; and those that earlier servers had acknowledged.
        self._requested: list[SpreadSet[str]] = [SpreadSet()]
        # The next place that is told is behind these.
        self._acknowledged = SpreadSet[str]()
        self._forgotten: list[dict[str, None]] = []

    def __contains__(self, topic: str) -> bool:
        """Return whether a topic is one of them."""
        return topic in self._acknowledged or any(topic in requested for requested in self._requested)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._acknowledged) or any(self._requested)

    def requested(self, topics: Collection[str]) -> None:
        """Topics are asked for."""
        self._requested[0].update(topics)
        self._free_some(len(topics))

    def acknowledged(self, topics: Collection[str]) -> None:
        """The server has acknowledged topics: those among them have a place once it tells the next one."""
        for topic in topics:
            if any(topic in requested for requested in self._requested):
                for requested in self._requested:
                    requested.discard(topic)
                self._acknowledged.add(topic)
        self._free_some(len(topics))

    def given_up(self, topics: Collection[str]) -> None:
        """Topics are wanted no more, or were refused."""
        for topic in topics:
            for unplaced in (self._acknowledged, *self._requested):
                unplaced.discard(topic)
        self._free_some(len(topics))

    def placed(self) -> None:
        """The server has said where its stream is."""
        self._forgotten += self._acknowledged.parts
        self._acknowledged = SpreadSet()
        self._free_some(0)

    def lost(self) -> None:
        """The connection is lost: what is told on the next one is not behind what came on this one."""
        self._keep([self._acknowledged])
        self._acknowledged = SpreadSet()

    def take_all(self) -> "UnplacedTopics":
        """Return all, and forget them."""
        taken = UnplacedTopics()
        taken._keep([self._acknowledged, *self._requested])
        self._requested, self._acknowledged = [SpreadSet()], SpreadSet()
        return taken

    def put_back(self, taken: "UnplacedTopics") -> None:
        """Remember what was taken after all."""
        self._keep(taken._requested)

    def clear(self) -> None:
        """Nothing depends on it any more."""
        for unplaced in (self._acknowledged, *self._requested):
            self._forgotten += unplaced.parts
        self._requested, self._acknowledged = [SpreadSet()], SpreadSet()

    def _keep(self, more: list[SpreadSet[str]]) -> None:
        first, *earlier = self._requested
        self._requested = [first, *(requested for requested in (*earlier, *more) if requested)]

    def _free_some(self, changed: int) -> None:
        if self._forgotten:
            free_some(self._forgotten, FREED + FREED_FOR_EACH * changed)
