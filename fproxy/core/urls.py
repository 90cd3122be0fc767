"""URLs of upstreams: what is accepted, and how one is shown without its secrets."""

from typing import Final
from urllib.parse import unquote, unquote_plus, urlsplit

from fproxy.core.redaction import HIDDEN

LEAST_SECRET: Final = 4
"""How long a user or a value in a query must be to be a secret: ``v=1`` holds none, and many texts hold a 1."""


class UrlError(ValueError):
    """A text is not the URL of an upstream; the message says what is allowed and does not repeat the text."""


def check_upstream_url(text: str) -> str:
    """Return ``text`` when it is a ``ws://`` or ``wss://`` URL with a host.

    Raises:
        UrlError: it is not.
    """
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise UrlError(
            "the host or port is malformed; allowed is ws://HOST[:PORT][/PATH] or wss://..."
        ) from error
    if (
        parts.scheme not in ("ws", "wss")
        or not host
        or not text.isprintable()
        or " " in text
        or parts.fragment
    ):
        raise UrlError("allowed is ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH]")
    return text


def redacted_url(url: str) -> str:
    """Return ``url`` for people's eyes: without the values of its user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    _userinfo, at, address = parts.netloc.rpartition("@")
    return parts._replace(
        netloc=f"{HIDDEN}@{address}" if at else address, query=HIDDEN if parts.query else "", fragment=""
    ).geturl()


def url_secrets(url: str) -> frozenset[str]:
    """Return what ``redacted_url`` hides, each as it stands there and with its percent-encoding undone.

    It is for ``redact``: upstreams repeat what they were sent.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return frozenset()
    halves = (part.partition("=") for part in parts.query.split("&"))
    # A part without a name is all value, and may end in what pads Base64.
    values = (value if value.strip("=") else name for name, _, value in halves)
    long_enough = (text for text in (parts.username or "", *values) if len(text) >= LEAST_SECRET)
    found = {parts.password or "", *long_enough} - {""}
    return frozenset(found | {unquote(text) for text in found} | {unquote_plus(text) for text in found})
