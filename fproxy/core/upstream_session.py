"""The client's side of a session with an upstream, as a pure state machine.

It says what to send, reads the status events that come back and returns effects, to be carried out in
order. Nothing that an upstream sends makes it raise.

Auth is sent at once: some upstreams greet and some do not, and all of them take an auth that comes before
the greeting was read. Some never answer it, so after a wait the session goes on as if they had.

Which topics were refused is told in ``request_answers.py``.

**When the stream is whole.** Events may be missing until the upstream has answered the requests that a connection
begins with, as long as it says that it has lost its own upstream, and while what was missed is recovered. An upstream
that leaves requests unanswered is taken at its silence after a wait.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from fproxy.core.demand_changes import Changes
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.past_requests import PastRequest
from fproxy.core.redaction import redact
from fproxy.core.request_answers import Request, RequestAnswers
from fproxy.core.session_recovery import SessionRecovery
from fproxy.core.status_event import (
    INTERRUPTED_STATUS,
    REPLAYED_STATUS,
    RESTORED_STATUS,
    StatusError,
    parse_status,
)
from fproxy.core.stream_notice import reason_of
from fproxy.core.stream_position import POSITION_STATUS, RECOVERED_STATUS
from fproxy.core.upstream_effects import (
    Abandon,
    Confirmed,
    Effect,
    Interrupted,
    Notice,
    PastBegins,
    PastCame,
    Ready,
    Refused,
    Replayed,
    Send,
    Whole,
)
from fproxy.core.upstream_failure import UpstreamFailure
from fproxy.core.upstream_requests import SUBSCRIBE, request_message, requests_of, split_topics
from fproxy.core.weak_method import weak_method

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


class UpstreamSession:
    """One session with an upstream, from its connection to its end.

    Attributes:
        is_peer: whether the upstream is a role of ours.
        ready: whether the upstream takes subscriptions.
    """

    __slots__ = (
        "__weakref__",
        "_answers",
        "_api_key",
        "_first_requests",
        "_has_begun",
        "_is_at_rest",
        "_over",
        "_past",
        "_peer_key",
        "_recovery",
        "_replays",
        "_secrets",
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
        self._answers = RequestAnswers(weak_method(self._shown), weak_method(self._dropped))
        # The requests that the connection began with and that lack answers; more of them follow until all are sent.
        self._first_requests: set[Request] = set()
        self._has_begun = False
        self._recovery = SessionRecovery(followed)
        self.is_peer = False
        # The topics of which what has passed is still to come, request by request; None for those of ``request_past``.
        self._replays: deque[tuple[str, ...] | None] = deque()
        self._past: Request | None = None  # that request, until the upstream has acknowledged any of it
        # Whether the upstream, which numbers its messages, brings nothing that has passed.
        self._is_at_rest = False
        self._whole = False

    @property
    def outstanding(self) -> int:
        """How many requests lack answers; at most ``MAX_OUTSTANDING``."""
        return len(self._answers)

    def opened(self, *, is_peer: bool = False) -> list[Effect]:
        """The connection is open. Return what that asks for.

        Args:
            is_peer: whether the upstream is a role of ours: no other is sent what the vendor does not know.
        """
        self.is_peer = is_peer
        recover, effects = self._recovery.opened(is_peer=is_peer)
        key = (is_peer and self._peer_key) or self._api_key
        return [Send(request_message("auth", key, recover=recover)), *effects]

    def lost(self, now: int) -> list[dict[str, Any]]:
        """The connection is lost, at a time in Unix milliseconds.

        Returns:
            what was known of topics, in parts, to be freed little by little.
        """
        self._recovery.lost(now)
        return self._answers.forget_all()

    def auth_wait_over(self) -> list[Effect]:
        """The upstream had its time to answer auth. Return what that asks for: going on, if it did not."""
        return [] if self._over else self._become_ready()

    def answer_wait_over(self) -> list[Effect]:
        """The upstream had its time to answer the first requests. Return what that asks for: taking it at its silence,
        if it did not."""
        if self._over or not self.awaits_first_answers:
            return []
        self._first_requests.clear()
        return self._recovery.answered() + self._become_whole()

    @property
    def is_recoverable(self) -> bool:
        """Whether the next connection may bring what is missed until then."""
        return self._recovery.is_recoverable

    @property
    def takes_past_requests(self) -> bool:
        """Whether the upstream can be asked now for what has passed of topics that flow already."""
        return self._whole and self._is_at_rest and self._recovery.is_by_topic

    def request_past(self, request: PastRequest, now: float) -> list[Effect]:
        """Return the message that asks for what has passed of topics that flow, at a time in seconds.

        ``PastBegins`` and ``PastCame`` come of it.
        """
        self._is_at_rest = False
        self._replays.append(None)
        self._past = self._answers.expect(SUBSCRIBE, request.topics, now)
        return [Send(request_message(SUBSCRIBE, ",".join(request.topics), request.since))]

    @property
    def awaits_first_answers(self) -> bool:
        """Whether requests that the connection began with lack answers, or where the stream is is not told yet."""
        return bool(self._first_requests) or self._recovery.is_asked or not self._has_begun

    @property
    def has_begun(self) -> bool:
        """Whether all has been asked for that the connection begins with."""
        return self._has_begun

    @property
    def has_acknowledged(self) -> bool:
        """Whether the upstream has acknowledged anything that is still subscribed on this connection."""
        return bool(self._answers.confirmed)

    def is_confirmed(self, topic: str) -> bool:
        """Return whether the upstream has acknowledged a topic on this connection."""
        return topic in self._answers.confirmed

    def request(self, changes: Changes, now: float) -> list[Effect]:
        """Return the messages that carry out ``changes``, and expect their answers.

        Args:
            changes: what to subscribe to and what to unsubscribe from. What the connection begins with may come in
                several, up to the first that are all.
            now: the time, in seconds.
        """
        effects = list(self._answers.forget_old(now))
        first = not self._has_begun
        for action, topics, since in requests_of(changes, is_peer=self.is_peer):
            groups: Iterable[tuple[Sequence[str], bool]] = ((topics, False),)
            if first and action == SUBSCRIBE and since is None:
                groups = self._recovery.begin_requests(topics)
            for group, recovers in groups:
                for part in split_topics(group):
                    recover = self._recovery.number_request() if recovers else None
                    effects.append(Send(request_message(action, ",".join(part), since, recover)))
                    request = self._expect(action, part, now, since, recovers=recovers)
                    if first:
                        self._first_requests.add(request)
        if first and changes.are_all:
            self._has_begun = True
            effects += self._recovery.all_requested()
        return effects + self._become_whole()

    def _expect(
        self, action: str, topics: Sequence[str], now: float, since: int | None, *, recovers: bool
    ) -> Request:
        """A request is sent. Return it, and expect its answers."""
        if action != SUBSCRIBE:
            self._recovery.given_up(topics)
        elif not recovers:
            self._recovery.requested(topics)
        if since is not None and self.is_peer:
            self._replays.append(tuple(topics))
            self._is_at_rest = False
        return self._answers.expect(action, topics, now)

    def received(self, statuses: Iterable[bytes], now: float) -> list[Effect]:
        """The upstream sent status events. Return what they ask for; nothing when the session is over.

        Args:
            statuses: the status events of one message, each a JSON object as it came, in order.
            now: the time, in seconds.
        """
        effects = list(self._answers.forget_old(now))
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
                if self._past is not None and self._past.is_acknowledged_by(text):
                    self._past = None
                    effects.append(PastBegins())
                effects.extend(self._placed(self._answers.answered(text)))
            elif status == "error":
                effects.extend(self._placed(self._answers.complained(text, now)))
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
                # To who is brought what has passed it is told where the stream is when that has come.
                self._is_at_rest = not self._replays and not self._recovery.is_pending
            elif status == REPLAYED_STATUS and self._replays:
                effects.append(self._replayed(fields.get("complete") is True))
            elif status == RECOVERED_STATUS:
                effects.extend(self._recovery.recovered(fields))
                effects.extend(self._become_whole())
            elif status in _TURNED_AWAY:
                self._over = True
                failure, meaning = _TURNED_AWAY[status]
                effects.append(Abandon(failure, f"{meaning} (it says: {self._shown(text)})"))
        effects = list(_joined(effects))
        return effects if self._over else effects + self._become_whole()

    def _replayed(self, is_complete: bool) -> Effect:
        """What has passed has come, for the oldest request that lacks it."""
        topics = self._replays.popleft()
        return PastCame(is_complete) if topics is None else Replayed(topics, is_complete)

    def _placed(self, answers: Iterable[Effect]) -> Iterator[Effect]:
        """Yield what answers ask for, as they come before the next place in the stream that is told."""
        for effect in answers:
            if isinstance(effect, Confirmed):
                self._recovery.acknowledged(effect.topics)
            elif isinstance(effect, Refused):
                self._recovery.given_up(effect.topics)
            yield effect

    def _become_ready(self) -> list[Effect]:
        if self.ready:
            return []
        self.ready = True
        return [Ready()]

    def _become_whole(self) -> list[Effect]:
        if self._whole or self._recovery.is_pending or not self._has_begun or self._first_requests:
            return []
        self._whole = True
        return [Whole(self._recovery.is_complete)]

    def _dropped(self, request: Request) -> None:
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
