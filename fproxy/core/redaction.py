"""What an upstream says, made fit for logs and for clients: one short line without the secrets it may repeat."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

HIDDEN: Final = "***"
"""What stands where a secret stood."""

MAX_SHOWN: Final = 200
"""How many characters of what an upstream says are repeated."""

LEAST_CUT: Final = 4
"""From how many characters on the beginning of a secret at the end of a text is taken for the secret, cut off: a
close reason holds 123 bytes (RFC 6455, section 5.5), and upstreams cut theirs."""


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` as one printable line, cut short, with ``***`` in place of secrets.

    Args:
        text: what an upstream sent, or an error that may quote it.
        secrets: what must not be shown, in capitals or not, as it is, as Python quotes it and as URLs encode it;
            empty ones count as none.
    """
    forms = {
        form for secret in secrets if secret for form in (secret, repr(secret)[1:-1], quote(secret, safe=""))
    }
    if forms:
        # The longest first, so that of a secret within a secret nothing is left.
        ordered = sorted(forms, key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, ordered)), HIDDEN, text, flags=re.IGNORECASE)
        cut = max((_overlap(text, form) for form in ordered), default=0)
        if cut >= LEAST_CUT:
            text = text[:-cut] + HIDDEN
    return "".join(character if character.isprintable() else " " for character in text[:MAX_SHOWN]).strip()


def _overlap(text: str, secret: str) -> int:
    """Return how many characters at the end of ``text`` are the beginning of ``secret``."""
    text, secret = text[-len(secret) :].lower(), secret.lower()
    return next((size for size in range(len(secret) - 1, 0, -1) if text.endswith(secret[:size])), 0)
