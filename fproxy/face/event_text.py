"""Market-data events as text for people: one aligned line an event, its numbers as the vendor wrote them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from fproxy.core.market import MARKETS

SYMBOL_KEYS: Final = {
    event_type.name: event_type.symbol_key
    for market in MARKETS.values()
    for event_type in market.event_types.values()
}
"""The key that names the symbol, by the type."""

TIME_KEYS: Final = {
    event_type.name: event_type.time_key
    for market in MARKETS.values()
    for event_type in market.event_types.values()
}
"""The key of the event's own time, by the type."""

WINDOWS: Final = {"CAS": 1_000, "CA": 60_000}
"""How long the bars are that tell only their start, in milliseconds."""

USUAL_SYMBOL_KEYS: Final = ("sym", "pair", "S")

BAR_FIELDS: Final = ("o", "h", "l", "c", "v", "vw", "n")

_MICROSECONDS_FROM: Final = 10**14
_NANOSECONDS_FROM: Final = 10**17
"""Timestamps are milliseconds by rule, nanoseconds in some types, and microseconds have been seen in those:
the units are told apart by size, which works for every date from 1973 to 5138."""

_LONGEST_WHOLE: Final = 20
"""The digits of the largest number of 64 bits, in which every time of the vendor's fits."""

_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str)
"""Leaves every number as it was written."""


Fields = Mapping[str, Any]


class Event(NamedTuple):
    """One event of a message.

    Attributes:
        text: the event exactly as it stands in the message.
        fields: what it holds, with numbers as text.
    """

    text: str
    fields: Fields

    @property
    def is_status(self) -> bool:
        """Whether this is the server's word on the session instead of market data."""
        return self.fields.get("ev") == "status"

    @property
    def event_type(self) -> str:
        """The event's type as a topic names it: ``T``, ``A``, ``100Ms``; ``?`` when it does not say."""
        named = self.fields.get("ev")
        if named is None and self.fields.get("T") == "b":
            named = "MB"
        if named != "MB":
            return str(named) if named is not None else "?"
        interval = self.fields.get("interval") or self.fields.get("i")
        if interval is None and _is_whole(self.fields.get("s")) and _is_whole(self.fields.get("e")):
            interval = int(self.fields["e"]) - int(self.fields["s"])
        return "Ms" if interval is None else f"{interval}Ms"

    @property
    def symbol(self) -> str:
        """The event's symbol; ``?`` when it does not say."""
        keys = (SYMBOL_KEYS.get(self.event_type, ""), *USUAL_SYMBOL_KEYS)
        return next((str(self.fields[key]) for key in keys if key in self.fields), "?")

    @property
    def own_time(self) -> float | None:
        """The event's own time in Unix milliseconds, of a bar the end of its window; None when it does not say."""
        usual = "e" if self.event_type.endswith("Ms") else "t"
        stamp: Any = self.fields.get(TIME_KEYS.get(self.event_type, usual))
        if not _is_whole(stamp):
            return None
        return int(stamp) / _units_in_a_millisecond(stamp) + WINDOWS.get(self.event_type, 0)

    @property
    def price(self) -> str | None:
        """What a trade was made at, or the value that an index or the like has; None in other types."""
        keys = PRICE_KEYS.get(_DESCRIPTIONS.get(self.event_type, _anything), ())
        return next((value for key in keys if isinstance(value := self.fields.get(key), str)), None)


class EventParts(NamedTuple):
    """An event's line in parts, each padded to its column and printable.

    Attributes:
        time: the time of day.
        event_type: as a topic names it.
        symbol: as the event spells it.
        details: what a reader looks for in its type; a price comes first.
    """

    time: str
    event_type: str
    symbol: str
    details: str


def events_in(message: str) -> Iterator[Event]:
    """Give each event of a message, which is a JSON array of objects or a single object.

    Raises:
        ValueError: the message, from some point on, is anything else.
    """
    position = _after_space(message, 0)
    if not message.startswith("[", position):
        event, end = _event_at(message, position)
        yield event
        _expect_end(message, end)
        return
    position = _after_space(message, position + 1)
    if message.startswith("]", position):
        _expect_end(message, position + 1)
        return
    while True:
        event, end = _event_at(message, position)
        yield event
        position = _after_space(message, end)
        if message.startswith("]", position):
            _expect_end(message, position + 1)
            return
        if not message.startswith(",", position):
            raise ValueError(f"neither a comma nor the end of the array at character {position}")
        position = _after_space(message, position + 1)


def _event_at(message: str, position: int) -> tuple[Event, int]:
    fields, end = _DECODER.raw_decode(message, position)
    if not isinstance(fields, dict):
        raise ValueError(f"not an object at character {position}")
    return Event(message[position:end], fields), end


def _after_space(message: str, position: int) -> int:
    while message[position : position + 1] in (" ", "\n", "\r", "\t"):
        position += 1
    return position


def _expect_end(message: str, position: int) -> None:
    if _after_space(message, position) != len(message):
        raise ValueError(f"more text after the message's end at character {position}")


def event_line(event: Event) -> str:
    """Return an event as one line: time, type, symbol and what a reader looks for in its type.

    A type that is not known here shows its fields as ``name=value``. Control characters never reach the line.
    """
    parts = event_parts(event)
    return f"{parts.time}  {parts.event_type} {parts.symbol} {parts.details}".rstrip()


def event_parts(event: Event) -> EventParts:
    """Return what stands in an event's line, by its columns."""
    describe = _DESCRIPTIONS.get(event.event_type, _bar if event.event_type.endswith("Ms") else _anything)
    return EventParts(
        f"{_time(event.fields):<12}",
        printable(f"{event.event_type:<6}"),
        printable(f"{event.symbol:<8}"),
        printable(describe(event.fields)),
    )


def printable(text: str) -> str:
    """Return a text without anything that would move a terminal's cursor or change its colours."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_WHOLE and value.isascii() and value.isdigit()


def _time(fields: Fields) -> str:
    """Return the time of day, where this program runs, of an event: a bar's is its start."""
    stamp = next((fields[key] for key in ("t", "s") if _is_whole(fields.get(key))), None)
    if stamp is None:
        return "-"
    milliseconds = int(stamp) // _units_in_a_millisecond(stamp)
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000)
    except (OverflowError, ValueError, OSError):
        return "-"
    return f"{moment:%H:%M:%S}.{milliseconds % 1000:03d}"


def _units_in_a_millisecond(stamp: str) -> int:
    number = int(stamp)
    return 10**6 if number >= _NANOSECONDS_FROM else 1000 if number >= _MICROSECONDS_FROM else 1


def _trade(fields: Fields) -> str:
    conditions = fields.get("c")
    detail = ""
    if isinstance(conditions, list) and conditions:
        detail = f"  conditions {','.join(map(_plain, conditions))}"
    return f"{_number(fields, 'p'):>10} x {_number(fields, 'ds', 's'):<8}{detail}"


def _quote(fields: Fields) -> str:
    bid = f"{_number(fields, 'bp'):>10} x {_number(fields, 'bs'):<8}"
    return f"{bid} {_number(fields, 'ap'):>10} x {_number(fields, 'as')}"


def _book(fields: Fields) -> str:
    """Return the best price of each side, with its size, and how many prices there are."""
    bids, asks = fields.get("b", ()), fields.get("a", ())
    if not (_is_side(bids) and _is_side(asks)):
        return _anything(fields)
    (bid, bid_size), (ask, ask_size) = (side[0][:2] if side else ("-", "-") for side in (bids, asks))
    levels = f"{len(bids)} and {len(asks)} prices"
    return f"{_plain(bid):>10} x {_plain(bid_size):<8} {_plain(ask):>10} x {_plain(ask_size)}  {levels}"


def _is_side(side: Any) -> bool:
    return isinstance(side, list) and all(isinstance(level, list) and len(level) >= 2 for level in side)


def _rate(fields: Fields) -> str:
    return f"{_number(fields, 'b'):>10}   {_number(fields, 'a'):>10}"


def _bar(fields: Fields) -> str:
    return "  ".join(f"{name} {_plain(fields[name])}" for name in BAR_FIELDS if name in fields)


def _limits(fields: Fields) -> str:
    return f"low {_number(fields, 'l')}  high {_number(fields, 'h')}"


def _value(fields: Fields) -> str:
    return f"{_number(fields, 'fmv', 'val'):>10}"


def _anything(fields: Fields) -> str:
    return " ".join(
        f"{name}={_plain(value)}" for name, value in fields.items() if name not in ("ev", "sym", "pair", "t")
    )


def _number(fields: Fields, *names: str) -> str:
    """Return the first of the named fields that is there."""
    return next((_plain(fields[name]) for name in names if name in fields), "-")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


_DESCRIPTIONS: Final[dict[str, Callable[[Fields], str]]] = {
    **dict.fromkeys(("T", "XT"), _trade),
    **dict.fromkeys(("Q", "XQ"), _quote),
    **dict.fromkeys(("A", "AM", "XA", "XAS", "CA", "CAS"), _bar),
    **dict.fromkeys(("FMV", "LV", "V"), _value),
    "C": _rate,
    "XL2": _book,
    "LULD": _limits,
}

PRICE_KEYS: Final[Mapping[Callable[[Fields], str], Sequence[str]]] = {_trade: ("p",), _value: ("fmv", "val")}
"""Where the price is that a description begins with."""
