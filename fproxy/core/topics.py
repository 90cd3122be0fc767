"""Topics: their grammar.

A topic is what a client subscribes to. It is an event type and a symbol joined by a dot (``T.AAPL``), an event type
with a wildcard (``T.*``), one with a prefix (``T.O:SPY*``: all symbols that begin so), or ``*`` alone for everything.
The text is split at its first dot only, because symbols hold dots (``BRK.B``), colons and slashes; case matters. A type
of digits followed by ``Ms`` (``100Ms.AAPL``) asks for bars of that many milliseconds.
"""

import re
from collections.abc import Container
from typing import Final, NamedTuple

from fproxy.core.market import KNOWN_EVENT_TYPES

WILDCARD: Final = "*"
"""The symbol that stands for every symbol and, alone, the topic that stands for everything."""

MAX_TOPIC_LENGTH: Final = 256
"""The longest topic accepted, in characters: several times the longest the vendor has (an option's 23)."""

MAX_BAR_INTERVAL_MS: Final = 60_000
"""The longest millisecond bar, in milliseconds."""

BARS: Final = "Ms"
"""What stands for every millisecond bar where event types are told apart."""

_BAR_TYPE = re.compile(r"([0-9]+)Ms")

_CODE = re.compile(r"[A-Z][A-Z0-9]{0,15}")
"""The form of the vendor's codes; one that is new to fproxy is asked of the upstream like any other."""


class TopicError(ValueError):
    """A text is not a topic; the message says what is wrong and names the text (cut short when it is long)."""


class Topic(NamedTuple):
    """One parsed topic.

    Attributes:
        event_type: the part before the first dot, such as ``T`` or ``100Ms``; ``*`` for the topic ``*``.
        symbol: the part after it, such as ``BRK.B``; ``*`` for a wildcard; ``O:SPY*`` for a prefix: every symbol
            that begins so.
    """

    event_type: str
    symbol: str

    @property
    def text(self) -> str:
        """The topic as a client writes it."""
        return WILDCARD if self.event_type == WILDCARD else f"{self.event_type}.{self.symbol}"

    @property
    def is_everything(self) -> bool:
        """Whether this is the topic ``*``."""
        return self.event_type == WILDCARD

    @property
    def is_prefix(self) -> bool:
        """Whether this is a topic of all symbols that begin alike."""
        return len(self.symbol) > 1 and self.symbol.endswith(WILDCARD)

    @property
    def covering(self) -> "Topic":
        """What is asked of an upstream for this topic: for a prefix, which the vendor has not, its type's wildcard."""
        return Topic(self.event_type, WILDCARD) if self.is_prefix else self


EVERYTHING: Final = Topic(WILDCARD, WILDCARD)
"""The topic ``*``."""


def bar_interval(event_type: str) -> int | None:
    """Return the interval in milliseconds of a ``<N>Ms`` type, or None for any other type.

    The interval is not checked against its limits: ``0Ms`` gives 0.
    """
    match = _BAR_TYPE.fullmatch(event_type)
    # int() of a very long run of digits is refused by Python itself; nothing that long is a valid interval.
    return None if match is None else int(match[1][:10])


def parse_topic(text: str) -> Topic:
    """Parse one topic as a client wrote it.

    Args:
        text: the topic, without surrounding white space.

    Raises:
        TopicError: the text is malformed or too long, its event type has not the form of one, or its interval is
            outside 1 to 60000 ms.
    """
    if len(text) > MAX_TOPIC_LENGTH:
        raise TopicError(f"topic longer than {MAX_TOPIC_LENGTH} characters: {text[:32]}...")
    if text == WILDCARD:
        return EVERYTHING
    event_type, dot, symbol = text.partition(".")
    if not dot or not event_type or not symbol:
        raise TopicError(f"malformed topic: {text!r} is not of the form TYPE.SYMBOL, TYPE.* or *")
    if not text.isprintable() or " " in text or '"' in text or "\\" in text:
        raise TopicError(
            f"malformed topic: {text!r} holds white space, a quote, a backslash or a control character"
        )
    if WILDCARD in text[:-1]:
        raise TopicError(f"malformed topic: {text!r} has a wildcard that is not the end of the symbol")
    if symbol.endswith(f":{WILDCARD}"):
        # What is before the colon is the market's: all symbols begin so.
        raise TopicError(f"prefix too short: {text!r} is nothing but {event_type}.{WILDCARD}")
    interval = bar_interval(event_type)
    if interval is None:
        if _CODE.fullmatch(event_type) is None:
            raise TopicError(
                f"unknown topic: {text!r} has no known event type{_suggestion(event_type, symbol)}"
            )
    elif not 1 <= interval <= MAX_BAR_INTERVAL_MS or event_type.startswith("0"):
        raise TopicError(f"interval outside 1 to {MAX_BAR_INTERVAL_MS} ms: {text!r}")
    return Topic(event_type, symbol)


def _suggestion(event_type: str, symbol: str) -> str:
    """Return a question that names the topic that was probably meant: its type in the right case; else nothing."""
    by_spelling = {known.upper(): known for known in KNOWN_EVENT_TYPES}
    meant = by_spelling.get(event_type.upper())
    if meant is None and re.fullmatch(r"[0-9]+ms", event_type, flags=re.IGNORECASE):
        meant = f"{event_type[:-2]}Ms"
    if meant is None:
        return ""
    # Case matters in symbols that mix it (BACpL); one that is all lower case was typed without the shift key.
    return f"; did you mean {meant}.{symbol.upper() if symbol.islower() else symbol}?"


def is_covered(topic: Topic, others: Container[Topic]) -> bool:
    """Return whether one of other topics brings all that a topic does.

    Args:
        topic: a topic, which itself does not count.
        others: the others.
    """
    event_type, symbol = topic
    if topic.is_everything:
        return False
    if EVERYTHING in others and bar_interval(event_type) is None:
        return True
    if symbol == WILDCARD:
        return False
    # A prefix brings what begins with it, and so every longer one.
    lengths = range(len(symbol) - 1 if topic.is_prefix else len(symbol) + 1)
    return any(Topic(event_type, symbol[:length] + WILDCARD) in others for length in lengths)


def covering_topic(text: str) -> str:
    """Return the wildcard topic that covers an upstream topic: ``T.*`` for both ``T.AAPL`` and ``T.*``."""
    event_type, _, _ = text.partition(".")
    return f"{event_type}.{WILDCARD}"


_OF_ALL_SYMBOLS: Final = f".{WILDCARD}"


def is_wildcard(text: str) -> bool:
    """Return whether an upstream topic is a wildcard: ``T.*`` is one."""
    return text.endswith(_OF_ALL_SYMBOLS)
