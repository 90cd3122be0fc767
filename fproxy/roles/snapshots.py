"""Sending a client the last event of each topic that it subscribes to, before what comes of the topic from then on.

The topics are live from the moment of the subscription, and their last events follow the acknowledgement, in steps. A
topic of which an event has come in between needs no snapshot: the client has a newer event already. So the first event
of a topic that a client gets is its last one or a newer one, none is older than the one before it, and no time is spent
on holding anything back. A client that catches up with what has passed gets that first, and its snapshot then has the
topics of which that brought nothing.
"""

import json
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, TypedDict

from fproxy._fastpath import Snapshots
from fproxy.core.topics import WILDCARD, Topic, is_covered
from fproxy.roles.passage_reading import PAUSE, UNSENT_BYTES
from fproxy.roles.replay_start import Replayed
from fproxy.shell.client import Client
from fproxy.shell.work_steps import Steps, Work, WorkSteps

SNAPSHOT_STATUS: Final = "snapshot"
"""The status behind a snapshot."""

EventTopics = Callable[[Topic], Iterable[Topic]]
"""Returns what a topic is in the spelling of its events."""


class Brought(NamedTuple):
    """What a client that subscribes is brought of the past.

    Attributes:
        topics: of which topics.
        replayed: what of them, once that is done.
    """

    topics: Set[Topic]
    replayed: Replayed


class _Passed(TypedDict):
    """Which events to leave out, as ``Snapshots.read`` takes it."""

    before: int
    replayed_from: int | None
    replayed_since: int


@dataclass(frozen=True, slots=True)
class _Part:
    """Topics that a client has subscribed to at one moment.

    Attributes:
        topics: the topics.
        before: events of messages from this number on have come live since.
        replayed: what a replay has brought of them; None for nothing.
    """

    topics: Sequence[Topic]
    before: int
    replayed: Replayed | None

    @property
    def passed(self) -> _Passed:
        """Which last events the client has got in another way."""
        if self.replayed is None:
            return {"before": self.before, "replayed_from": None, "replayed_since": 0}
        first, since = self.replayed.first, self.replayed.since
        return {"before": self.before, "replayed_from": first, "replayed_since": since}


@dataclass(slots=True)
class _Message:
    """What a client has asked for in the message that is being carried out.

    Attributes:
        parts: all of it.
        wildcards: the wildcards among it.
    """

    parts: list[_Part] = field(default_factory=list)
    wildcards: set[Topic] = field(default_factory=set)


def snapshot_message(count: int) -> bytes:
    """Return the message that ends a snapshot: a JSON array with one status event.

    Args:
        count: how many events were sent.
    """
    event = {
        "ev": "status",
        "status": SNAPSHOT_STATUS,
        "message": f"snapshot: the last events of {count} topics",
        "count": count,
    }
    return json.dumps([event], separators=(",", ":")).encode()


def new_topics(topics: Iterable[Topic], held: Set[Topic]) -> list[Topic]:
    """Return those of topics that bring something new to a client that holds others."""
    return [topic for topic in topics if topic not in held and not is_covered(topic, held)]


class SnapshotSender:
    """Sends the clients of a fan-out the snapshots that they ask for."""

    def __init__(
        self,
        snapshots: Snapshots,
        *,
        topics_of: Callable[[Client], Set[Topic]],
        catching_up: Callable[[Client], bool],
        counted: Callable[[int], None],
        event_topics: EventTopics | None = None,
    ) -> None:
        """Begin without requests.

        Args:
            snapshots: has the last events, by messages that are numbered as those of the history.
            topics_of: returns what a client is subscribed to.
            catching_up: returns whether a client is being brought what has passed, and gets nothing else.
            counted: gets the number of events of each snapshot.
            event_topics: the spelling of events; None where they are spelled as topics are.
        """
        self._snapshots = snapshots
        self._topics_of = topics_of
        self._catching_up = catching_up
        self._counted = counted
        self._event_topics = event_topics or _unchanged
        self._steps: WorkSteps
        self._asked: dict[Client, _Message] = {}
        self._works: dict[Client, list[Work]] = {}

    @property
    def moment(self) -> int:
        """The number of the next message: what it brings comes live to those who subscribe now."""
        return self._snapshots.next

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients; ``steps`` carries snapshots out."""
        self._steps = steps

    def send(
        self, client: Client, topics: Collection[Topic], *, before: int, brought: Brought | None = None
    ) -> None:
        """Send the last event of each topic, behind the acknowledgement of the message being carried out.

        Args:
            client: whom to send to, who has subscribed to the topics just now.
            topics: the topics.
            before: the ``moment`` of the subscription.
            brought: of which of them the client is brought what has passed; None for none.
        """
        asked = self._asked.get(client)
        if asked is None:
            asked = self._asked[client] = _Message()
            client.after_reply(partial(self._begin, client))
        asked.wildcards.update(filter(_is_wildcard, topics))
        replayed_topics = brought.topics if brought is not None else frozenset[Topic]()
        asked.parts.append(_Part([topic for topic in topics if topic not in replayed_topics], before, None))
        if brought is not None:
            of_these = [topic for topic in topics if topic in replayed_topics]
            asked.parts.append(_Part(of_these, before, brought.replayed))

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        self._asked.pop(client, None)
        for work in self._works.pop(client, ()):
            work.cancel()

    def _begin(self, client: Client) -> None:
        asked = self._asked.pop(client, None)
        if asked is not None and client.authenticated:
            works = [work for work in self._works.get(client, ()) if not work.done]
            self._works[client] = [*works, self._steps.add((self, client), self._run(client, asked))]

    def _run(self, client: Client, asked: _Message) -> Steps:
        count = 0
        for part in asked.parts:
            topics = [topic for topic in part.topics if not is_covered(topic, asked.wildcards)]
            yield from self._until_ready(client)
            single = [topic for topic in topics if not _is_wildcard(topic)]
            frames, sent = self._snapshots.read(self._spelled(client, single), **part.passed)
            self._write(client, frames)
            count += sent
            yield None
            for topic in filter(_is_wildcard, topics):
                for wildcard in self._event_topics(topic):
                    at: int | None = 0
                    while at is not None:
                        yield from self._until_ready(client)
                        if topic not in self._topics_of(client):
                            break
                        frames, sent, at = self._snapshots.read_under(wildcard, at, **part.passed)
                        self._write(client, frames)
                        count += sent
                        yield None
        self._counted(count)
        client.send_status(snapshot_message(count))

    def _until_ready(self, client: Client) -> Steps:
        """Wait for a client that does not read, and for a replay: what it brings must not come behind last events."""
        while self._catching_up(client) or client.unsent_bytes > UNSENT_BYTES:
            yield PAUSE

    def _spelled(self, client: Client, topics: Iterable[Topic]) -> list[Topic]:
        """Return those of topics that a client still has, in the spelling of their events."""
        held = self._topics_of(client)
        return [spelled for topic in topics if topic in held for spelled in self._event_topics(topic)]

    def _write(self, client: Client, frames: bytes) -> None:
        if frames:
            client.write(frames)


def _unchanged(topic: Topic) -> tuple[Topic, ...]:
    return (topic,)


def _is_wildcard(topic: Topic) -> bool:
    return topic.symbol.endswith(WILDCARD)
