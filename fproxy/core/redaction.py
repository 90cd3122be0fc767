"""What an upstream says, made fit for logs and for clients: one short line without the secrets it may repeat."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from typing import Final
from urllib.parse import quote

HIDDEN: Final = "***"
"""What stands where a secret stood."""

MAX_SHOWN: Final = 200
"""How many characters of what an upstream says are repeated."""

LEAST_PIECE: Final = 6
"""From how many characters on a piece of a secret is hidden. What quotes a secret may cut it at either end: a close
reason holds 123 bytes (RFC 6455, section 5.5), and errors about a message quote some of it."""

_MAX_TAKEN: Final = 10 * MAX_SHOWN


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` as one printable line, cut short, with ``***`` in place of secrets and of pieces of them.

    Args:
        text: what an upstream sent, or an error that may quote it.
        secrets: what must not be shown, in capitals or not, as it is, as Python quotes it and as URLs encode it;
            empty ones count as none.
    """
    text = text[:_MAX_TAKEN]
    lower = _lower(text)
    hidden = bytearray(len(text))
    for secret in filter(None, secrets):
        for piece in _pieces(secret):
            start = lower.find(piece)
            while start >= 0:
                hidden[start : start + len(piece)] = b"\1" * len(piece)
                start = lower.find(piece, start + 1)
    if 1 in hidden:
        runs = groupby(range(len(text)), hidden.__getitem__)
        text = "".join(
            HIDDEN if is_hidden else "".join(map(text.__getitem__, run)) for is_hidden, run in runs
        )
    return "".join(character if character.isprintable() else " " for character in text[:MAX_SHOWN]).strip()


@lru_cache(maxsize=64)
def _pieces(secret: str) -> frozenset[str]:
    """Return the least pieces of a secret that are hidden, in lower case, in every form that it may be written in."""
    encoded = secret.encode("utf-8", "backslashreplace")
    forms = map(_lower, (secret, repr(secret)[1:-1], repr(encoded)[2:-1], quote(encoded, safe="")))
    return frozenset(
        form[start : start + LEAST_PIECE]
        for form in forms
        for start in range(max(1, len(form) - LEAST_PIECE + 1))
    )


def _lower(text: str) -> str:
    """Return a text in lower case, one character for each: positions stay, and neighbours make no difference."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)
