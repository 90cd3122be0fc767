"""Acknowledgements that wait for the vendor's: a topic is acknowledged when its events come, not before."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fproxy.core.status_replies import status_messages, subscribed_status
from fproxy.core.topics import WILDCARD, Topic, covering_topic
from fproxy.shell.client import Client
from fproxy.shell.work_steps import Steps, WorkSteps

LONGEST: Final = 5.0
"""How long an acknowledgement may wait, in seconds. A vendor passes over some topics in silence."""


ANSWERED_TOPICS: Final = 200
"""How many topics are answered in one step, and"""

ANSWERED_CLIENTS: Final = 50
"""how many clients: some tenths of a millisecond."""

SEARCHED_TOPICS: Final = 2_000
"""How many of those that wait are compared with wildcards in one step."""

_Holds = dict[Client, "_Hold"]


class _Hold:
    """What is due to one client for one topic: the same topic may be asked for again while it waits."""

    __slots__ = ("batch", "due", "topic")

    def __init__(self, topic: Topic, batch: object) -> None:
        self.topic = topic
        self.due = 1
        self.batch = batch


class HeldAnswers:
    """Topics that clients have asked for and that the vendor has not answered yet.

    Each client gets every acknowledgement once: when the vendor has acknowledged the topic, or the wildcard that
    covers it; when it has had its time; or when it is lost, which the client is told as well. A refusal is told as
    such, and ends the wait.
    """

    def __init__(self) -> None:
        """Begin without any."""
        # By topic; prefixes apart, by the wildcard that the vendor is asked for in their place.
        self._waiting: dict[str, _Holds] = {}
        self._prefixes: dict[str, dict[str, _Holds]] = {}
        self._steps: WorkSteps

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients; ``steps`` carries out what is long."""
        self._steps = steps

    def hold(self, client: Client, topics: Sequence[Topic]) -> None:
        """Answer a client's topics later."""
        batch = object()
        for topic in topics:
            beside = self._waiting
            if topic.is_prefix:
                beside = self._prefixes.setdefault(topic.covering.text, {})
            holds = beside.setdefault(topic.text, {})
            if client in holds:
                holds[client].due += 1
            else:
                holds[client] = _Hold(topic, batch)
        asyncio.get_running_loop().call_later(LONGEST, self._expire, client, tuple(topics), batch)

    def answer(self, topics: Iterable[str]) -> None:
        """Acknowledge topics, and those that wildcards among them cover, to those who wait for them: soon, in steps."""
        if self._waiting or self._prefixes:
            self._steps.add(self, self._answer(tuple(topics)))

    def _answer(self, topics: Sequence[str]) -> Steps:
        wildcards = {text for text in topics if text.endswith(f".{WILDCARD}")}
        texts = list(topics)
        if wildcards:
            waiting = list(self._waiting)
            for first in range(0, len(waiting), SEARCHED_TOPICS):
                texts += [
                    text
                    for text in waiting[first : first + SEARCHED_TOPICS]
                    if text not in wildcards and covering_topic(text) in wildcards
                ]
                yield None
            for wildcard in wildcards:
                texts += self._prefixes.get(wildcard, ())
        for first in range(0, len(texts), ANSWERED_TOPICS):
            due: dict[Client, list[Topic]] = {}
            for text in texts[first : first + ANSWERED_TOPICS]:
                holds = self._forget(text)
                for client, hold in holds.items():
                    due.setdefault(client, []).extend([hold.topic] * hold.due)
                if len(holds) > ANSWERED_CLIENTS:
                    yield from _acknowledge_all(due)
                    due = {}
            yield from _acknowledge_all(due)

    def answer_client(self, client: Client, topics: Iterable[Topic]) -> None:
        """Acknowledge topics to one client, who is about to give them up."""
        _acknowledge(client, self._take(client, topics))

    def answer_all(self) -> None:
        """Acknowledge all that waits."""
        self.answer((*self._waiting, *self._prefixes))

    def refused(self, topics: Iterable[str]) -> None:
        """The vendor refused topics: whoever waits for them is told so elsewhere."""
        for text in topics:
            self._waiting.pop(text, None)
            prefixes = self._prefixes.pop(text, {})
            if len(prefixes) > ANSWERED_TOPICS:
                self._steps.add(self, _let_go(prefixes))

    def drop(self, client: Client, topics: Iterable[Topic]) -> None:
        """A client is gone, who had topics."""
        self._take(client, topics)

    def _waiting_beside(self, text: str) -> dict[str, _Holds]:
        """Return what waits where a topic does, if it does."""
        covering = covering_topic(text)
        is_prefix = text.endswith(WILDCARD) and text != covering
        return self._prefixes.get(covering, {}) if is_prefix else self._waiting

    def _forget(self, text: str) -> _Holds:
        """Forget whoever waits for a topic; return them."""
        waiting = self._waiting_beside(text)
        holds = waiting.pop(text, {})
        if not waiting and waiting is not self._waiting:
            self._prefixes.pop(covering_topic(text), None)
        return holds

    def _take(self, client: Client, topics: Iterable[Topic], batch: object = None) -> list[Topic]:
        """Forget what is due to a client for topics, if it has waited since a batch; return it."""
        due: list[Topic] = []
        for topic in topics:
            holds = self._waiting_beside(topic.text).get(topic.text, {})
            hold = holds.get(client)
            if hold is None or (batch is not None and hold.batch is not batch):
                continue
            due += [topic] * hold.due
            del holds[client]
            if not holds:
                self._forget(topic.text)
        return due

    def _expire(self, client: Client, topics: Sequence[Topic], batch: object) -> None:
        """The vendor has had its time."""
        _acknowledge(client, self._take(client, topics, batch))


def _let_go(prefixes: dict[str, _Holds]) -> Steps:
    """Give up what nobody will be told any more: it takes a while where there is much of it."""
    while prefixes:
        for _ in range(min(len(prefixes), ANSWERED_TOPICS)):
            prefixes.popitem()
        yield None


def _acknowledge_all(due: Mapping[Client, Sequence[Topic]]) -> Steps:
    for number, (client, topics) in enumerate(due.items(), 1):
        _acknowledge(client, topics)
        if number % ANSWERED_CLIENTS == 0:
            yield None
    yield None


def _acknowledge(client: Client, topics: Sequence[Topic]) -> None:
    if topics:
        for message in status_messages(map(subscribed_status, topics)):
            client.send_status(message)
