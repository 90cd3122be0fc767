"""Statuses as a client is told them: events in messages, none of which is too long for the official clients."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fproxy.core.topics import Topic

MAX_REPLY_BYTES: Final = 256 * 1024
"""Where the answer to one message is cut into several: the official clients refuse messages of 1 MB."""

_encode_json = json.JSONEncoder().encode


@dataclass(frozen=True, slots=True)
class Reply:
    """Send one text message to the client.

    Attributes:
        message: a JSON array of status events.
        errors: how many of them are errors.
    """

    message: bytes
    errors: int = 0


def status_message(*statuses: tuple[str, str]) -> bytes:
    """Return one message of status events, as compact JSON in ASCII.

    Args:
        statuses: for each event its status, such as ``success``, and its message.
    """
    return _join(_status(status, message) for status, message in statuses)


def status_messages(statuses: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Return as many messages as it takes for none to exceed ``MAX_REPLY_BYTES``; else as ``status_message``."""
    replies = Replies()
    for status, message in statuses:
        replies.add(status, message)
    return (reply.message for reply in replies.finished())


def subscribed_status(topic: Topic) -> tuple[str, str]:
    """Return the status and the message that acknowledge a subscription."""
    return "success", f"subscribed to: {topic.text}"


class Replies:
    """Puts statuses together into messages of bounded size, as they come."""

    __slots__ = ("_batch", "_errors", "_ready", "_size")

    def __init__(self) -> None:
        """Begin without any."""
        self._ready: list[Reply] = []
        self._batch: list[str] = []
        self._size = 1  # of the message: a bracket, and each status with the comma or bracket behind it
        self._errors = 0

    def add(self, status: str, message: str) -> None:
        """Put a status behind the others; see ``status_message``."""
        text = _status(status, message)
        if self._batch and self._size + len(text) + 1 > MAX_REPLY_BYTES:
            self._end_message()
        self._batch.append(text)
        self._size += len(text) + 1
        self._errors += status == "error"

    def finished(self) -> list[Reply]:
        """Return all of them: no more statuses come."""
        if self._batch:
            self._end_message()
        return self._ready

    def _end_message(self) -> None:
        self._ready.append(Reply(_join(self._batch), self._errors))
        self._batch, self._size, self._errors = [], 1, 0


def _join(statuses: Iterable[str]) -> bytes:
    return f"[{','.join(statuses)}]".encode("ascii")


def _status(status: str, message: str) -> str:
    if not message.isascii():
        # A lone surrogate may be written in JSON, but strict readers refuse the whole message for it.
        message = message.encode("utf-8", "backslashreplace").decode()
    return f'{{"ev":"status","status":{_encode_json(status)},"message":{_encode_json(message)}}}'
