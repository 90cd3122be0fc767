"""Reading what a client says: one JSON object a message, with an action and what it is about.

What is wrong with a message is said in words for the client, with the place.
"""

import json
from typing import Final

from fproxy.core.stream_position import MAX_NUMBER, RecoveryRequest, parse_recovery_request

MAX_TOPICS_PER_MESSAGE: Final = 50_000
"""The most topics in one message. Each is answered, and an answer is longer than the least topic."""

MAX_ECHO: Final = 64
"""How many characters of what a client sent are repeated to it in an error."""

MAX_SINCE_MS: Final = 2**53
"""The latest ``since``, in Unix milliseconds: every JSON reader keeps integers exact up to this."""

JSON_SPACE: Final = " \t\n\r"
"""White space by RFC 8259, section 2."""

_JSON_TYPES: Final = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class MessageError(ValueError):
    """A message that cannot be carried out at all; the text is for the client."""


def decode_request(message: str | bytes) -> dict[str, object]:
    """Return the object that a message holds.

    Args:
        message: the payload of one text or binary message.

    Raises:
        MessageError: it is no JSON object (RFC 8259).
    """
    # The standard library's parser rather than simdjson: it also takes integers of any size in fields that do
    # not matter here, and says where a message is wrong.
    try:
        text = message if isinstance(message, str) else message.decode()
        request = json.loads(text)
    except UnicodeDecodeError as error:
        raise MessageError(f"malformed message: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise MessageError(f"malformed message: not JSON at {_place(error)}") from None
    except RecursionError:
        raise MessageError("malformed message: nested too deeply") from None
    except ValueError:
        raise MessageError("malformed message: a number with too many digits") from None
    if not isinstance(request, dict):
        raise MessageError(f"malformed message: {_type_of(request)}, not an object: {shown(text)}")
    return request


def _place(error: json.JSONDecodeError) -> str:
    """Say where a text stops being JSON, in the same words whatever the version of ``json``."""
    text, position = error.doc, error.pos
    if error.msg.startswith("Illegal trailing comma"):
        # Python 3.13 and later blame the comma; what cannot follow it is what stops the text from being JSON.
        position += 1 + len(text[position + 1 :]) - len(text[position + 1 :].lstrip(JSON_SPACE))
    return f"character {position}, {shown(text[position:]) if position < len(text) else 'the end'}"


def text_field(request: dict[str, object], name: str) -> str:
    """Return a field of a request that must be there and be a string.

    Raises:
        MessageError: it is not.
    """
    try:
        value = request[name]
    except KeyError:
        raise MessageError(f"malformed message: no {name!r}") from None
    if not isinstance(value, str):
        raise MessageError(f"malformed message: {name!r} is {_type_of(value)}, not a string")
    return value


def since_of(request: dict[str, object]) -> int | None:
    """Return ``since``, in Unix milliseconds; None when the client did not say.

    Raises:
        MessageError: it is no integer, or out of range.
    """
    if "since" not in request:
        return None
    since = request["since"]
    if type(since) is not int:
        raise MessageError(f"malformed message: 'since' is {_type_of(since)}, not an integer of milliseconds")
    if not 0 <= since <= MAX_SINCE_MS:
        raise MessageError(
            f"malformed message: 'since' is outside 0 to {MAX_SINCE_MS} ms: {shown(str(since))}"
        )
    return since


def recovery_of(request: dict[str, object]) -> RecoveryRequest | None:
    """Return what a role of ours, which authenticates, says that it missed; None from every other client.

    Raises:
        MessageError: it is malformed.
    """
    if "recover" not in request:
        return None
    try:
        return parse_recovery_request(request["recover"])
    except ValueError as error:
        raise MessageError(f"malformed message: {error}") from None


def recover_number_of(request: dict[str, object]) -> int | None:
    """Return the number by which a role of ours asks for what it missed of the topics; None when it does not.

    Raises:
        MessageError: it is no integer, or out of range.
    """
    number = request.get("recover")
    if number is None:
        return None
    if type(number) is not int or not 0 < number <= MAX_NUMBER:
        raise MessageError(f"malformed message: 'recover' is not an integer from 1 to {MAX_NUMBER}")
    return number


def snapshot_of(request: dict[str, object]) -> bool | None:
    """Return ``snapshot``; None when the client did not say.

    Raises:
        MessageError: it is neither true nor false.
    """
    if "snapshot" not in request:
        return None
    snapshot = request["snapshot"]
    if not isinstance(snapshot, bool):
        raise MessageError(f"malformed message: 'snapshot' is {_type_of(snapshot)}, not true or false")
    return snapshot


def topics_of(request: dict[str, object]) -> list[str]:
    """Return the topics of a request: ``params`` is a string with commas, or an array of such strings.

    Raises:
        MessageError: it is neither, or empty, or has more than ``MAX_TOPICS_PER_MESSAGE`` topics.
    """
    params = request.get("params")
    if isinstance(params, list):
        strays = [part for part in params if not isinstance(part, str)]
        if strays:
            raise MessageError(f"malformed message: 'params' holds {_type_of(strays[0])}, not only strings")
        params = ",".join(params)
    else:
        params = text_field(request, "params")
    if not params.strip():
        raise MessageError("malformed message: 'params' is empty")
    parts = params.split(",")
    if len(parts) > MAX_TOPICS_PER_MESSAGE:
        raise too_many_topics()
    return parts


def too_many_topics() -> MessageError:
    """Return the error for more topics in a message than are taken."""
    return MessageError(f"too many topics in one message: at most {MAX_TOPICS_PER_MESSAGE} are taken")


def shown(text: str) -> str:
    """Return what a client sent as an error may repeat it: quoted, and cut after ``MAX_ECHO`` characters."""
    return repr(text) if len(text) <= MAX_ECHO else f"{text[:MAX_ECHO]!r}..."


def _type_of(value: object) -> str:
    return _JSON_TYPES.get(type(value), "something else")
