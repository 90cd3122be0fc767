"""Market data for property-based tests, and what it means according to a JSON library: the oracle."""

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from fproxy._fastpath import scan

SYMBOL_KEY_BY_TYPE = (
    dict.fromkeys(["T", "Q", "A", "AM", "FMV", "LV"], "sym")
    | dict.fromkeys(["LULD", "NOI", "V"], "T")
    | dict.fromkeys(["XT", "XQ", "XL2", "XA", "XAS", "CA", "CAS"], "pair")
    | {"C": "p"}
)
"""The vendor's event types, and the key that names the symbol in each."""

FALLBACK_ORDER = {
    "sym": ("sym", "pair", "T", "S", "p"),
    "T": ("T", "sym", "pair", "S", "p"),
    "pair": ("pair", "sym", "T", "S", "p"),
    "p": ("p", "pair", "sym", "T", "S"),
    None: ("S", "sym", "pair", "p"),
}

SYMBOLS = (
    "A F AAPL MSFT BRK.B BACpL GOOGL I:SPX X:BTC-USD USD/CNH ABCDEFG ABCDEFGH ABCDEFGHI "
    "O:SPY251219C00650000 O:SPY251219C00650001 T sym ev É 日経"
).split()


def split_events(payload: bytes | bytearray | memoryview) -> list[bytes]:
    """Return the events of a message, each byte for byte as it came."""
    return [event.raw for event in scan(payload)]


class Meaning(NamedTuple):
    """What one event says of itself."""

    event_type: str | None
    symbol: str | None
    is_status: bool
    is_bar: bool
    interval_ms: int | None  # of a bar that does not name it in its type; 0: not given, -1: no whole number


def _whole(value: Any) -> int | None:
    """The whole number that a value (numbers as text) stands for; None for no number, -1 for another."""
    if not isinstance(value, (str, Number)) or not value or value[0] not in "0123456789":
        return None
    digits, _, fraction = value.partition(".")
    return int(digits) if digits.isdigit() and digits.isascii() and not fraction.strip("0") else -1


class Number(str):
    """The text of a JSON number."""


def decode(frame: bytes) -> Any:
    """Decode JSON strictly, objects as lists of pairs; raise ValueError for what RFC 8259 does not allow."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(
        frame.decode(),
        object_pairs_hook=Pairs,
        parse_constant=refuse,
        parse_int=Number,
        parse_float=Number,
    )


class Pairs(list):
    """A decoded object, repeated keys and all."""


def meaning(event: Pairs) -> Meaning:
    """Return what a decoded event says of itself."""
    last = dict(event)
    texts = {key: value for key, value in event if isinstance(value, str) and not isinstance(value, Number)}
    event_type = texts.get("ev")
    if event_type is None:
        symbol = next((texts[key] for key in FALLBACK_ORDER[None] if key in texts), None)
        bar = texts.get("T") == "b"
        return Meaning(texts.get("T"), symbol, False, bar, _interval(last) if bar else None)
    order = FALLBACK_ORDER[SYMBOL_KEY_BY_TYPE.get(event_type, "sym")]
    symbol = next((texts[key] for key in order if key in texts), None)
    named = event_type.endswith("Ms") and event_type[:-2].isascii() and event_type[:-2].isdigit()
    somehow = event_type == "MB"
    return Meaning(
        event_type, symbol, event_type == "status", named or somehow, _interval(last) if somehow else None
    )


def _interval(event: dict[str, Any]) -> int:
    for key in ("interval", "i"):
        interval = _whole(event.get(key))
        if interval is not None:
            return interval
    start, end = _whole(event.get("s")), _whole(event.get("e"))
    if start is None or end is None:
        return 0
    return end - start if start != -1 and end != -1 and end > start else -1


hostile_text = st.text(
    st.sampled_from('{}[]",:\\/ evsymTS\x00\n\té日💹') | st.characters(codec="utf-8"), max_size=12
) | st.sampled_from(
    ['"ev":"T"', "},{", "ev", "sym", "T", "S", '{"ev":"Q","sym":"AAPL"}', "\\", '\\"', "]", "b"]
)

numbers = st.sampled_from(
    [0, 1, 40, 297.845, 0.4372, 1536036818784, 1788877046310003385, -1, 1e-9, 10**30, 1.5e300]
)

values = st.recursive(
    numbers | hostile_text | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text, inner, max_size=3),
    max_leaves=5,
)

plain_values = (
    st.integers(0, 10**19)
    | st.decimals(0, 10**6, places=4).map(float)
    | st.sampled_from(["12345", "40.0", "T", "sym", "ev", "}", "{", "[", "a,b", "a:b", "}]", "x" * 70])
    | st.lists(st.integers(0, 60) | st.lists(st.integers(0, 60) | st.just("a"), max_size=3), max_size=3)
)


@st.composite
def events(draw: st.DrawFn, symbols: list[str] = SYMBOLS, plain: bool = False) -> dict[str, Any]:
    """One event: the keys of its type, other keys around them, in any order."""
    symbol = draw(st.sampled_from(symbols))
    kind = draw(
        st.sampled_from([*SYMBOL_KEY_BY_TYPE, "100Ms", "250Ms", "60000Ms", "MB", "bar", "new", "bare"])
    )
    body: dict[str, Any] = {}
    if kind in ("MB", "bar"):
        body = {"ev": "MB", "sym": symbol} if kind == "MB" else {"T": "b", "S": symbol}
        form = draw(st.sampled_from(["interval", "i", "window", "none", "odd"]))
        start = draw(st.integers(0, 10**13))
        interval = draw(st.sampled_from([100, 250, 70_000]))
        body |= {
            "interval": {"interval": interval, "i": 7, "s": start, "e": start + 1},
            "i": {"i": interval},
            "window": {"s": start, "e": start + interval},
            "none": {"o": 1.5},
            "odd": {"interval": 100.5},
        }[form]
    elif kind == "new":
        body = {
            "ev": draw(st.sampled_from(["ZZ", "TRADES", "LONGEVENTTYPE", "0Ms", "99999Ms"])),
            "sym": symbol,
        }
    elif kind == "bare":
        body = {"x": symbol}
    else:
        body = {"ev": kind, SYMBOL_KEY_BY_TYPE.get(kind, "sym"): symbol}
    others = st.sampled_from(
        ["x", "p", "s", "t", "c", "i2", "z", "T", "S", "sym", "pair", "evx", "", "ds", "e1"]
    )
    extra = draw(
        st.dictionaries(
            others if plain else others | hostile_text, plain_values if plain else values, max_size=6
        )
    )
    body = (
        {**extra, **body}
        if draw(st.booleans())
        else {**body, **{k: v for k, v in extra.items() if k not in body}}
    )
    keys = draw(st.permutations(list(body)))
    return {key: body[key] for key in keys}


@st.composite
def event_texts(draw: st.DrawFn, symbols: list[str] = SYMBOLS) -> bytes:
    """An event as an upstream may write it: compact, or with white space and escapes."""
    plain = draw(st.booleans())
    event = draw(events(symbols, plain))
    separators = (
        (",", ":")
        if plain or draw(st.booleans())
        else draw(st.sampled_from([(", ", ": "), (" ,\n", "\t: ")]))
    )
    return json.dumps(event, ensure_ascii=draw(st.booleans()), separators=separators).encode()


@st.composite
def frames(draw: st.DrawFn, symbols: list[str] = SYMBOLS) -> bytes:
    """A sound upstream message: mostly an array of events."""
    texts = draw(st.lists(event_texts(symbols), max_size=8))
    form = draw(st.sampled_from(["array"] * 6 + ["spaced", "single", "others"]))
    if form == "single" and texts:
        return texts[0]
    if form == "spaced":
        return b" [ " + b" , ".join(texts) + b" ]\n"
    if form == "others" and texts:
        return b"[1," + b",null,".join(texts) + b',"{}",[{"ev":"T","sym":"A"}]]'
    return b"[" + b",".join(texts) + b"]"
