"""Reading a long message of a client in steps, so that nobody else waits for it.

A short message may be any JSON, and is decoded in one go. To decode a megabyte of any JSON takes tens of milliseconds,
so a long message has to have the form that requests have: an object of plain fields (RFC 8259), one of which,
``params``, holds very many topics. That field is decoded a piece at a time, and all else as a short message. The
message itself is in pieces, too: to put them together, or to copy all of it for another reason, takes a millisecond.
"""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

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


_BEHIND_A_TOPIC: Final = {False: re.compile(","), True: re.compile(r'"[ \t\n\r]*,')}
"""Where topics may be cut apart: in a string, and in an array of strings."""


@dataclass(frozen=True, slots=True)
class LongMessage:
    """A long message in pieces.

    Attributes:
        pieces: its characters, in order; about ``LONG_MESSAGE`` in each but the last, so that they are few and short.
        broken_at: the byte at which it stops being UTF-8; None when it is.
    """

    pieces: Sequence[str]
    broken_at: int | None = None

    @classmethod
    def of(cls, message: str | bytes) -> Self:
        """Return a message that has come in one."""
        try:
            text = message if isinstance(message, str) else message.decode()
        except UnicodeDecodeError as error:
            return cls((), error.start)
        return cls(tuple(text[at : at + LONG_MESSAGE] for at in range(0, len(text), LONG_MESSAGE)))

    def __len__(self) -> int:
        """Return how many characters it has, as far as it is UTF-8."""
        return sum(map(len, self.pieces))


def decode_long_request(message: LongMessage) -> Generator[None, None, tuple[dict[str, object], list[str]]]:
    """Decode a long message in steps.

    Args:
        message: the payload of one text or binary message.

    Returns:
        the request, with what it has for ``params`` left out, and the topics of that.

    Raises:
        MessageError: it has another form, is not JSON, or has more than ``MAX_TOPICS_PER_MESSAGE`` topics.
    """
    if message.broken_at is not None:
        raise MessageError(f"malformed message: not UTF-8 at byte {message.broken_at}")
    pieces = _without_space_around(message.pieces)
    text = ""
    while len(text) <= LONG_MESSAGE and (piece := next(pieces, None)) is not None:
        text += piece
        yield
    if len(text) <= LONG_MESSAGE:
        request = decode_request(text)
        return request, topics_of(request)
    head = _HEAD.match(text)
    if head is None:
        raise MessageError(
            f"malformed message: one of more than {LONG_MESSAGE} characters has to be an object with an "
            f"action and 'params': {shown(text)}"
        )
    at, is_array = head.end(), head["opening"] == "["
    closing, behind_a_topic = "]" if is_array else '"', _BEHIND_A_TOPIC[is_array]
    pending = text[at:]  # what is not decoded yet of what was looked at, from ``at`` on
    parts: list[str] = []
    while True:
        yield
        end = pending.find(closing)
        cut = behind_a_topic.search(pending, PIECE, end if end >= 0 else len(pending))
        if cut is None and end < 0:
            if len(pending) > 2 * LONG_MESSAGE:
                raise MessageError(f"malformed message: no topic ends from character {at} on, in 'params'")
            if (piece := next(pieces, None)) is None:
                raise MessageError("malformed message: 'params' does not end")
            pending += piece
            continue
        parts += _parts(pending[: end if cut is None else cut.end() - 1], is_array, at)
        if len(parts) > MAX_TOPICS_PER_MESSAGE:
            raise too_many_topics()
        if cut is None:
            break
        pending, at = pending[cut.end() :], at + cut.end()
    rest = pending[end + 1 :]
    while len(rest) <= LONG_MESSAGE and (piece := next(pieces, None)) is not None:
        rest += piece
        yield
    if len(rest) > LONG_MESSAGE or '"params"' in rest:
        raise MessageError("malformed message: too much comes behind 'params'")
    request = decode_request(f'{head[0][:-1]}""{rest}')
    del request["params"]
    if len(parts) == 1 and not parts[0].strip():
        raise MessageError("malformed message: 'params' is empty")
    return request, parts


def _without_space_around(pieces: Iterable[str]) -> Iterator[str]:
    """Yield pieces of a message without the white space around it; for what is space, nothing, which is a piece too."""
    has_begun = False
    space: list[str] = []  # what follows, if anything follows it
    for piece in pieces:
        text = piece if has_begun else piece.lstrip(JSON_SPACE)
        has_begun = has_begun or bool(text)
        end = len(text.rstrip(JSON_SPACE))
        if end:
            yield from space
            space.clear()
        space.append(text[end:])
        yield text[:end]


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
