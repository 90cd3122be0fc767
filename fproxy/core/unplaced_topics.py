"""Topics that were asked for after a server last said where its stream is.

What is recovered on the next connection begins at that place. Of these topics it would be more than was missed: what
the server had sent before it knew of them, behind what has come since.
"""

from collections.abc import Iterable


class UnplacedTopics:
    """Those of one role and its server, from connection to connection."""

    __slots__ = ("_acknowledged", "_requested")

    def __init__(self) -> None:
        """Begin without any."""
        self._requested: set[str] = set()
        # The next place that is told is behind these.
        self._acknowledged: set[str] = set()

    def __contains__(self, topic: str) -> bool:
        """Return whether a topic is one of them."""
        return topic in self._requested or topic in self._acknowledged

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._requested or self._acknowledged)

    def requested(self, topics: Iterable[str]) -> None:
        """Topics are asked for."""
        self._requested.update(topics)

    def acknowledged(self, topics: Iterable[str]) -> None:
        """The server has acknowledged topics: those among them have a place once it tells the next one."""
        for topic in topics:
            if topic in self._requested:
                self._requested.discard(topic)
                self._acknowledged.add(topic)

    def given_up(self, topics: Iterable[str]) -> None:
        """Topics are wanted no more, or were refused."""
        for topic in topics:
            self._requested.discard(topic)
            self._acknowledged.discard(topic)

    def placed(self) -> None:
        """The server has said where its stream is."""
        self._acknowledged.clear()

    def lost(self) -> None:
        """The connection is lost: what is told on the next one is not behind what came on this one."""
        self._requested |= self._acknowledged
        self._acknowledged.clear()

    def take_all(self) -> set[str]:
        """Return all, and forget them."""
        taken = self._requested | self._acknowledged
        self.clear()
        return taken

    def clear(self) -> None:
        """Nothing depends on it any more."""
        self._requested = set()
        self._acknowledged = set()
