"""A client's topics as its limit counts them."""

from collections.abc import Callable, Iterator, Set

from fproxy.core.topics import Topic


class LimitedTopics(Set[Topic]):
    """The topics that a role keeps for a client, where it need not keep every topic that the client asks for.

    What is not kept takes no room, and so counts as held already.
    """

    __slots__ = ("_is_kept", "_kept")

    def __init__(self, kept: Set[Topic], is_kept: Callable[[Topic], bool]) -> None:
        """Make a view.

        Args:
            kept: the topics that are kept, as a live view.
            is_kept: returns whether a topic is kept once the client asks for it.
        """
        self._kept = kept
        self._is_kept = is_kept

    def __contains__(self, topic: object) -> bool:
        """Return whether a topic needs no more room."""
        return topic in self._kept or (isinstance(topic, Topic) and not self._is_kept(topic))

    def __iter__(self) -> Iterator[Topic]:
        """Go through the topics that are kept."""
        return iter(self._kept)

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._kept)
