"""Reading an upstream's status events."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import simdjson

INTERRUPTED_STATUS: Final = "upstream_disconnected"
"""The status with which a server of ours says that it lost its own upstream: events may be missing from now on."""

RESTORED_STATUS: Final = "upstream_reconnected"
"""The status with which it says that every event comes again."""

REPLAYED_STATUS: Final = "replayed"
"""The status behind the last kept event that was asked for: what comes after it is live."""

_parser: Final = simdjson.Parser()
_WORD: Final = re.compile(r"[^\s,]+")
_PUNCTUATION: Final = "\"'`.:;!()[]"


class StatusError(ValueError):
    """A status event cannot be read."""


class StatusEvent(NamedTuple):
    """What an upstream says of the session.

    Attributes:
        status: such as ``success``, ``error`` or ``auth_failed``.
        message: the text that goes with it; empty when there is none.
        fields: all members of the event.
    """

    status: str
    message: str
    fields: Mapping[str, Any] = MappingProxyType({})


def parse_status(raw: bytes) -> StatusEvent:
    """Read one status event.

    Args:
        raw: a JSON object, such as ``{"ev":"status","status":"success","message":"subscribed to: T.AAPL"}``.

    Raises:
        StatusError: it is not sound JSON, not an object, or has no status.
    """
    try:
        # As Python objects: the parser's own must be gone before it is used again.
        event: Any = _parser.parse(raw, True)
    except (ValueError, RuntimeError) as error:
        raise StatusError(str(error)) from error
    if not isinstance(event, dict) or not isinstance(event.get("status"), str):
        raise StatusError("no object with a status")
    message = event.get("message")
    return StatusEvent(event["status"], message if isinstance(message, str) else "", event)


def answers_unsubscribe(message: str) -> bool:
    """Return whether the message of a success answers an unsubscribe, and not a subscribe."""
    return message.lower().startswith("unsubscribe")


def words(message: str) -> Iterator[str]:
    """Yield what may be topics in a status event's message, each as it stands and without punctuation around it."""
    for word in _WORD.findall(message):
        yield word
        bare = word.strip(_PUNCTUATION)
        if bare != word:
            yield bare
