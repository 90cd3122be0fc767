"""Wanted topics that an upstream may still have to be asked for, however many there are."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from fproxy.core.topic_queue import TopicQueue
from fproxy.core.topics import is_wildcard
from fproxy.core.visit import Visit


class UnaskedTopics:
    """Those that have come to be wanted, in their order; and where there may be more, after a connection was lost.

    Wildcards are taken before all others, which they may cover.
    """

    __slots__ = ("_is_looking", "_others", "_unlooked_others", "_unlooked_wildcards", "_wildcards")

    def __init__(
        self, wildcards: Iterable[Collection[str]] = (), others: Iterable[Collection[str]] = ()
    ) -> None:
        """Begin with none that are known to be among them.

        Args:
            wildcards: where there may be wildcards to ask for, in parts, as they will be when they are looked at.
            others: where there may be other topics; wildcards among these are passed over.
        """
        # Each with the time from when on what has passed is wanted too, in Unix milliseconds, or None.
        self._wildcards = TopicQueue[int | None]()
        self._others = TopicQueue[int | None]()
        self._unlooked_wildcards = Visit(wildcards)
        self._unlooked_others = Visit(others)
        self._is_looking = bool(self._unlooked_wildcards or self._unlooked_others)

    @property
    def has_more(self) -> bool:
        """Whether there may be any."""
        return bool(self._others.size or self._wildcards.size or self._is_looking)

    @property
    def has_wildcards(self) -> bool:
        """Whether there may be wildcards."""
        return bool(self._wildcards.size or (self._is_looking and self._unlooked_wildcards))

    def add(self, topic: str, since: int | None) -> None:
        """Add a topic, if it is not there; ``since`` as above."""
        queue = self._wildcards if is_wildcard(topic) else self._others
        if not queue.size or topic not in queue:
            queue.add(topic, since)

    def discard(self, topic: str) -> None:
        """Forget a topic that was added."""
        (self._wildcards if is_wildcard(topic) else self._others).discard(topic)

    def since(self, topic: str) -> int | None:
        """Return from when on what has passed of a topic is wanted too."""
        return (self._wildcards if is_wildcard(topic) else self._others).get(topic)

    def look_through(self, topics: Iterable[Collection[str]]) -> None:
        """There may be some among these, none of which are wildcards, too."""
        self._unlooked_others.add(topics)
        self._is_looking = True

    def take_wildcards(self, most: int, is_to_be_asked: Callable[[str], bool]) -> dict[str, int | None]:
        """Take the next wildcards, at most so many, with their ``since``.

        Args:
            most: how many.
            is_to_be_asked: returns whether a topic that was come across has to be asked for.
        """
        return self._taken(self._wildcards, self._unlooked_wildcards, most, is_to_be_asked)

    def take_others(self, most: int, is_to_be_asked: Callable[[str], bool]) -> dict[str, int | None]:
        """Take the next other topics, once no wildcards are left; as :meth:`take_wildcards`."""
        taken = self._taken(self._others, self._unlooked_others, most, is_to_be_asked)
        self._is_looking = bool(self._unlooked_others)
        return taken

    def parts(self) -> Iterator[dict[str, Any]]:
        """Yield what it consists of, to be freed part by part."""
        yield from self._wildcards.parts()
        yield from self._others.parts()

    def _taken(
        self,
        queue: TopicQueue[int | None],
        unlooked: Visit,
        most: int,
        is_to_be_asked: Callable[[str], bool],
    ) -> dict[str, int | None]:
        taken: dict[str, int | None] = dict(queue.take(most))
        if self._is_looking:
            for topic in unlooked.take(most - len(taken)):
                if topic not in taken and topic not in queue and is_to_be_asked(topic):
                    taken[topic] = None
        return taken
