"""One client's session: what it says, what it is answered, and what that asks of the server.

The session is a pure state machine. It takes each message as the client sent it and returns effects, to be
carried out in order: replies to send, topics to subscribe or to unsubscribe, the connection to close. Nothing
that a client sends makes it raise.

The rules are the vendor's: a greeting on the market paths, then auth, then subscriptions, and one status for
each topic. Where the vendor is silent about a mistake, this names the offending part in an ``error`` status
and goes on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from fproxy.core.bar_allowance import (
    CLIENT,
    DEFAULT_MAX_BAR_INTERVALS,
    DEFAULT_MAX_BAR_WILDCARDS,
    BarAllowance,
)
from fproxy.core.client_key import ClientKey
from fproxy.core.client_keys import ClientKeys
from fproxy.core.client_request import (
    MessageError,
    decode_request,
    recover_number_of,
    recovery_of,
    shown,
    since_of,
    snapshot_of,
    text_field,
    topics_of,
)
from fproxy.core.growing_set import GrowingSet
from fproxy.core.long_request import LONG_MESSAGE, LongMessage, decode_long_request
from fproxy.core.market import STOCKS, Market
from fproxy.core.market_topics import parse_market_topic
from fproxy.core.prefix_allowance import PrefixAllowance
from fproxy.core.status_replies import Replies, Reply, status_message
from fproxy.core.stream_position import RecoveryRequest
from fproxy.core.topic_room import TopicRoom
from fproxy.core.topics import Topic, TopicError

TOPICS_PER_EFFECT: Final = 10
"""How many topics are subscribed or unsubscribed at once: some tenths of a millisecond, then others get their
turn."""

DEFAULT_MAX_TOPICS: Final = 100_000
"""The most topics that a client may have at once, unless its server is told otherwise: each takes memory."""

DEFAULT_MAX_TOPICS_OF_ROLES: Final = 1_000_000
"""The same where the client is a filtered proxy, which has what all its own clients want: one of them, with all that it
may have, must leave room for the others."""

_SHUT_OUT: Final = "authentication failed: too many wrong keys have come from this address of late"

MAX_ERRORS_BEFORE_AUTH: Final = 10
"""How many mistakes a client may make before it has authenticated; then the connection closes."""

NOT_AUTHORIZED: Final = "not authorized"
"""What a client is told of a topic that its key does not allow, in the words for what the vendor does not allow."""

POLICY_VIOLATION: Final = 1008
"""The WebSocket close code with which the vendor turns a client away (RFC 6455, section 7.4.1)."""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The client has authenticated, and its auth has been answered; this comes once in a session.

    Attributes:
        account: an opaque name that is the same for the same key, within one ``ClientKeys``.
        key: what is known of the key.
        recovery: what a role of ours asks for that follows the stream by number; None for every other client.
    """

    account: str
    key: ClientKey
    recovery: RecoveryRequest | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The client failed to authenticate; a reply and a close follow.

    Attributes:
        reason: why, as the metrics name it.
    """

    reason: Literal["bad_key", "timeout", "expired", "market", "shut_out"]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe the client now, before the reply that follows, so that no event after the reply is missed.

    Attributes:
        topics: what to subscribe to, in the order given; the client may have some of them already.
        since: from what time on the client wants what has already passed, in Unix milliseconds; None for
            nothing.
        recover: the number that a role of ours gave the request, with which it asks for what it missed of the topics;
            None when it does not.
        snapshot: whether the client wants the last event of each topic first; None when it did not say.
        unserved: whoever carries this out puts in here the topics that it does not serve, each with the reason:
            they are answered with an error; and with None those that it answers itself, later.
    """

    topics: tuple[Topic, ...]
    since: int | None = None
    recover: int | None = None
    snapshot: bool | None = None
    unserved: dict[Topic, str | None] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Unsubscribe the client now, before the reply that follows, so that no event comes after the reply.

    Attributes:
        topics: what to unsubscribe from, in the order given; the client may not have some of them.
    """

    topics: tuple[Topic, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection; the session is over.

    Attributes:
        code: the WebSocket close code.
        reason: the reason in the close frame.
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Working:
    """Do nothing: a long message is being read, and whoever else has something to do may do it now."""


Effect = Reply | Authenticated | Refused | Subscribe | Unsubscribe | Close | Working
"""What a session asks of its server."""


class Session:
    """One client's session, from its connection to its close.

    Attributes:
        authenticated: whether the client has authenticated.
        key: after that, what its holder may do; it may be replaced.
        is_shut_out: whether no key is looked at, right or wrong, as its address has sent too many wrong ones of late.
    """

    __slots__ = (
        "_bars",
        "_closed",
        "_denial",
        "_errors_before_auth",
        "_greets",
        "_holder",
        "_keys",
        "_market",
        "_max_topics",
        "_prefixes",
        "authenticated",
        "is_shut_out",
        "key",
    )

    def __init__(
        self,
        *,
        keys: ClientKeys,
        greets: bool,
        market: Market = STOCKS,
        denial: str | None = None,
        max_topics: int = DEFAULT_MAX_TOPICS,
        max_bar_wildcards: int = DEFAULT_MAX_BAR_WILDCARDS,
        max_bar_intervals: int = DEFAULT_MAX_BAR_INTERVALS,
        holder: str = CLIENT,
    ) -> None:
        """Prepare a session.

        Args:
            keys: the keys to accept.
            greets: whether the server speaks first, as on the vendor's market paths.
            market: what the client is served, whose topics it may ask for.
            denial: what the client is told when it authenticates, whatever its key, instead of being let in.
            max_topics: how many topics the client may have at once.
            max_bar_wildcards: at how many intervals it may have the millisecond bars of all symbols.
            max_bar_intervals: at how many it may have those of one symbol.
            holder: who has these limits, as refusals say it.
        """
        self.authenticated = False
        self.is_shut_out = False
        self.key: ClientKey | None = None
        self._holder = holder
        self._bars = BarAllowance(
            max_wildcards=max_bar_wildcards, max_intervals=max_bar_intervals, holder=holder
        )
        self._prefixes = PrefixAllowance()
        self._keys = keys
        self._greets = greets
        self._market = market
        self._denial = denial
        self._max_topics = max_topics
        self._closed = False
        self._errors_before_auth = 0

    def opened(self) -> list[Effect]:
        """The connection is open. Return what that asks for."""
        return [Reply(status_message(("connected", "Connected Successfully")))] if self._greets else []

    def received(
        self, message: str | bytes | LongMessage, held: AbstractSet[Topic] | None = None
    ) -> Iterable[Effect]:
        """The client sent a message. Return what that asks for; nothing when the session is over.

        The work on a message of many topics is done while its effects are taken, a part for each, so that the
        server may do other things in between. They are to be taken to the end before the next message.

        Args:
            message: the payload of one text or binary message, which ought to be a JSON object.
            held: the topics that the client has, to be kept as the effects say while they are taken; None when
                nobody keeps them, and so there may be any number.
        """
        if self._closed:
            return []
        try:
            if isinstance(message, LongMessage) or len(message) > LONG_MESSAGE:
                if not self.authenticated:
                    raise MessageError(
                        f"not authenticated: a message of {len(message)} characters came before auth"
                    )
                return self._received_long(
                    message if isinstance(message, LongMessage) else LongMessage.of(message), held
                )
            request = decode_request(message)
            action = text_field(request, "action")
            if action == "auth":
                return self._authenticate(text_field(request, "params"), recovery_of(request))
            if not self.authenticated:
                raise MessageError(f"not authenticated: {shown(action)} came before auth")
            return self._change(action, request, held)
        except MessageError as error:
            return self._complain(str(error))

    def _received_long(self, message: LongMessage, held: AbstractSet[Topic] | None) -> Iterator[Effect]:
        try:
            reading = decode_long_request(message)
            while True:
                try:
                    next(reading)
                except StopIteration as done:
                    request, topics = done.value
                    break
                yield Working()
            effects = self._change(text_field(request, "action"), request, held, topics)
        except MessageError as error:
            effects = self._complain(str(error))
        yield from effects

    def _change(
        self,
        action: str,
        request: dict[str, object],
        held: AbstractSet[Topic] | None,
        topics: Sequence[str] | None = None,
    ) -> Iterable[Effect]:
        """Return what a request for topics asks for; ``topics`` are its own, when they have been read already.

        Raises:
            MessageError: it cannot be carried out.
        """
        if action == "subscribe":
            since, recover, snapshot = since_of(request), recover_number_of(request), snapshot_of(request)
            room = (
                None
                if held is None
                else TopicRoom(held, self._topic_limit, self._bars, self._prefixes, self._holder)
            )
            allowed = self.key.allows_topic if self.key and self.key.topics else None
            subscribe = partial(Subscribe, since=since, recover=recover, snapshot=snapshot)
            return _change(action, topics or topics_of(request), subscribe, self._market, room, allowed)
        if action == "unsubscribe":
            return _change(action, topics or topics_of(request), self._unsubscribe, self._market)
        raise MessageError(f"unknown action: {shown(action)}")

    def auth_timed_out(self) -> list[Effect]:
        """The client had its time to authenticate. Return what that asks for: nothing when it did."""
        if self._closed or self.authenticated:
            return []
        self._closed = True
        return [
            Refused("timeout"),
            Reply(status_message(("auth_timeout", "No authentication request received."))),
            Close(POLICY_VIOLATION, "authentication timeout"),
        ]

    def _unsubscribe(self, topics: tuple[Topic, ...]) -> Unsubscribe:
        for topic in topics:
            self._bars.forget(topic)
            self._prefixes.forget(topic)
        return Unsubscribe(topics)

    def _authenticate(self, key: str, recovery: RecoveryRequest | None) -> list[Effect]:
        if self.is_shut_out:
            return self._refuse("shut_out", _SHUT_OUT)
        found = self._keys.find(key)
        if found is None:
            return self._refuse("bad_key", "authentication failed")
        if found.expired:
            return self._refuse("expired", "authentication failed: the key has expired")
        if not found.allows_market(self._market.name):
            return self._refuse("market", f"authentication failed: the key is not for {self._market.name}")
        if self._denial is not None:
            return self._refuse("bad_key", self._denial)
        effects: list[Effect] = [Reply(status_message(("auth_success", "authenticated")))]
        if not self.authenticated:
            self.authenticated = True
            self.key = found
            effects.append(Authenticated(self._keys.account(key), found, recovery))
        return effects

    def _refuse(self, reason: Literal["bad_key", "expired", "market", "shut_out"], text: str) -> list[Effect]:
        self._closed = True
        return [
            Refused(reason),
            Reply(status_message(("auth_failed", text))),
            Close(POLICY_VIOLATION, "authentication failed"),
        ]

    @property
    def _topic_limit(self) -> int:
        own = self.key.max_topics if self.key is not None else None
        return self._max_topics if own is None else own

    def _complain(self, text: str) -> list[Effect]:
        effects: list[Effect] = [Reply(status_message(("error", text)), errors=1)]
        if not self.authenticated:
            self._errors_before_auth += 1
            if self._errors_before_auth >= MAX_ERRORS_BEFORE_AUTH:
                self._closed = True
                effects.append(Close(POLICY_VIOLATION, "too many errors before authentication"))
        return effects


def _change(
    action: str,
    parts: Sequence[str],
    change: Callable[[tuple[Topic, ...]], Subscribe | Unsubscribe],
    market: Market,
    room: TopicRoom | None = None,
    allowed: Callable[[str], bool] | None = None,
) -> Iterator[Effect]:
    """Yield the changes that the topics in ``parts`` make, and then one status for each part."""
    replies = Replies()
    seen = GrowingSet[Topic]()
    unserved: dict[Topic, str | None] = {}
    for start in range(0, len(parts), TOPICS_PER_EFFECT):
        topics = []
        answers: list[tuple[str, Topic | None]] = []  # an error, or the text of a topic with that topic
        if room is not None:
            room.begin(TOPICS_PER_EFFECT)
        for part in parts[start : start + TOPICS_PER_EFFECT]:
            text = part.strip()
            try:
                topic = parse_market_topic(market, text)
            except TopicError as error:
                answers.append((str(error), None))
                continue
            if topic not in seen:
                if allowed is not None and not allowed(topic.text):
                    answers.append((f"{NOT_AUTHORIZED}: {text}", None))
                    continue
                refusal = None if room is None else room.refusal(topic)
                if refusal is not None:
                    answers.append((f"{refusal}: {text}", None))
                    continue
                seen.add(topic)
                topics.append(topic)
            answers.append((text, topic))
        if topics:
            effect = change(tuple(topics))
            yield effect
            if isinstance(effect, Subscribe):
                unserved.update(effect.unserved)
        for text, answered in answers:
            if answered is None:
                replies.add("error", text)
            elif answered in unserved:
                reason = unserved[answered]
                if reason is not None:
                    replies.add("error", f"{reason}: {text}")
            else:
                replies.add("success", f"{action}d to: {text}")
    yield from replies.finished()
