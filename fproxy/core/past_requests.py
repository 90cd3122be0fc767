"""What has passed of topics that flow from an upstream already, asked for afterwards: who comes later may want it too.

The upstream has sent the latest of it before, and sends all of it once more. So that it can be told from what is live,
it is asked for little by little: the next request is made when the upstream has brought what the one before it asked
for. Between the acknowledgement of a request and the status behind what was asked for, nothing else comes.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from fproxy.core.topic_queue import TopicQueue
from fproxy.core.upstream_requests import MAX_PARAMS_BYTES

MOST_TOPICS: Final = 200
"""How many topics are asked for at a time: a fraction of a millisecond's work."""


class PastRequest(NamedTuple):
    """A request for what has passed.

    Attributes:
        topics: of which topics.
        since: from when on, in Unix milliseconds.
    """

    topics: tuple[str, ...]
    since: int


class PastTaker(Protocol):
    """Who takes it."""

    def begins(self) -> None:
        """What comes from now on has passed."""

    def ends(self, request: PastRequest | None, *, is_complete: bool) -> None:
        """All of it has come, for a request; None when no more of it comes, as the connection is lost."""


class _NobodyTakes:
    def begins(self) -> None:
        pass

    def ends(self, request: PastRequest | None, *, is_complete: bool) -> None:
        pass


class PastRequests:
    """Of which topics what has passed is wanted, and what of that has been asked for.

    Attributes:
        taker: takes what comes.
    """

    __slots__ = ("_topics_under_way", "_under_way", "_waiting", "taker")

    def __init__(self) -> None:
        """Begin with none."""
        self.taker: PastTaker = _NobodyTakes()
        self._waiting = TopicQueue[int]()
        self._under_way: PastRequest | None = None
        self._topics_under_way: set[str] = set()  # less those that have stopped meanwhile

    def __bool__(self) -> bool:
        """Return whether something is to be asked for, or has still to come."""
        return self._under_way is not None or bool(self._waiting.size)

    def want(self, topic: str, since: int) -> None:
        """What has passed of a topic is wanted, from a time on, in Unix milliseconds."""
        request = self._under_way
        if request is not None and request.since <= since and topic in self._topics_under_way:
            return
        earlier = self._waiting.get(topic)
        if earlier is not None and earlier <= since:
            return
        self._waiting.discard(topic)
        self._waiting.add(topic, since)

    def discard(self, topic: str) -> None:
        """Nobody wants a topic any more: do not ask for it."""
        self._waiting.discard(topic)

    def stopped(self, topic: str) -> None:
        """A topic flows no more: what is under way of it does not come whole."""
        self._waiting.discard(topic)
        self._topics_under_way.discard(topic)

    def awaits(self, topic: str) -> bool:
        """Return whether what has passed of a topic is still to come."""
        return topic in self._topics_under_way or topic in self._waiting

    def next_request(self, flows: Callable[[str], bool]) -> PastRequest | None:
        """Return what to ask for now, and take it as asked for; None for nothing.

        Args:
            flows: returns whether a topic flows: only of those that do it is known where what has passed ends.
        """
        if self._under_way is not None or not self._waiting.size:
            return None
        topics: list[str] = []
        times: list[int] = []
        size = 0
        for topic, since in self._waiting.items():
            size += len(topic.encode("utf-8", "surrogatepass")) + 1
            if len(topics) == MOST_TOPICS or (topics and size > MAX_PARAMS_BYTES) or not flows(topic):
                break  # they flow in the order in which they were asked for
            topics.append(topic)
            times.append(since)
        if not topics:
            return None
        for topic in topics:
            self._waiting.discard(topic)
        self._under_way = PastRequest(tuple(topics), min(times))
        self._topics_under_way = set(topics)
        return self._under_way

    def begins(self) -> None:
        """The upstream has acknowledged the request: what has passed follows."""
        self.taker.begins()

    def came(self, *, is_complete: bool) -> tuple[str, ...]:
        """It has come, all there was or not. Return of which topics it was asked for."""
        came = tuple(self._topics_under_way)
        request = self._take_under_way()
        assert request is not None, "only what was asked for comes"
        self.taker.ends(PastRequest(came, request.since), is_complete=is_complete)
        return request.topics

    def lost(self) -> None:
        """The connection is lost. What had not come is asked for on the next one."""
        topics = tuple(self._topics_under_way)
        request = self._take_under_way()
        if request is not None:
            for topic in topics:
                self.want(topic, request.since)
            self.taker.ends(None, is_complete=False)

    def forget(self) -> None:
        """The upstream keeps nothing: do not ask any more."""
        self._waiting = TopicQueue()

    def _take_under_way(self) -> PastRequest | None:
        request, self._under_way = self._under_way, None
        self._topics_under_way = set()
        return request
