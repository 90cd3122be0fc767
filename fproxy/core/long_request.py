"""Reading a long message of a client in steps, so that nobody else waits for it.

A short message may be any JSON, and is decoded in one go. To decode a megabyte of any JSON takes tens of milliseconds,
so a long message has to have the form that requests have: an object of plain fields (RFC 8259), one of which,
``params``, holds very many topics. That field is decoded a piece at a time, and all else as a short message.
"""

import json
import re
from collections.abc import Generator
from typing import Final

from fproxy.core.client_request import (
    JSON_SPACE,
    MAX_TOPICS_PER_MESSAGE,
    MessageError,
    decode_request,
    shown,
    too_many_topics,
    topics_of,
)

LONG_MESSAGE: Final = 16 * 1024
"""From how many characters or bytes on a message is long."""

PIECE: Final = 4 * 1024
"""About how many characters are decoded in a step."""

_HEAD: Final = re.compile(
    r"""\s*\{\s*
    (?:"\w{1,32}"\s*:\s*(?:"[^"\\]{0,256}"|[-+.\w]{1,32})\s*,\s*){0,16}
    "params"\s*:\s*(?P<opening>["[])""",
    re.VERBOSE | re.ASCII,
)
"""The beginning of a request up to its topics. Nothing in it can be read in two ways, so it is matched in one pass."""


def decode_long_request(message: str | bytes) -> Generator[None, None, tuple[dict[str, object], list[str]]]:
    """Decode a long message in steps.

    Args:
        message: the payload of one text or binary message.

    Returns:
        the request, with what it has for ``params`` left out, and the topics of that.

    Raises:
        MessageError: it has another form, is not JSON, or has more than ``MAX_TOPICS_PER_MESSAGE`` topics.
    """
    try:
        text = message if isinstance(message, str) else message.decode()
    except UnicodeDecodeError as error:
        raise MessageError(f"malformed message: not UTF-8 at byte {error.start}") from None
    text = text.strip(JSON_SPACE)
    if len(text) <= LONG_MESSAGE:
        request = decode_request(text)
        return request, topics_of(request)
    head = _HEAD.match(text)
    if head is None:
        raise MessageError(
            f"malformed message: one of more than {LONG_MESSAGE} characters has to be an object with an "
            f"action and 'params': {shown(text)}"
        )
    begin, is_array = head.end(), head["opening"] == "["
    end = text.find("]" if is_array else '"', begin)
    if end < 0:
        raise MessageError("malformed message: 'params' does not end")
    rest = text[end + 1 : end + 2 + LONG_MESSAGE]
    if len(rest) > LONG_MESSAGE or '"params"' in rest:
        raise MessageError("malformed message: too much comes behind 'params'")
    request = decode_request(f'{head[0][:-1]}""{rest}')
    del request["params"]
    parts: list[str] = []
    separator = '",' if is_array else ","
    at = begin
    while at <= end:
        yield
        cut = text.find(separator, at + PIECE, end)
        cut = end if cut < 0 else cut + len(separator) - 1
        parts += _parts(text[at:cut], is_array, at)
        if len(parts) > MAX_TOPICS_PER_MESSAGE:
            raise too_many_topics()
        at = cut + 1
    if len(parts) == 1 and not parts[0].strip():
        raise MessageError("malformed message: 'params' is empty")
    return request, parts


def _parts(piece: str, is_array: bool, at: int) -> list[str]:
    """Return the topics in a piece of ``params``, which is cut behind a topic."""
    try:
        if not is_array:
            return str(json.loads(f'"{piece}"')).split(",")
        strings = json.loads(f"[{piece}]")
    except ValueError as error:
        place = at + error.pos - 1 if isinstance(error, json.JSONDecodeError) else at
        raise MessageError(f"malformed message: not JSON at character {place}, in 'params'") from None
    except RecursionError:
        raise MessageError("malformed message: nested too deeply") from None
    if not strings or not all(isinstance(part, str) for part in strings):
        raise MessageError("malformed message: 'params' holds not only strings")
    return ",".join(strings).split(",")
