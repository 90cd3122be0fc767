"""Since when the topics of one upstream flow: nothing of them is missing since then."""

from collections.abc import Iterable, Mapping, Set

from fproxy.core.topics import covering_topic


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
        self._since: dict[str, int] = {}
        # Those of the connection before this one, as long as what was missed in between may be recovered.
        self._before: dict[str, int] = {}
        # Topics of which the upstream has been asked for what has passed, and has not brought it yet -> from when on.
        self._asked_since: dict[str, int] = {}
        self._vouched_at: dict[str, int] = {}  # when it had brought all of that

    def confirm(self, topic: str, now: int) -> None:
        """The upstream has acknowledged a topic."""
        if topic not in self._since:
            self._since[topic] = self._before.pop(topic, now)

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
        self._since.pop(topic, None)
        self._vouched_at.pop(topic, None)

    def forget_before(self, topic: str) -> None:
        """Nobody wants a topic of the connection before this one."""
        self._before.pop(topic, None)

    def ask(self, topics: Mapping[str, int]) -> None:
        """The upstream was asked for what has passed of topics, each from a time on."""
        self._asked_since.update(topics)

    def awaits(self, topic: str) -> bool:
        """Return whether it has still to bring that."""
        return topic in self._asked_since

    def refuse(self, topic: str) -> None:
        """It has refused the topic."""
        self.stop(topic)
        self._asked_since.pop(topic, None)

    def replayed(self, topics: Iterable[str], *, is_complete: bool, now: int) -> None:
        """It has brought what has passed of topics."""
        for topic in topics:
            since = self._asked_since.pop(topic, None)
            if is_complete and since is not None and topic in self._since:
                self._since[topic] = min(since, self._since[topic])
                self._vouched_at[topic] = now

    def recovering(self, *, is_complete: bool, all_of: Iterable[str]) -> None:
        """The upstream is about to bring what was missed while the connection was lost."""
        self.all_of = frozenset(all_of)
        if not is_complete:
            self._before.clear()

    def unrecoverable(self) -> None:
        """It will not bring that."""
        self._before.clear()

    def lost(self, wanted: Set[str] | Mapping[str, int], *, is_recoverable: bool) -> None:
        """The connection is lost. What is still wanted may flow on from before, if what is missed is recovered."""
        flowed = self._before | self._since if is_recoverable else {}
        self._before = {topic: since for topic, since in flowed.items() if topic in wanted}
        self._since = {}
        self._asked_since.clear()
        self._vouched_at.clear()
        self.all_of = frozenset()
