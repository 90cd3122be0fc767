"""Resuming: what a client missed while it was away, for programs that only connect and subscribe again.

A connection that ends leaves behind what it was subscribed to and up to when its client has got everything. The next
one of the same key that subscribes takes that over: the topics that both have in common are brought from then on,
less the overlap, before what is live. Every event comes at least once; those of the overlap may come twice.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from fproxy.core.topics import EVERYTHING, WILDCARD, Topic
from fproxy.roles.replay import ReplayStart
from fproxy.shell.client import Client
from fproxy.shell.delivery import DeliveryLog
from fproxy.shell.work_steps import Steps

LOOK_INTERVAL: Final = 0.5
"""How long between looks at what has reached the clients, in seconds."""

LOOKS_PER_STEP: Final = 100
"""How many clients are looked at in one step: some tenths of a millisecond."""

MAX_KEPT_TOPICS: Final = 1_000_000
"""How many topics connections that have ended may leave behind, all together: some 100 MB at the most."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ended:
    """What a connection left behind.

    Attributes:
        account: whose it was.
        at: when it ended, in Unix milliseconds.
        delivered_at: all that was written before is with the client.
        topics: what it was subscribed to.
    """

    account: str
    at: int
    delivered_at: int
    topics: Collection[Topic]

    @property
    def weight(self) -> int:
        return 1 + len(self.topics)


@dataclass(slots=True)
class _Present:
    """A client that is there.

    Attributes:
        log: up to when it has got everything.
        predecessor: the connection that it resumes.
        asked: whether it has subscribed, and so looked for one.
        resumed: the topics that it was brought already.
    """

    log: DeliveryLog
    predecessor: _Ended | None = None
    asked: bool = False
    resumed: set[Topic] = field(default_factory=set)


class Resumption:
    """Who may resume what. Times are Unix milliseconds, and passed in."""

    def __init__(self, *, overlap: int, kept_for: int) -> None:
        """Begin with nobody.

        Args:
            overlap: what is brought begins so much before the moment up to which the client has got everything.
            kept_for: how long a connection that has ended can be resumed.
        """
        self._overlap = overlap
        self._kept_for = kept_for
        self._present: dict[Client, _Present] = {}
        self._ended: OrderedDict[_Ended, None] = OrderedDict()  # as they ended
        self._accounts: dict[str, list[_Ended]] = {}
        self._weight = 0

    def client_joined(self, client: Client, now: int) -> None:
        """A client has authenticated. One whose key is not to be resumed is not looked at."""
        if client.key is not None and not client.key.resume:
            return
        self._present[client] = _Present(client.delivery_log(now))

    def missed(
        self, client: Client, topics: Sequence[Topic], now: int
    ) -> tuple[list[Topic], ReplayStart] | None:
        """A client subscribes. Return what of that it missed while it was away, and from when on; None for nothing."""
        present = self._present.get(client)
        if present is None:
            return None
        if not present.asked:
            present.asked = True
            present.predecessor = self._take(client.account, now)
            if present.predecessor is not None:
                present.log = client.delivery_log(present.predecessor.delivered_at)
        ended = present.predecessor
        if ended is None:
            return None
        missed = [topic for topic in topics if topic not in present.resumed and _covers(ended.topics, topic)]
        present.resumed.update(missed)
        start = ReplayStart(max(0, ended.delivered_at - self._overlap), resumes=True)
        return (missed, start) if missed else None

    def client_left(self, client: Client, topics: Collection[Topic], now: int) -> None:
        """A client is gone. What it was subscribed to is kept, and must not be changed any more."""
        present = self._present.pop(client, None)
        if present is None:
            return
        self._forget_before(now - self._kept_for)
        if topics:
            self._keep(_Ended(client.account, now, present.log.delivered_at(), topics))

    def looks(self, now: Callable[[], int], flush: Callable[[], None], *, busy: Collection[Client]) -> Steps:
        """Look at what has reached the clients, in steps, again and again.

        Args:
            now: returns the time.
            flush: writes what is pending: what has not been written cannot have been noted.
            busy: those who still get what has passed.
        """
        while True:
            yield LOOK_INTERVAL
            clients = tuple(self._present)
            for first in range(0, len(clients), LOOKS_PER_STEP):
                flush()
                for client in clients[first : first + LOOKS_PER_STEP]:
                    present = self._present.get(client)
                    if present is not None and client not in busy:
                        present.log.look(now())
                yield None

    def _keep(self, ended: _Ended) -> None:
        self._ended[ended] = None
        self._accounts.setdefault(ended.account, []).append(ended)
        self._weight += ended.weight
        while self._weight > MAX_KEPT_TOPICS:
            self._drop(next(iter(self._ended)))

    def _take(self, account: str, now: int) -> _Ended | None:
        self._forget_before(now - self._kept_for)
        kept = self._accounts.get(account)
        if not kept:
            return None
        ended = kept[-1]
        self._drop(ended)
        return ended

    def _forget_before(self, time: int) -> None:
        while self._ended and (oldest := next(iter(self._ended))).at < time:
            self._drop(oldest)

    def _drop(self, ended: _Ended) -> None:
        del self._ended[ended]
        self._weight -= ended.weight
        kept = self._accounts[ended.account]
        kept.remove(ended)
        if not kept:
            del self._accounts[ended.account]


def _covers(held: Collection[Topic], topic: Topic) -> bool:
    return topic in held or Topic(topic.event_type, WILDCARD) in held or EVERYTHING in held
