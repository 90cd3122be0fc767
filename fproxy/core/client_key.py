"""One client's key, and what its holder may do: a value, without the key itself."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from fproxy.core.slow_client_policy import SlowClientPolicy

MAX_NAME_LENGTH: Final = 64
"""The longest name of a key, in characters: it stands in every log line about its holder."""


class TopicPatterns:
    """Topics that a key may have: texts in which ``*`` stands for any characters, such as ``T.*``, ``*.AAPL`` or ``*``.

    A pattern admits a topic when it matches the topic's text, whose own wildcard counts as a character. That only ``*``
    in a pattern matches: so a wildcard is admitted just when everything that it brings is.
    """

    __slots__ = ("_expression", "texts")

    def __init__(self, texts: Iterable[str]) -> None:
        """Prepare patterns.

        Args:
            texts: the patterns.
        """
        self.texts = tuple(texts)
        alternatives = (".*".join(map(re.escape, text.split("*"))) for text in self.texts)
        self._expression = re.compile("|".join(alternatives) if self.texts else "(?!)", re.DOTALL)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TopicPatterns) and other.texts == self.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    def __repr__(self) -> str:
        return f"<TopicPatterns {','.join(self.texts)}>"

    def admit(self, text: str) -> bool:
        """Return whether a topic with this text is admitted."""
        return self._expression.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    """What is known of a key, and what its holder may do. What is None is not said, and the server's own rule holds.

    Attributes:
        name: what log and metrics call the holder; empty for a key that has no name.
        digest: the SHA-256 of the key in UTF-8.
        topics: the topics that it may have; None for all.
        markets: the markets that it may have, by their names; None for all.
        max_topics: how many topics each of its connections may have at once.
        max_connections: how many connections it may have at once.
        max_unsent_bytes: how many bytes may wait to be sent to one of its connections.
        slow_client: what becomes of its connections that lag.
        resume: whether its connections are resumed, where the server does that.
        expired: whether its time is over.
    """

    name: str = ""
    digest: bytes = field(repr=False)
    topics: TopicPatterns | None = None
    markets: frozenset[str] | None = None
    max_topics: int | None = None
    max_connections: int | None = None
    max_unsent_bytes: int | None = None
    slow_client: SlowClientPolicy | None = None
    resume: bool = True
    expired: bool = False

    def allows_topic(self, text: str) -> bool:
        """Return whether the holder may have a topic with this text."""
        return self.topics is None or self.topics.admit(text)

    def allows_market(self, name: str) -> bool:
        """Return whether the holder may be a client of the market with this name."""
        return self.markets is None or name in self.markets


def key_digest(key: str) -> bytes:
    """Return the SHA-256 of a key: 32 bytes. A key with a lone surrogate cannot be right, but does not raise either."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
