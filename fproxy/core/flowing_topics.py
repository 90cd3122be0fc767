"""Since when the topics of one upstream flow: nothing of them is missing since then."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fproxy.core.spread import SpreadDict
from fproxy.core.topics import covering_topic

SPARE: Final = 1024
"""How many topics of earlier connections are remembered beyond as many as are wanted."""


class FlowingTopics:
    """Acknowledged topics, each with the time from which on nothing of it is missing for want of a subscription.

    A topic flows from its acknowledgement on, or from the time that the upstream was asked to begin at and has brought
    all of. Times are Unix milliseconds.

    Attributes:
        all_of: the types of which the upstream sends everything, whatever is subscribed to.
    """

    __slots__ = ("_asked_since", "_before", "_since", "_vouched_at", "all_of")

    def __init__(self) -> None:
        """Begin without topics."""
        self.all_of: frozenset[str] = frozenset()
        self._since = SpreadDict[str, int]()
        # Those of the connections before this one, the latest first, as long as what was missed in between may be
        # recovered: a topic is in one of them at most, and those that nobody wanted any more then are of no account.
        self._before: list[SpreadDict[str, int]] = []
        # Topics of which the upstream has been asked for what has passed, and has not brought it yet -> from when on.
        self._asked_since = SpreadDict[str, int]()
        self._vouched_at = SpreadDict[str, int]()  # when it had brought all of that

    def confirm(self, topic: str, now: int) -> None:
        """The upstream has acknowledged a topic."""
        part = self._since.part(topic)
        if topic not in part:
            before = [flowed.pop(topic) for flowed in self._before if topic in flowed]
            since = next((time for time in before if time is not None), now)
            part[topic] = since

    def since(self, topic: str) -> int | None:
        """Return since when a topic flows; None when it does not; 0 when the upstream sends all of its type."""
        if topic.partition(".")[0] in self.all_of:
            return 0
        times = (self._since.get(each) for each in (topic, covering_topic(topic)))
        return min((time for time in times if time is not None), default=None)

    def vouched_at(self, topic: str) -> int:
        """Return when the upstream last said that nothing of a topic was missing up to then; 0 for never."""
        return max(self._vouched_at.get(each, 0) for each in (topic, covering_topic(topic)))

    def inherit(self, topic: str, wildcard: str) -> None:
        """A topic flows as long as the wildcard that has covered it."""
        since = self._since.get(wildcard)
        if since is not None:
            self._since[topic] = since

    def stop(self, topic: str) -> None:
        """A topic flows no more."""
        self._since.pop(topic)
        self._vouched_at.pop(topic)

    def forget_before(self, topic: str) -> None:
        """Nobody wants a topic of the connections before this one, or nobody did."""
        for flowed in self._before:
            flowed.pop(topic)

    def ask(self, topics: Mapping[str, int]) -> None:
        """The upstream was asked for what has passed of topics, each from a time on."""
        for topic, since in topics.items():
            self._asked_since[topic] = since

    def awaits(self, topic: str) -> bool:
        """Return whether it has still to bring that."""
        return topic in self._asked_since

    def refuse(self, topic: str) -> None:
        """It has refused the topic."""
        self.stop(topic)
        self._asked_since.pop(topic)

    def replayed(self, topics: Iterable[str], *, is_complete: bool, now: int) -> None:
        """It has brought what has passed of topics."""
        for topic in topics:
            since = self._asked_since.pop(topic)
            flows = self._since.get(topic)
            if is_complete and since is not None and flows is not None:
                self._since[topic] = min(since, flows)
                self._vouched_at[topic] = now

    def recovering(self, *, is_complete: bool, all_of: Iterable[str]) -> None:
        """The upstream is about to bring what was missed while the connection was lost."""
        self.all_of = frozenset(all_of)
        if not is_complete:
            self._before = []

    def unrecoverable(self) -> None:
        """It will not bring that."""
        self._before = []

    def lost(self, wanted: int, *, is_recoverable: bool) -> list[dict[str, Any]]:
        """The connection is lost. What flows may flow on from before, if what is missed is recovered.

        Args:
            wanted: how many topics are wanted.
            is_recoverable: whether it may be.

        Returns:
            what is of no use any more, in parts, to be freed little by little.
        """
        flowed = [self._since, *self._before]
        self._before = []
        if is_recoverable:
            room = wanted + SPARE
            while flowed and (not self._before or len(flowed[0]) <= room):
                if flowed[0]:
                    room -= len(flowed[0])
                    self._before.append(flowed[0])
                del flowed[0]
        gone = [*flowed, self._asked_since, self._vouched_at]
        self._since, self._asked_since, self._vouched_at = SpreadDict(), SpreadDict(), SpreadDict()
        self.all_of = frozenset()
        return [part for table in gone for part in table.parts]
