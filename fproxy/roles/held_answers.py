"""Acknowledgements that wait for the vendor's: a topic is acknowledged when its events come, not before."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from fproxy.core.control import status_messages, subscribed_status
from fproxy.core.topics import Topic
from fproxy.shell.client import Client

LONGEST: Final = 5.0
"""How long an acknowledgement may wait, in seconds. A vendor passes over some topics in silence."""


class HeldAnswers:
    """Topics that clients have asked for and that the vendor has not answered yet.

    Each client gets every acknowledgement once: when the vendor has acknowledged the topic, when it has had its time,
    or when the vendor is lost, which the client is told behind it. A refusal is told as such, and ends the wait.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._waiting: dict[str, dict[Client, Topic]] = {}  # by the vendor's topic

    def __len__(self) -> int:
        """Return how many topics wait."""
        return len(self._waiting)

    def hold(self, client: Client, topics: Sequence[Topic]) -> None:
        """Answer a client's topics later."""
        for topic in topics:
            self._waiting.setdefault(topic.text, {})[client] = topic
        texts = [topic.text for topic in topics]
        asyncio.get_running_loop().call_later(LONGEST, self.answer, texts)

    def answer(self, topics: Iterable[str]) -> None:
        """Acknowledge topics to those who wait for them."""
        answers: dict[Client, list[Topic]] = {}
        for text in topics:
            for client, topic in self._waiting.pop(text, {}).items():
                answers.setdefault(client, []).append(topic)
        for client, answered in answers.items():
            for message in status_messages(map(subscribed_status, answered)):
                client.send_status(message)

    def answer_all(self) -> None:
        """Acknowledge all that waits."""
        self.answer(tuple(self._waiting))

    def refused(self, topics: Iterable[str]) -> None:
        """The vendor refused topics: whoever waits for them is told so elsewhere."""
        for text in topics:
            self._waiting.pop(text, None)

    def drop(self, client: Client, topics: Iterable[Topic]) -> None:
        """A client does not want topics any more."""
        for topic in topics:
            clients = self._waiting.get(topic.text)
            if clients is not None:
                clients.pop(client, None)
                if not clients:
                    del self._waiting[topic.text]
