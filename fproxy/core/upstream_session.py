"""The client's side of a session with an upstream, as a pure state machine.

It says what to send, reads the status events that come back and returns effects, to be carried out in
order. Nothing that an upstream sends makes it raise.

Auth is sent at once: some upstreams greet and some do not, and all of them take an auth that comes before
the greeting was read. Some never answer it, so after a wait the session goes on as if they had.

**Which topics were refused.** An upstream answers a request with one status a topic, and answers requests
in the order in which they came. A success names its topic. A refusal usually does not: the vendor's is
``not authorized`` and no more. So a refusal has to be told from what else was answered:

- An error that names a topic (as fproxy's own do) refuses that topic.
- Any other belongs to the oldest request that still lacks answers. Once a request has as many such errors
  as topics without an answer, those topics are refused: only then is it certain which they are.
- An answer that names a topic of a later request shows that the upstream is through with the earlier ones.
  What they still lack will not come: the vendor ignores some topics in silence, and simple firehoses ignore
  all requests. The same goes for requests that have waited long.

**When the stream is whole.** Events may be missing until the upstream has answered the requests that a connection
begins with, as long as it says that it has lost its own upstream, and while what was missed is recovered. An upstream
that leaves requests unanswered is taken at its silence after a wait.

In doubt nobody is refused. A wrong refusal would tell a client that it gets nothing when it does; a refusal
that goes unnoticed leaves the client waiting for events that do not come, as it would with the vendor, and
a line in the log.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from fproxy.core.demand import Changes
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.market import KNOWN_EVENT_TYPES
from fproxy.core.redaction import redact
from fproxy.core.session_recovery import SessionRecovery
from fproxy.core.status_event import (
    INTERRUPTED_STATUS,
    REPLAYED_STATUS,
    RESTORED_STATUS,
    StatusError,
    answers_unsubscribe,
    parse_status,
    words,
)
from fproxy.core.stream_notice import reason_of
from fproxy.core.stream_position import POSITION_STATUS, RECOVERED_STATUS
from fproxy.core.topics import TopicError, bar_interval, parse_topic
from fproxy.core.upstream_effects import (
    Abandon,
    Confirmed,
    Effect,
    Interrupted,
    Notice,
    Ready,
    Refused,
    Replayed,
    Send,
    Whole,
)
from fproxy.core.upstream_failure import UpstreamFailure

MAX_TOPICS_PER_REQUEST: Final = 1_000
"""The most topics in one request, which bounds its answer as well: one status a topic."""

MAX_PARAMS_BYTES: Final = 16 * 1024
"""The most bytes of topics in one request, far from the limits that servers set to what clients may send."""

MAX_OUTSTANDING: Final = 1_024
"""How many requests are remembered while they lack answers."""

ANSWER_TIME: Final = 30.0
"""How long a request is expected to be answered, in seconds."""

_SUBSCRIBE = "subscribe"
_UNSUBSCRIBE = "unsubscribe"
_encode_json = json.JSONEncoder(ensure_ascii=False).encode


_ANSWERS: Final = frozenset({"success", "error"})
"""The statuses that answer requests."""

_TURNED_AWAY: Final = {
    "auth_failed": (UpstreamFailure.AUTH_FAILED, "authentication failed"),
    "auth_timeout": (UpstreamFailure.AUTH_TIMEOUT, "the upstream saw no authentication"),
    "max_connections": (
        UpstreamFailure.MAX_CONNECTIONS,
        "too many connections: an account may have one for each market, and another program has it",
    ),
}


class _Request:
    """A request that lacks answers."""

    __slots__ = ("action", "awaited", "errors", "first_error", "sent_at")

    def __init__(self, action: str, topics: Iterable[str], sent_at: float) -> None:
        self.action = action
        self.awaited = dict.fromkeys(topics)  # topics without an answer that names them
        self.errors = 0  # errors that named no topic
        self.first_error = ""
        self.sent_at = sent_at


class UpstreamSession:
    """One session with an upstream, from its connection to its end.

    Attributes:
        is_peer: whether the upstream is a role of ours.
        ready: whether the upstream takes subscriptions.
    """

    __slots__ = (
        "_api_key",
        "_awaiting",
        "_confirmed",
        "_first_requests",
        "_lost_track_until",
        "_outstanding",
        "_over",
        "_peer_key",
        "_recovery",
        "_replays",
        "_secrets",
        "_subscribed",
        "_whole",
        "is_peer",
        "ready",
    )

    def __init__(
        self,
        api_key: str,
        other_secrets: Iterable[str] = (),
        *,
        peer_key: str = "",
        followed: FollowedStream | None = None,
    ) -> None:
        """Prepare a session.

        Args:
            api_key: the key to authenticate with; empty when there is none. It appears in no effect but
                ``Send``.
            other_secrets: what the upstream knows too, and must not appear in any effect either.
            peer_key: the key to authenticate with where the upstream is a role of ours; empty for the same.
            followed: where its owner stands in the stream of a role of ours; None when that is not kept.
        """
        self.ready = False
        self._api_key = api_key
        self._peer_key = peer_key
        self._secrets = (api_key, peer_key, *other_secrets)
        self._over = False
        self._outstanding: deque[_Request] = deque()  # in the order of sending
        # Of each action, by topic: the outstanding requests that await an answer for it, in the order of sending.
        # Nearly always one: a list takes the least memory, and of an upstream that answers nothing there are many.
        self._awaiting: dict[str, dict[str, list[_Request]]] = {_SUBSCRIBE: {}, _UNSUBSCRIBE: {}}
        self._subscribed: set[str] = set()  # the topics asked for on this connection and not given up since
        self._confirmed: set[str] = set()  # those of them that the upstream has acknowledged
        # The requests that the connection began with and that lack answers; None until they are sent.
        self._first_requests: set[_Request] | None = None
        self._recovery = SessionRecovery(followed)
        self.is_peer = False
        self._replays: deque[tuple[str, ...]] = deque()  # topics of which what has passed is still to come
        self._whole = False
        # Until when a request may yet be answered that is not remembered any more. Until then, or until an
        # answer shows that the upstream has got past it, nobody knows what an error answers.
        self._lost_track_until = -float("inf")

    @property
    def outstanding(self) -> int:
        """How many requests lack answers; at most ``MAX_OUTSTANDING``."""
        return len(self._outstanding)

    def opened(self, *, is_peer: bool = False) -> list[Effect]:
        """The connection is open. Return what that asks for.

        Args:
            is_peer: whether the upstream is a role of ours: no other is sent what the vendor does not know.
        """
        self.is_peer = is_peer
        recover, effects = self._recovery.opened(is_peer=is_peer)
        key = (is_peer and self._peer_key) or self._api_key
        return [Send(_message("auth", key, recover=recover)), *effects]

    def lost(self, now: int) -> None:
        """The connection is lost, at a time in Unix milliseconds."""
        self._recovery.lost(now)

    def auth_wait_over(self) -> list[Effect]:
        """The upstream had its time to answer auth. Return what that asks for: going on, if it did not."""
        return [] if self._over else self._become_ready()

    def answer_wait_over(self) -> list[Effect]:
        """The upstream had its time to answer the first requests. Return what that asks for: taking it at its silence,
        if it did not."""
        if self._over or not self.awaits_first_answers:
            return []
        if self._first_requests is not None:
            self._first_requests.clear()
        return self._recovery.answered() + self._become_whole()

    @property
    def is_recoverable(self) -> bool:
        """Whether the next connection may bring what is missed until then."""
        return self._recovery.is_recoverable

    @property
    def awaits_first_answers(self) -> bool:
        """Whether requests that the connection began with lack answers, or where the stream is is not told yet."""
        return bool(self._first_requests) or self._recovery.is_asked

    @property
    def has_acknowledged(self) -> bool:
        """Whether the upstream has acknowledged anything that is still subscribed on this connection."""
        return bool(self._confirmed)

    def is_confirmed(self, topic: str) -> bool:
        """Return whether the upstream has acknowledged a topic on this connection."""
        return topic in self._confirmed

    def request(self, changes: Changes, now: float) -> list[Effect]:
        """Return the messages that carry out ``changes``, and expect their answers.

        Args:
            changes: what to subscribe to and what to unsubscribe from.
            now: the time, in seconds.
        """
        effects = list(self._forget_old(now))
        first = self._first_requests is None
        if first:
            self._first_requests = set()
        for action, topics, since in _requests(changes, is_peer=self.is_peer):
            for part in split_topics(topics):
                recover = (
                    self._recovery.number_request()
                    if first and action == _SUBSCRIBE and since is None
                    else None
                )
                effects.append(Send(_message(action, ",".join(part), since, recover)))
                if action == _SUBSCRIBE:
                    self._subscribed.update(part)
                else:
                    self._subscribed.difference_update(part)
                    self._confirmed.difference_update(part)
                if since is not None and self.is_peer:
                    self._replays.append(tuple(part))
                request = _Request(action, part, now)
                if first and self._first_requests is not None:
                    self._first_requests.add(request)
                self._expect(request)
        return effects + self._become_whole()

    def received(self, statuses: Iterable[bytes], now: float) -> list[Effect]:
        """The upstream sent status events. Return what they ask for; nothing when the session is over.

        Args:
            statuses: the status events of one message, each a JSON object as it came, in order.
            now: the time, in seconds.
        """
        effects = list(self._forget_old(now))
        for raw in statuses:
            if self._over:
                break
            try:
                status, text, fields = parse_status(raw)
            except StatusError:
                effects.append(Notice("sent a status event that cannot be read"))
                continue
            if status in _ANSWERS:
                effects.extend(self._recovery.answered())
            if status == "success":
                effects.extend(self._answered(text))
            elif status == "error":
                effects.extend(self._complained(text, now))
            elif status == "auth_success":
                effects.extend(self._become_ready())
            elif status == INTERRUPTED_STATUS:
                self._recovery.interrupted(was_whole=self._whole)
                self._whole = False
                effects.append(Interrupted(self._shown(reason_of(text))))
            elif status == RESTORED_STATUS:
                self._recovery.restored(fields)
                effects.extend(self._become_whole())
            elif status == POSITION_STATUS:
                effects.extend(self._recovery.positioned(fields))
            elif status == REPLAYED_STATUS and self._replays:
                effects.append(Replayed(self._replays.popleft(), fields.get("complete") is True))
            elif status == RECOVERED_STATUS:
                effects.extend(self._recovery.recovered(fields))
                effects.extend(self._become_whole())
            elif status in _TURNED_AWAY:
                self._over = True
                failure, meaning = _TURNED_AWAY[status]
                effects.append(Abandon(failure, f"{meaning} (it says: {self._shown(text)})"))
        effects = list(_joined(effects))
        return effects if self._over else effects + self._become_whole()

    def _become_ready(self) -> list[Effect]:
        if self.ready:
            return []
        self.ready = True
        return [Ready()]

    def _become_whole(self) -> list[Effect]:
        if self._whole or self._recovery.is_pending or self._first_requests is None or self._first_requests:
            return []
        self._whole = True
        return [Whole(self._recovery.is_complete)]

    def _expect(self, request: _Request) -> None:
        self._outstanding.append(request)
        awaiting = self._awaiting[request.action]
        for topic in request.awaited:
            awaiting.setdefault(topic, []).append(request)
        if len(self._outstanding) > MAX_OUTSTANDING:
            oldest = self._outstanding[0]
            self._drop(oldest)
            self._lost_track_until = oldest.sent_at + ANSWER_TIME

    def _answered(self, text: str) -> Iterator[Effect]:
        """Take the success that says ``text``."""
        action = _UNSUBSCRIBE if answers_unsubscribe(text) else _SUBSCRIBE
        for word in words(text):
            request = self._first_awaiting(action, word)
            if request is not None:
                if action == _SUBSCRIBE and word in self._subscribed:
                    self._confirmed.add(word)
                    yield Confirmed((word,))
                yield from self._settle(request, word)

    def _complained(self, text: str, now: float) -> Iterator[Effect]:
        """Take the error that says ``text``."""
        shown = self._shown(text)
        for word in words(text):
            for action in (_SUBSCRIBE, _UNSUBSCRIBE):
                request = self._first_awaiting(action, word)
                if request is not None:
                    yield _refusal(action, (word,), shown)
                    yield from self._settle(request, word)
                    return
        for word in words(text):
            if word in self._subscribed:
                # Some acknowledge first and refuse later, when they have asked upstream themselves.
                yield _refusal(_SUBSCRIBE, (word,), shown)
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

    def _settle(self, request: _Request, topic: str) -> Iterator[Effect]:
        """Take ``topic`` as answered by name; ``request`` is the first that awaits it."""
        self._lost_track_until = -float("inf")
        while self._outstanding[0] is not request:
            yield from self._give_up(self._outstanding[0])
        del request.awaited[topic]
        self._forget_awaiting(request, topic)
        yield from self._conclude(request)

    def _conclude(self, request: _Request) -> Iterator[Effect]:
        """Finish ``request`` if all its answers are there, and say what its errors mean."""
        if request.errors >= len(request.awaited):
            self._drop(request)
            if request.awaited:
                yield _refusal(request.action, tuple(request.awaited), request.first_error)

    def _give_up(self, request: _Request) -> Iterator[Effect]:
        """Expect no more answers to ``request``, and say so if some were errors."""
        self._drop(request)
        if request.errors:
            yield Notice(
                f"refused to {request.action} {request.errors} of {len(request.awaited)} topics"
                f" without saying which ({request.first_error}): {shown_topics(request.awaited)}"
            )

    def _forget_old(self, now: float) -> Iterator[Effect]:
        while self._outstanding and now - self._outstanding[0].sent_at >= ANSWER_TIME:
            yield from self._give_up(self._outstanding[0])

    def _first_awaiting(self, action: str, topic: str) -> _Request | None:
        requests = self._awaiting[action].get(topic)
        return requests[0] if requests else None

    def _forget_awaiting(self, request: _Request, topic: str) -> None:
        awaiting = self._awaiting[request.action]
        awaiting[topic].remove(request)
        if not awaiting[topic]:
            del awaiting[topic]

    def _drop(self, request: _Request) -> None:
        """Expect no more answers to ``request``."""
        self._outstanding.remove(request)  # nearly always the first
        for topic in request.awaited:
            self._forget_awaiting(request, topic)
        if self._first_requests:
            self._first_requests.discard(request)

    def _shown(self, text: str) -> str:
        """Return what the upstream said as one printable line, cut short and without secrets."""
        return redact(text, self._secrets) or "nothing more"


def _joined(effects: Iterable[Effect]) -> Iterator[Effect]:
    """Yield effects with those of acknowledgements that follow each other made one."""
    for confirms, run in groupby(effects, lambda effect: isinstance(effect, Confirmed)):
        if confirms:
            yield Confirmed(
                tuple(topic for effect in run if isinstance(effect, Confirmed) for topic in effect.topics)
            )
        else:
            yield from run


def split_topics(
    topics: Sequence[str],
    *,
    max_topics: int = MAX_TOPICS_PER_REQUEST,
    max_bytes: int = MAX_PARAMS_BYTES,
) -> Iterator[Sequence[str]]:
    """Yield ``topics`` in order, in parts that each fit one request.

    Args:
        topics: what to request.
        max_topics: the most topics in a part.
        max_bytes: the most bytes in a part, as UTF-8 with a comma after each topic; a longer topic is a
            part of its own.
    """
    start = size = 0
    for index, topic in enumerate(topics):
        length = len(topic.encode("utf-8", "surrogatepass")) + 1
        if index > start and (index - start >= max_topics or size + length > max_bytes):
            yield topics[start:index]
            start, size = index, 0
        size += length
    if start < len(topics):
        yield topics[start:]


def _requests(changes: Changes, *, is_peer: bool) -> Iterator[tuple[str, Sequence[str], int | None]]:
    """Yield the action, the topics and the ``since`` of what has to be asked for.

    Others than roles of ours know ``since`` for millisecond bars at most.
    """
    yield _UNSUBSCRIBE, changes.make_room, None
    if not changes.since:
        yield _SUBSCRIBE, changes.subscribe, None
    else:
        groups: dict[int | None, list[str]] = {}
        for topic in changes.subscribe:
            since = changes.since.get(topic) if is_peer or _is_of_bars(topic) else None
            groups.setdefault(since, []).append(topic)
        for time, topics in groups.items():
            yield _SUBSCRIBE, topics, time
    yield _UNSUBSCRIBE, changes.unsubscribe, None


def _is_of_bars(topic: str) -> bool:
    return bar_interval(topic.partition(".")[0]) is not None


def _message(action: str, params: str, since: int | None = None, recover: str | int | None = None) -> bytes:
    more = "" if since is None else f',"since":{since}'
    if recover is not None:
        more += f',"recover":{recover}'
    return f'{{"action":"{action}","params":{_encode_json(params)}{more}}}'.encode(
        "utf-8", "backslashreplace"
    )


def shown_topics(topics: Iterable[str]) -> str:
    """Return topics for the log: all of a few, some of many."""
    texts = list(topics)
    return ", ".join(texts) if len(texts) <= 5 else f"{', '.join(texts[:4])} and {len(texts) - 4} more"


def _is_topic(word: str) -> bool:
    try:
        topic = parse_topic(word)
    except TopicError:
        return False
    # What else has the form of a topic may be a word, such as "U.S".
    return topic.event_type in KNOWN_EVENT_TYPES or bar_interval(topic.event_type) is not None


def _refusal(action: str, topics: tuple[str, ...], message: str) -> Effect:
    if action == _SUBSCRIBE:
        return Refused(topics, message)
    return Notice(f"would not unsubscribe {shown_topics(topics)}: {message}")
