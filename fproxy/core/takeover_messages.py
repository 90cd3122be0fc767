"""What two processes of fproxy say to each other when one takes over from the other: messages in, bytes out, and back.

A frame is a header of ten bytes (the four bytes ``fpto``, the version of the protocol in two bytes, the length of what
follows in four, both big-endian) and a JSON object, whose ``kind`` says which message it is. Every frame carries the
version, so that an older or newer peer is known as such by its first frame, and something else that listens there by
its first bytes. The order of the messages is in ``fproxy.roles.hand_over`` and ``fproxy.roles.take_over``.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, get_type_hints

VERSION: Final = 1
"""The version of the protocol; one program speaks one."""

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""The longest JSON object that is taken, in bytes."""

MAX_TEXT: Final = 1_000
"""The longest text in a message, in characters: several times the longest topic."""

TOPICS_PER_MESSAGE: Final = 300
"""The most topics in one message: even of the longest ones, in the longest encoding, they stay below the limit."""

_HEADER: Final = struct.Struct(">4sHI")
_MAGIC: Final = b"fpto"


class TakeOverProtocolError(Exception):
    """What came is not a message of this version of the protocol; the message says what it is instead."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The process that wants to take over says what it is.

    Attributes:
        role: its role, such as ``proxy``.
        pid: its process id.
    """

    role: str
    pid: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """One side gives up, and says why.

    Attributes:
        reason: a clause for the log of both.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The process that serves hands its listening socket over, which comes with this message.

    Attributes:
        pid: its process id.
        account_salt: with which the names of accounts are made of keys, in hexadecimal digits.
        streams: its streams that are up now: those that the other one has to have up before it is ready.
    """

    pid: int
    account_salt: str
    streams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Topics that are wanted of an upstream.

    Attributes:
        stream: which stream.
        topics: the upstream's topics.
    """

    stream: str
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllWanted:
    """All that is wanted now has been said."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The process that takes over has all that is wanted, and could serve."""


@dataclass(frozen=True, slots=True)
class Serve:
    """The process that takes over is to accept clients now."""


@dataclass(frozen=True, slots=True)
class Serving:
    """It does."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a connection left behind that has ended, or is about to end. Its topics may come in several of these.

    Attributes:
        market: the market that it was to.
        number: the connection's, among those of its market; one that has come before is replaced, unless it was resumed
            already.
        account: whose it was.
        at: when it ended, in Unix milliseconds.
        delivered_at: all that was written before is with the client, in Unix milliseconds.
        topics: what it was subscribed to.
        last: whether no more of its topics follow.
    """

    market: str
    number: int
    account: str
    at: int
    delivered_at: int
    topics: tuple[str, ...]
    last: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """A connection that has ended was resumed, or is forgotten: nobody else may resume it.

    Attributes:
        market: the market that it was to.
        number: the connection's.
    """

    market: str
    number: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What a connection left behind has been taken in.

    Attributes:
        market: the market that it was to.
        number: the connection's.
    """

    market: str
    number: int


@dataclass(frozen=True, slots=True)
class Done:
    """The process that was taken over has let all its clients go."""


Message = (
    Hello | Refusal | Welcome | Wanted | AllWanted | Ready | Serve | Serving | Ended | Resumed | Kept | Done
)
"""Any message of the protocol."""

_KINDS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        Hello,
        Refusal,
        Welcome,
        Wanted,
        AllWanted,
        Ready,
        Serve,
        Serving,
        Ended,
        Resumed,
        Kept,
        Done,
    )
}
_HINTS: Final = {name: get_type_hints(kind) for name, kind in _KINDS.items()}


def encode(message: Message) -> bytes:
    """Return a message as a frame."""
    name = type(message).__name__
    payload = json.dumps({"kind": name, **asdict(message)}, separators=(",", ":")).encode()
    return _HEADER.pack(_MAGIC, VERSION, len(payload)) + payload


def in_parts(topics: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Return topics in as many parts as they need messages; one that is empty for none."""
    part: list[str] = []
    some = False
    for topic in topics:
        part.append(topic)
        if len(part) == TOPICS_PER_MESSAGE:
            yield tuple(part)
            part.clear()
            some = True
    if part or not some:
        yield tuple(part)


class FrameReader:
    """Makes messages of the bytes that come, however they are cut."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        self._bytes += data

    def next(self) -> Message | None:
        """Return the next message; None when it has not come whole yet.

        Raises:
            TakeOverProtocolError: what came is no message of this version.
        """
        data = self._bytes
        seen = bytes(data[: len(_MAGIC)])
        if not _MAGIC.startswith(seen):
            raise TakeOverProtocolError(f"no fproxy that can be taken over: it says {bytes(data[:40])!r}")
        if len(data) < _HEADER.size:
            return None
        _, version, length = _HEADER.unpack_from(data)
        if version != VERSION:
            raise TakeOverProtocolError(
                f"an fproxy of another version: it speaks version {version} of the take-over, this one {VERSION}"
            )
        if length > MAX_MESSAGE_BYTES:
            raise TakeOverProtocolError(
                f"a message of {length} bytes, and {MAX_MESSAGE_BYTES} are the most that is taken"
            )
        end = _HEADER.size + length
        if len(data) < end:
            return None
        payload = bytes(data[_HEADER.size : end])
        del data[:end]
        return _decode(payload)


def _decode(payload: bytes) -> Message:
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise TakeOverProtocolError("a message that is not JSON") from error
    name = content.pop("kind", None) if isinstance(content, dict) else None
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        raise TakeOverProtocolError("a message of an unknown kind")
    hints = _HINTS[name]
    names = [field.name for field in fields(kind)]
    if set(content) != set(names):
        raise TakeOverProtocolError(f"a message {name} with other fields than {', '.join(names) or 'none'}")
    message: Message = kind(**{field: _value(name, field, hints[field], content[field]) for field in names})
    return message


def _value(message: str, field: str, hint: Any, value: Any) -> Any:
    """Return a field's value, checked."""
    if hint == tuple[str, ...]:
        if isinstance(value, list) and all(_is_text(item) for item in value):
            return tuple(value)
    elif hint is str:
        if _is_text(value):
            return value
    elif type(value) is hint and (hint is not int or 0 <= value < 2**63):
        return value
    raise TakeOverProtocolError(f"a message {message} with a wrong {field}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT
