"""Demand: which topics are wanted of one upstream now, and what must be asked of it to get them.

Clients come and go; an upstream should notice only the first client of a topic and the end of the last. So
subscriptions are counted. A topic that nobody wants any more stays subscribed for a while (it *lingers*),
because clients that reconnect want the same topics again. A wildcard covers the topics under it: while
``T.*`` is active, ``T.AAPL`` is not asked for; when ``T.*`` goes, the topics that it covered are asked for
first, so that no event is missed between.

A topic *flows* from its acknowledgement on: nothing of it is missing since then, as long as it stays active, or what
was missed while the connection was lost has been recovered. An upstream that sends only what is subscribed has
nothing of it from before.

Of some types the vendor sends a limited number of symbols. More than that are not acquired (``refusal_of_more``); and
topics that linger make room for those that are wanted.

Nothing here knows of sockets or of time: times are passed in, and what must be said upstream comes out of
``changes``. Every operation costs a constant for each topic that it touches, however many topics there are.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fproxy.core.demand_changes import Changes
from fproxy.core.flowing_topics import FlowingTopics
from fproxy.core.lingering import Lingering
from fproxy.core.market import STOCKS, Market
from fproxy.core.past_requests import PastRequests
from fproxy.core.spread import SpreadDict, SpreadSet
from fproxy.core.symbol_limits import SymbolLimits, is_want_of_room
from fproxy.core.topic_queue import TopicQueue
from fproxy.core.topics import covering_topic, is_wildcard
from fproxy.core.unasked_topics import UnaskedTopics

DEFAULT_LINGER: Final = 30.0
"""How long a topic outlives the last client that wanted it, in seconds."""


MAX_DROPS: Final = 50
"""How many topics are dropped, or asked for in the place of a wildcard, in one go: about half a millisecond's work."""

MAX_ASKS: Final = 50
"""How many are asked for in one go."""


class Demand:
    """The topics wanted of one upstream connection, with what is active there.

    A topic is *wanted* while it has been acquired more often than released. It is *active* from the moment
    that ``changes`` names it under ``subscribe`` until ``changes`` names it under ``unsubscribe``, the
    upstream refuses it or the connection is lost. When ``changes`` has said that these are all, every wanted topic is
    active, covered by an active wildcard, or refused.

    Attributes:
        linger: how long an active topic stays active after its last release, in seconds.
        drops: how many topics have been given up upstream.
        leftovers: what earlier connections have left behind, for nothing but to be freed piece by piece.
        past: of which topics that are active, or covered, what has passed is asked for.
    """

    __slots__ = (
        "_active",
        "_covered",
        "_flows",
        "_holders",
        "_limited_lingering",
        "_limits",
        "_lingering",
        "_refused",
        "_surplus",
        "_unasked",
        "_wildcards",
        "drops",
        "leftovers",
        "linger",
        "past",
    )

    def __init__(self, *, linger: float = DEFAULT_LINGER, market: Market = STOCKS) -> None:
        """Prepare a demand for nothing.

        Args:
            linger: how long an active topic stays active after its last release, in seconds; 0 for not at
                all.
            market: the market that the topics are of, which may limit them.

        Raises:
            ValueError: ``linger`` is negative.
        """
        if linger < 0:
            raise ValueError(f"linger must not be negative: {linger}")
        self.linger = linger
        self.drops = 0
        self._limits = SymbolLimits(market)  # of wanted topics
        # Of types with a limit: the topics that linger and are active, in the order of `_lingering`.
        self._limited_lingering: dict[str, OrderedDict[str, None]] = {}
        self._flows = FlowingTopics()
        self._holders = SpreadDict[str, int]()  # wanted topic -> how many want it
        self._wildcards = SpreadDict[str, None]()  # those of them that are wildcards
        self._active = SpreadSet[str]()
        self._refused = SpreadDict[str, str]()  # topic -> what the upstream said
        self._lingering = Lingering()  # topics without holders, active or refused
        # Active wildcard -> wanted topics that are not active because it covers them.
        self._covered: dict[str, TopicQueue[None]] = {}
        # Wanted topics that are neither active, covered nor refused yet.
        self._unasked = UnaskedTopics()
        self.leftovers: list[dict[str, Any]] = []
        self.past = PastRequests()
        # Covered topics that were asked for all the same, for what has passed of them: to be dropped again.
        self._surplus: list[str] = []

    def __len__(self) -> int:
        """Return how many topics are wanted."""
        return len(self._holders)

    def __contains__(self, topic: object) -> bool:
        """Return whether ``topic`` is wanted."""
        return isinstance(topic, str) and topic in self._holders

    @property
    def active(self) -> frozenset[str]:
        """The topics that are active upstream, lingering ones included; a copy."""
        return frozenset(self._active)

    @property
    def has_more(self) -> bool:
        """Whether ``changes`` has more to ask for right now."""
        return self._unasked.has_more

    @property
    def wanted(self) -> tuple[str, ...]:
        """The topics that are wanted; a copy."""
        return tuple(self._holders)

    def count(self, topic: str) -> int:
        """Return how many times ``topic`` is held."""
        return self._holders.get(topic, 0)

    def refusal(self, topic: str) -> str | None:
        """Return what the upstream said when it refused ``topic``, or None when it did not."""
        return self._refused.get(topic)

    def refusal_of_more(self, topic: str) -> str | None:
        """Return why ``topic`` cannot be acquired besides those that are wanted already; None when it can be."""
        return None if topic in self._holders else self._limits.refusal(_type_of(topic))

    def acquire(self, topic: str, *, since: int | None = None) -> None:
        """One more client wants ``topic``: an upstream topic such as ``T.AAPL`` or ``T.*``.

        Args:
            topic: what it wants.
            since: from when on it wants what has passed, in Unix milliseconds; None for nothing. It is asked of the
                upstream together with the topic; nothing is asked about a topic that is active already.
        """
        part = self._holders.part(topic)
        holders = part.get(topic, 0)
        part[topic] = holders + 1
        if holders:
            if self._forget_want_of_room(topic):
                self._unasked.add(topic, None)
            return
        if is_wildcard(topic):
            self._wildcards[topic] = None
        self._limits.add(_type_of(topic))
        # A topic that lingers is as active, or as refused, as it was.
        if not self._lingering.discard(topic):
            self._flows.forget_before(topic)
            self._unasked.add(topic, since)
        else:
            self._forget_limited(topic)

    def release(self, topic: str, now: float) -> None:
        """One client less wants ``topic``.

        Args:
            topic: a topic that was acquired.
            now: the time, in seconds of the clock that ``changes`` goes by.

        Raises:
            ValueError: nobody holds the topic.
        """
        part = self._holders.part(topic)
        holders = part.get(topic)
        if holders is None:
            raise ValueError(f"released more often than acquired: {topic!r}")
        if holders > 1:
            part[topic] = holders - 1
            return
        del part[topic]
        if is_wildcard(topic):
            self._wildcards.pop(topic)
        event_type = _type_of(topic)
        self._limits.discard(event_type)
        self._forget_want_of_room(topic)
        if topic in self._active or topic in self._refused:
            self._lingering.add(topic, now + self.linger)
            self.past.discard(topic)
            if topic in self._active and self._is_limited(topic):
                self._limited_lingering.setdefault(event_type, OrderedDict())[topic] = None
            return
        self._unasked.discard(topic)
        self.past.discard(topic)
        self._flows.forget_before(topic)
        covered = self._covered.get(covering_topic(topic))
        if covered is not None:
            covered.discard(topic)

    def changes(self, now: float, *, drop: bool = True) -> Changes:
        """Return what has to be said upstream now, and take it as said.

        That is a bounded number of topics in one call: while ``has_more``, there are more to ask for, and while
        ``deadline`` is not after ``now``, to drop.

        Args:
            now: the time, in seconds; topics whose linger has passed by then are dropped.
            drop: whether to drop any.
        """
        wildcards, others, asked = self._take_unasked() if self.has_more else ([], [], {})
        # A wildcard goes when all that it may cover has been looked at.
        unsubscribe, uncovered = self._expire(now) if drop and not self.has_more else ([], [])
        subscribe = wildcards + uncovered + others
        make_room = [topic for topic in unsubscribe if self._is_limited(topic)]
        if make_room:
            unsubscribe = [topic for topic in unsubscribe if not self._is_limited(topic)]
        make_room += self._make_room(subscribe)
        for topic in make_room:
            self._flows.stop(topic)
            self.past.stopped(topic)
        self.drops += len(unsubscribe) + len(make_room)
        self._active.update(subscribe)
        if self._surplus:
            unsubscribe += self._take_surplus()
        return Changes(tuple(subscribe), tuple(unsubscribe), asked, tuple(make_room), not self.has_more)

    def confirm(self, topics: Iterable[str], now: int) -> None:
        """The upstream acknowledged topics, at a time in Unix milliseconds."""
        for topic in topics:
            if topic in self._active:
                self._flows.confirm(topic, now)

    def flows_since(self, topic: str) -> int | None:
        """Return from when on nothing of a topic is missing for want of a subscription, in Unix milliseconds.

        None when it does not flow yet; 0 when the upstream sends all of its type.
        """
        return self._flows.since(topic)

    def vouched_at(self, topic: str) -> int:
        """Return when the upstream last said that nothing of a topic was missing since it flows, in Unix milliseconds.

        That includes what its own gaps had cost. 0 when it has never been asked.
        """
        return self._flows.vouched_at(topic)

    def asked_since(self, topics: Mapping[str, int]) -> None:
        """What has passed of topics was asked for, of an upstream that says when it has brought it.

        Args:
            topics: which, each with the time from which on, in Unix milliseconds.
        """
        self._flows.ask(topics)

    def replayed(self, topics: Iterable[str], *, is_complete: bool, now: int) -> None:
        """The upstream has brought what has passed of topics, at a time in Unix milliseconds."""
        self._flows.replayed(topics, is_complete=is_complete, now=now)

    def awaits_past(self, topic: str) -> bool:
        """Return whether the upstream has still to bring what has passed of a topic."""
        return self._flows.awaits(topic) or self._unasked.since(topic) is not None or self.past.awaits(topic)

    def past_came(self, *, is_complete: bool) -> None:
        """The upstream has brought what ``past`` asked for, all there was or not."""
        self._surplus += (
            topic for topic in self.past.came(is_complete=is_complete) if topic not in self._active
        )

    def recovering(self, *, is_complete: bool, all_of: Iterable[str], gap_ahead: bool = False) -> None:
        """The upstream is about to bring what was missed while the connection was lost.

        Args:
            is_complete: whether it has all of it.
            all_of: the event types of which it sends everything, whatever is subscribed to.
            gap_ahead: whether something is missing in the midst of what it brings.
        """
        self._flows.recovering(is_complete=is_complete, all_of=all_of)

    def recovered(self) -> None:
        """It has brought all that it could."""

    def unrecoverable(self) -> None:
        """The upstream will not bring what was missed."""
        self._flows.unrecoverable()
        self.past.forget()

    def deadline(self) -> float | None:
        """Return when ``changes`` will next have something to drop, in seconds; None when nothing lingers."""
        return self._lingering.first_expiry()

    def refuse(self, topics: Iterable[str], message: str) -> None:
        """The upstream refused topics: they are not active, and are not asked for again on this connection.

        What a refused wildcard covered is asked for by the next ``changes``. A refusal is forgotten when
        nobody has wanted the topic for the linger time, and when the connection is lost; one for want of room
        as soon as somebody acquires the topic once more, because others may have made room. Topics that are
        not active are ignored.

        Args:
            topics: what was refused.
            message: what the upstream said.
        """
        for topic in topics:
            if topic in self._active:
                self._active.discard(topic)
                self._flows.refuse(topic)
                self.past.stopped(topic)
                self._forget_limited(topic)
                self._refused[topic] = message
                covered = self._covered.pop(topic, None)
                if covered:
                    self._unasked.look_through(covered.buckets())

    def reset(self, *, is_recoverable: bool = False) -> None:
        """The connection is lost: nothing is active, and the next ``changes`` asks for all that is wanted.

        Args:
            is_recoverable: whether the upstream may bring later what is missed now.
        """
        self.leftovers += (*self._active.parts, *self._refused.parts)
        self.leftovers += self._unasked.parts()
        queues: list[TopicQueue[Any]] = [self._lingering, *self._covered.values()]
        for queue in queues:
            self.leftovers += queue.parts()
        self.past.lost()
        self._surplus = []
        self._active = SpreadSet()
        self._refused = SpreadDict()
        self._lingering = Lingering()
        self._limited_lingering.clear()
        self._covered = {}
        self._unasked = UnaskedTopics(self._wildcards.parts, self._holders.parts)
        self.leftovers += self._flows.lost(len(self._holders), is_recoverable=is_recoverable)

    def _is_to_be_asked(self, topic: str) -> bool:
        """Return whether a topic that was come across may have to be asked for."""
        return topic in self._holders and topic not in self._active and topic not in self._refused

    def _take_unasked(self) -> tuple[list[str], list[str], dict[str, int]]:
        """Take a bounded number of topics that are to be asked for: wildcards first, as they cover others.

        Returns:
            the wildcards, which are active now; the others that none covers; and of which of them what has passed is
            wanted too, from when on.
        """
        wildcards = self._unasked.take_wildcards(MAX_ASKS, self._is_to_be_asked)
        self._active.update(wildcards)
        others: dict[str, int | None] = {}
        if not self._unasked.has_wildcards:
            found = self._unasked.take_others(MAX_ASKS - len(wildcards), self._is_to_be_asked)
            others = {topic: since for topic, since in found.items() if not self._cover(topic)}
        asked = {
            topic: since
            for taken in (wildcards, others)
            for topic, since in taken.items()
            if since is not None
        }
        return list(wildcards), list(others), asked

    def _cover(self, topic: str) -> bool:
        """Note that a topic is covered if it is; return whether it is."""
        covering = covering_topic(topic)
        if covering not in self._active:
            return False
        covered = self._covered.get(covering)
        if covered is None:
            covered = self._covered[covering] = TopicQueue()
        if topic not in covered:
            covered.add(topic, None)
        return True

    def _expire(self, now: float) -> tuple[list[str], list[str]]:
        """Forget topics that have lingered long enough, a bounded number.

        A wildcard that covers others goes when all of them have been asked for, a bounded number of them in each call.

        Returns:
            those of them that were active; and the topics to ask for in their place.
        """
        expired: list[str] = []
        uncovered: list[str] = []
        for topic in self._lingering.expired(now):
            left = MAX_DROPS - len(expired) - len(uncovered)
            if left <= 0:
                break
            covered = self._covered.get(topic)
            if covered:
                for each, _ in covered.take(left):
                    self._flows.inherit(each, topic)
                    uncovered.append(each)
                if covered:
                    break
            expired.append(topic)
        dropped = []
        for topic in expired:
            self._lingering.discard(topic)
            self._forget_limited(topic)
            self._covered.pop(topic, None)
            if self._refused.pop(topic) is None:
                self._active.discard(topic)
                self._flows.stop(topic)
                self.past.stopped(topic)
                dropped.append(topic)
        return dropped, uncovered

    def _take_surplus(self) -> list[str]:
        """Take what was asked for only because of what had passed of it, and has come."""
        surplus = [topic for topic in dict.fromkeys(self._surplus) if topic not in self._active]
        self._surplus = [topic for topic in surplus if self.past.awaits(topic)]
        return [topic for topic in surplus if topic not in self._surplus]

    def _forget_want_of_room(self, topic: str) -> bool:
        """Forget that a topic was refused for want of room; return whether it was."""
        message = self._refused.get(topic)
        if message is None or not is_want_of_room(message):
            return False
        self._refused.pop(topic)
        return True

    def _is_limited(self, topic: str) -> bool:
        return self._limits.limit(_type_of(topic)) is not None

    def _forget_limited(self, topic: str) -> None:
        lingering = self._limited_lingering.get(_type_of(topic))
        if lingering is not None:
            lingering.pop(topic, None)

    def _make_room(self, subscribe: Iterable[str]) -> list[str]:
        """Drop the topics that have lingered longest where else there would be more than the limit of their type."""
        if not self._limited_lingering:
            return []
        dropped: list[str] = []
        for event_type in {_type_of(topic) for topic in subscribe}.intersection(self._limited_lingering):
            # Those that are wanted are within the limit, and all of them are active from now on.
            lingering = self._limited_lingering[event_type]
            for _ in range(self._limits.excess(event_type, len(lingering))):
                topic, _ = lingering.popitem(last=False)
                self._lingering.discard(topic)
                self._active.discard(topic)
                self._flows.stop(topic)
                self.past.stopped(topic)
                dropped.append(topic)
        return dropped


def _type_of(topic: str) -> str:
    return topic.partition(".")[0]
