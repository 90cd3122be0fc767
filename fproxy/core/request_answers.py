"""Which answer of an upstream is to which request.

An upstream answers a request with one status a topic, and answers requests in the order in which they came. A success
names its topic. A refusal usually does not: the vendor's is ``not authorized`` and no more. So a refusal has to be told
from what else was answered:

- An error that names a topic (as fproxy's own do) refuses that topic.
- Any other belongs to the oldest request that still lacks answers. Once a request has as many such errors
  as topics without an answer, those topics are refused: only then is it certain which they are.
- An answer that names a topic of a later request shows that the upstream is through with the earlier ones.
  What they still lack will not come: the vendor ignores some topics in silence, and simple firehoses ignore
  all requests. The same goes for requests that have waited long.

In doubt nobody is refused. A wrong refusal would tell a client that it gets nothing when it does; a refusal
that goes unnoticed leaves the client waiting for events that do not come, as it would with the vendor, and
a line in the log.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from fproxy.core.market import KNOWN_EVENT_TYPES
from fproxy.core.spread import SpreadDict, SpreadSet
from fproxy.core.status_event import answers_unsubscribe, words
from fproxy.core.topics import TopicError, bar_interval, parse_topic
from fproxy.core.upstream_effects import Confirmed, Effect, Notice, Refused
from fproxy.core.upstream_requests import SUBSCRIBE, UNSUBSCRIBE, shown_topics

MAX_OUTSTANDING: Final = 1_024
"""How many requests are remembered while they lack answers."""

ANSWER_TIME: Final = 30.0
"""How long a request is expected to be answered, in seconds."""


class Request:
    """A request that lacks answers."""

    __slots__ = ("action", "awaited", "errors", "first_error", "sent_at")

    def __init__(self, action: str, topics: Iterable[str], sent_at: float) -> None:
        self.action = action
        # Topics without an answer that names them, each with the very string that others keep, too.
        self.awaited = {topic: topic for topic in topics}
        self.errors = 0  # errors that named no topic
        self.first_error = ""
        self.sent_at = sent_at

    def is_acknowledged_by(self, text: str) -> bool:
        """Return whether the success that says ``text`` is about one of its topics."""
        return answers_unsubscribe(text) is (self.action == UNSUBSCRIBE) and any(
            word in self.awaited for word in words(text)
        )


class RequestAnswers:
    """The requests of one session that lack answers, in the order of sending.

    Attributes:
        confirmed: the topics asked for and not given up since that the upstream has acknowledged.
    """

    __slots__ = (
        "_awaiting",
        "_dropped",
        "_lost_track_until",
        "_outstanding",
        "_shown",
        "_subscribed",
        "confirmed",
    )

    def __init__(self, shown: Callable[[str], str], dropped: Callable[[Request], None]) -> None:
        """Begin without requests.

        Args:
            shown: returns what the upstream said in a form to be shown.
            dropped: no more answers are expected to a request.
        """
        self.confirmed = SpreadSet[str]()
        self._shown = shown
        self._dropped = dropped
        self._outstanding: deque[Request] = deque()
        # Of each action, by topic: the outstanding requests that await an answer for it, in the order of sending.
        # Nearly always one: a list takes the least memory, and of an upstream that answers nothing there are many.
        self._awaiting: dict[str, SpreadDict[str, list[Request]]] = {
            SUBSCRIBE: SpreadDict(),
            UNSUBSCRIBE: SpreadDict(),
        }
        self._subscribed = SpreadSet[str]()  # the topics asked for on this connection and not given up since
        # Until when a request may yet be answered that is not remembered any more. Until then, or until an
        # answer shows that the upstream has got past it, nobody knows what an error answers.
        self._lost_track_until = -float("inf")

    def __len__(self) -> int:
        """Return how many requests lack answers; at most ``MAX_OUTSTANDING``."""
        return len(self._outstanding)

    def forget_all(self) -> list[dict[str, Any]]:
        """Expect nothing any more, and know of no topic.

        Returns:
            what was known of topics, in parts, to be freed little by little.
        """
        parts: list[dict[str, Any]] = [request.awaited for request in self._outstanding]
        parts += (*self.confirmed.parts, *self._subscribed.parts)
        self._outstanding.clear()
        self.confirmed, self._subscribed = SpreadSet(), SpreadSet()
        for action, awaiting in self._awaiting.items():
            parts += awaiting.parts
            self._awaiting[action] = SpreadDict()
        return parts

    def expect(self, action: str, topics: Sequence[str], now: float) -> Request:
        """A request was sent, at a time in seconds. Return it."""
        request = Request(action, topics, now)
        if action == SUBSCRIBE:
            self._subscribed.update(topics)
        else:
            self._subscribed.difference_update(topics)
            self.confirmed.difference_update(topics)
        self._outstanding.append(request)
        awaiting = self._awaiting[request.action]
        for topic in request.awaited:
            awaiting.part(topic).setdefault(topic, []).append(request)
        if len(self._outstanding) > MAX_OUTSTANDING:
            oldest = self._outstanding[0]
            self._drop(oldest)
            self._lost_track_until = oldest.sent_at + ANSWER_TIME
        return request

    def answered(self, text: str) -> Iterator[Effect]:
        """Take the success that says ``text``."""
        action = UNSUBSCRIBE if answers_unsubscribe(text) else SUBSCRIBE
        for word in words(text):
            request = self._first_awaiting(action, word)
            if request is not None:
                if action == SUBSCRIBE and word in self._subscribed:
                    topic = request.awaited[word]
                    self.confirmed.add(topic)
                    yield Confirmed((topic,))
                yield from self._settle(request, word)

    def complained(self, text: str, now: float) -> Iterator[Effect]:
        """Take the error that says ``text``."""
        shown = self._shown(text)
        for word in words(text):
            for action in (SUBSCRIBE, UNSUBSCRIBE):
                request = self._first_awaiting(action, word)
                if request is not None:
                    yield _refusal(action, (word,), shown)
                    yield from self._settle(request, word)
                    return
        for word in words(text):
            if word in self._subscribed:
                # Some acknowledge first and refuse later, when they have asked upstream themselves.
                yield _refusal(SUBSCRIBE, (word,), shown)
                return
            if _is_topic(word):
                # Of whatever it speaks, it is no answer to another request.
                yield Notice(f"reports an error: {shown}")
                return
        if not self._outstanding or now < self._lost_track_until:
            yield Notice(f"reports an error: {shown}")
            return
        request = self._outstanding[0]
        if not request.errors:
            request.first_error = shown
        request.errors += 1
        yield from self._conclude(request)

    def _settle(self, request: Request, topic: str) -> Iterator[Effect]:
        """Take ``topic`` as answered by name; ``request`` is the first that awaits it."""
        self._lost_track_until = -float("inf")
        while self._outstanding[0] is not request:
            yield from self._give_up(self._outstanding[0])
        del request.awaited[topic]
        self._forget_awaiting(request, topic)
        yield from self._conclude(request)

    def _conclude(self, request: Request) -> Iterator[Effect]:
        """Finish ``request`` if all its answers are there, and say what its errors mean."""
        if request.errors >= len(request.awaited):
            self._drop(request)
            if request.awaited:
                yield _refusal(request.action, tuple(request.awaited), request.first_error)

    def _give_up(self, request: Request) -> Iterator[Effect]:
        """Expect no more answers to ``request``, and say so if some were errors."""
        self._drop(request)
        if request.errors:
            yield Notice(
                f"refused to {request.action} {request.errors} of {len(request.awaited)} topics"
                f" without saying which ({request.first_error}): {shown_topics(request.awaited)}"
            )

    def forget_old(self, now: float) -> Iterator[Effect]:
        """Expect no more answers to what was sent long before a time in seconds."""
        while self._outstanding and now - self._outstanding[0].sent_at >= ANSWER_TIME:
            yield from self._give_up(self._outstanding[0])

    def _first_awaiting(self, action: str, topic: str) -> Request | None:
        requests = self._awaiting[action].get(topic)
        return requests[0] if requests else None

    def _forget_awaiting(self, request: Request, topic: str) -> None:
        part = self._awaiting[request.action].part(topic)
        part[topic].remove(request)
        if not part[topic]:
            del part[topic]

    def _drop(self, request: Request) -> None:
        """Expect no more answers to ``request``."""
        self._outstanding.remove(request)  # nearly always the first
        for topic in request.awaited:
            self._forget_awaiting(request, topic)
        self._dropped(request)


def _is_topic(word: str) -> bool:
    try:
        topic = parse_topic(word)
    except TopicError:
        return False
    # What else has the form of a topic may be a word, such as "U.S".
    return topic.event_type in KNOWN_EVENT_TYPES or bar_interval(topic.event_type) is not None


def _refusal(action: str, topics: tuple[str, ...], message: str) -> Effect:
    if action == SUBSCRIBE:
        return Refused(topics, message)
    return Notice(f"would not unsubscribe {shown_topics(topics)}: {message}")
