"""Resuming: what a client missed while it was away, for programs that only connect and subscribe again.

A connection that ends leaves behind what it was subscribed to and up to when its client has got everything. The next
one of the same key that subscribes takes that over: the topics that both have in common are brought from then on,
less the overlap, before what is live. Every event comes at least once; those of the overlap may come twice.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final, NamedTuple

from fproxy.core.growing_set import GrowingSet
from fproxy.core.topics import Topic, is_covered
from fproxy.roles.replay_start import ReplayStart
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
class EndedConnection:
    """What a connection left behind.

    Attributes:
        number: the connection's, unlike that of any other of the same process.
        account: whose it was.
        at: when it ended, in Unix milliseconds.
        delivered_at: all that was written before is with the client.
        topics: what it was subscribed to.
    """

    number: int
    account: str
    at: int
    delivered_at: int
    topics: Collection[Topic]

    @property
    def weight(self) -> int:
        """How much it counts towards ``MAX_KEPT_TOPICS``."""
        return 1 + len(self.topics)


class Follower(NamedTuple):
    """Hears of every change of what may be resumed.

    Attributes:
        ended: gets what a connection left behind; one with the same number, if any, is replaced.
        resumed: gets the number of a connection that was resumed, or is forgotten.
    """

    ended: Callable[[EndedConnection], None]
    resumed: Callable[[int], None]


@dataclass(slots=True)
class _Present:
    """A client that is there.

    Attributes:
        number: the connection's.
        log: up to when it has got everything.
        predecessor: the connection that it resumes.
        asked: whether it has subscribed, and so looked for one.
        resumed: the topics that it was brought already.
    """

    number: int
    log: DeliveryLog
    predecessor: EndedConnection | None = None
    asked: bool = False
    resumed: GrowingSet[Topic] = field(default_factory=GrowingSet)


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
        self._ended: OrderedDict[EndedConnection, None] = OrderedDict()  # as they ended
        self._accounts: dict[str, list[EndedConnection]] = {}
        self._weight = 0
        self._numbers = count()
        self._follower: Follower | None = None
        # What was adopted of another process, by the numbers there: those that may be resumed still, and all that came.
        self._adopted: dict[int, EndedConnection | None] = {}

    def __contains__(self, client: object) -> bool:
        """Return whether a client has joined and is there."""
        return client in self._present

    def client_joined(self, client: Client, now: int) -> None:
        """A client has authenticated. One whose key is not to be resumed is not looked at."""
        if client.key is not None and not client.key.resume:
            return
        self._present[client] = _Present(next(self._numbers), client.delivery_log(now))

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
        for topic in missed:
            present.resumed.add(topic)
        start = ReplayStart(max(0, ended.delivered_at - self._overlap), resumes=True)
        return (missed, start) if missed else None

    def client_left(self, client: Client, topics: Collection[Topic], now: int) -> None:
        """A client is gone. What it was subscribed to is kept, and must not be changed any more."""
        present = self._present.pop(client, None)
        if present is None:
            return
        self._forget_before(now - self._kept_for)
        if topics:
            self._keep(_record(client, present, topics, now))

    # When another process takes over, or this one does.

    def follow(self, follower: Follower | None) -> None:
        """Tell a follower what may be resumed now, and of every change from now on; tell nobody with None."""
        self._follower = follower
        if follower is not None:
            for ended in self._ended:
                follower.ended(ended)

    def record(self, client: Client, topics: Collection[Topic], now: int) -> EndedConnection | None:
        """Return what a client, which is there, leaves behind when it is let go; None for nothing."""
        return _record(client, self._present[client], tuple(topics), now) if topics else None

    def adopt(self, record: EndedConnection) -> None:
        """Let what a connection to another process left behind be resumed here."""
        number = record.number
        if number in self._adopted:
            earlier = self._adopted[number]
            if earlier is None or earlier not in self._ended:
                return
            self._drop(earlier)
        self._adopted[number] = own = replace(record, number=next(self._numbers))
        self._keep(own)

    def end_adoption(self) -> None:
        """The other process is gone: its numbers mean nothing any more."""
        self._adopted.clear()

    def forget(self, number: int) -> None:
        """Let what a connection to another process left behind be resumed no longer."""
        own = self._adopted.get(number)
        self._adopted[number] = None
        if own is not None and own in self._ended:
            self._drop(own)

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

    def _keep(self, ended: EndedConnection) -> None:
        self._ended[ended] = None
        self._accounts.setdefault(ended.account, []).append(ended)
        self._weight += ended.weight
        if self._follower is not None:
            self._follower.ended(ended)
        while self._weight > MAX_KEPT_TOPICS:
            self._drop(next(iter(self._ended)))

    def _take(self, account: str, now: int) -> EndedConnection | None:
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

    def _drop(self, ended: EndedConnection) -> None:
        del self._ended[ended]
        self._weight -= ended.weight
        kept = self._accounts[ended.account]
        kept.remove(ended)
        if not kept:
            del self._accounts[ended.account]
        if self._follower is not None:
            self._follower.resumed(ended.number)


def _record(client: Client, present: _Present, topics: Collection[Topic], now: int) -> EndedConnection:
    return EndedConnection(present.number, client.account, now, present.log.delivered_at(), topics)


def _covers(held: Collection[Topic], topic: Topic) -> bool:
    return topic in held or is_covered(topic, held)
