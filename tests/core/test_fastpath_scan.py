"""The scanner against a JSON library, on every path that this machine has."""

import json
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from market_data import Pairs, decode, frames, meaning, split_events

from fproxy._fastpath import Fanout, FrameError, available_scan_paths, scan

PATHS = available_scan_paths()

TRADE = (
    b'{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"c":[12,37],"t":1781622376036,"ds":"40.0"}'
)
BOOK = b'{"ev":"XL2","pair":"BTC-USD","x":1,"b":[[33712.71,0.18635],[33712.7,7]],"a":[[1,2.5]],"c":[[],["x",1],3]}'
LULD = b'{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"ATHR","t":1788877046310003385,"q":3209681}'

PIECES = [bytes([byte]) for byte in b'"{}[],:0-.e\\ 1\x00\x1f\x7f\x80'] + [
    b"\xc3\xa9",
    b"true",
    b"null",
    b"01",
    b"}{",
]

UNSOUND = [
    *b" x [ { ] [} {] 1 null [1 [{] [{} [{}]] [{}}] [{},] [,{}] [{}{}]".split(),
    *b'"text" [{"a"}] [{"a":}] [{"a":1,}] [{,"a":1}] [{"a":1"b":2}] [{"a":1,"b"}] [{"a":"b":1}] [{1:2}]'.split(),
    *b'[{"a":01}] [{"a":1.}] [{"a":.1}] [{"a":1.2.3}] [{"a":-}] [{"a":--1}] [{"a":+1}] [{"a":1e}] [{"a":1e+}]'.split(),
    *b'[{"a":NaN}] [{"a":Infinity}] [{"a":tru}] [{"a":nulll}] [{"a":"\\x"}] [{"a":"\\u12g4"}] [{"a":"\\u12"}]'.split(),
    *b'[{"a":"b] [{"a":[1,]}] [{"a":[,1]}] [{"a":[1}] [{"a":1]}] [{"a":[1]]}] [{"a":["b":1]}] [["ev":"T"]]'.split(),
    *b"[]x /**/[] [{'a':1}]".split(),
    *(
        b"",
        b" ",
        b"[{} {}]",
        b'[{"a":1 "b":2}]',
        b'[{"a":[1 2]}]',
        b'[{"a":"\n"}]',
        b"[{}]\x00",
        b"\xef\xbb\xbf[]",
    ),
    *(
        b'[{"a":' + text + b"}]"
        for text in (b"\xff", b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"')
    ),
]


def oracle(frame: bytes) -> list[tuple] | None:
    """What the events of a message mean, or None when it must be refused."""
    try:
        decoded = decode(frame)
    except ValueError:
        return None
    if isinstance(decoded, Pairs):
        return [meaning(decoded)]
    if not isinstance(decoded, list):
        return None
    return [meaning(element) for element in decoded if isinstance(element, Pairs)]


def scanned(frame: bytes, path: str) -> list[tuple] | None:
    try:
        events = scan(frame, path=path)
    except FrameError:
        return None
    return [
        (
            event.event_type and event.event_type.decode("utf-8", "surrogatepass"),
            event.symbol and event.symbol.decode("utf-8", "surrogatepass"),
            event.is_status,
            event.is_bar,
            event.interval_ms,
        )
        for event in events
    ]


def normal(meanings: list[tuple] | None) -> list[tuple] | None:
    """Empty texts and absent ones route alike."""
    return meanings and [(m[0] or None, m[1] or None, *m[2:]) for m in meanings]


@pytest.mark.parametrize("path", PATHS)
@given(frame=frames())
@example(b"[]")
@example(b"[" + TRADE + b"," + LULD + b"]")
@example(b'[{"T":"b","S":"AAPL","o":1}]')
@example(b'[{"p":"USD/CNH","ev":"C"}]')
def test_every_event_means_what_a_json_library_says(path: str, frame: bytes) -> None:
    assert normal(scanned(frame, path)) == normal(oracle(frame))


@pytest.mark.parametrize("path", PATHS)
@given(frame=frames())
def test_events_come_out_byte_for_byte(path: str, frame: bytes) -> None:
    events = scan(frame, path=path)
    position = 0
    for event in events:
        position = frame.index(event.raw, position) + len(event.raw)
    decoded = decode(frame)
    elements = [decoded] if isinstance(decoded, Pairs) else [e for e in decoded if isinstance(e, Pairs)]
    assert [decode(event.raw) for event in events] == elements


@pytest.mark.parametrize("path", PATHS)
@given(frame=frames(), data=st.data())
def test_damaged_messages_are_refused_exactly_when_a_json_library_refuses_them(
    path: str, frame: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(frame)))
    damage = data.draw(st.sampled_from(["cut", "delete", "insert", "replace", "swap"]))
    piece = data.draw(st.sampled_from(PIECES))
    frame = {
        "cut": frame[:at],
        "delete": frame[:at] + frame[at + 1 :],
        "insert": frame[:at] + piece + frame[at:],
        "replace": frame[:at] + piece + frame[at + len(piece) :],
        "swap": frame[:at] + frame[at : at + 2][::-1] + frame[at + 2 :],
    }[damage]
    assert normal(scanned(frame, path)) == normal(oracle(frame))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("seed", range(4))
def test_every_single_byte_damage_of_a_vendors_message(path: str, seed: int) -> None:
    """Long compact messages, so that every rule is met at every place of a block and at its edges."""
    pick = random.Random(seed)
    quote = b'{"ev":"Q","sym":"BRK.B","i":[604],"bx":15,"bp":297.83,"ap":0.5,"c":0,"t":1781622375952,"z":[]}'
    frame = (
        b"["
        + b",".join(
            pick.choice([TRADE, LULD, BOOK, quote, b"{}", b'{"ev":"V","T":"I:SPX"}']) for _ in range(5)
        )
        + b"]"
    )
    assert normal(scanned(frame, path)) == normal(oracle(frame))
    for at in range(len(frame)):
        for byte in b'"{}[],:0.-1e a\\\xff':
            damaged = frame[:at] + bytes([byte]) + frame[at + 1 :]
            assert normal(scanned(damaged, path)) == normal(oracle(damaged)), damaged
        for damaged in (
            frame[:at],
            frame[:at] + frame[at + 1 :],
            frame[:at] + frame[at : at + 1] + frame[at:],
        ):
            assert normal(scanned(damaged, path)) == normal(oracle(damaged)), damaged


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("sound", "unsound"),
    [
        (b'[{"%(pad)s":1},{"%(run)s":1}]', b'[{"%(pad)s":1},{"%(run)s"}]'),
        (b'[{"%(pad)s":1},{"a":"%(run)s"}]', b'[{"%(pad)s":1},{"a":"%(run)s":1}]'),
        (b'[{"%(pad)s":1},{"a":1.%(digits)s}]', b'[{"%(pad)s":1},{"a":1.%(digits)s.5}]'),
        (b'[{"%(pad)s":1},{"a":%(digits)s.5}]', b'[{"%(pad)s":1},{"a":0%(digits)s}]'),
    ],
)
def test_long_runs_at_every_place_of_a_block(path: str, sound: bytes, unsound: bytes) -> None:
    """What runs through whole lanes of the compact scanner: keys, strings and digits."""
    for pad in range(70):
        for length in [*range(58, 70), *range(122, 132), 252, 253, 254, 300]:
            parts = {b"pad": b"p" * pad, b"run": b"x" * length, b"digits": b"7" * length}
            assert scanned(sound % parts, path) == oracle(sound % parts)
            with pytest.raises(FrameError):
                scan(unsound % parts, path=path)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("frame", UNSOUND)
def test_what_is_not_sound_is_refused(path: str, frame: bytes) -> None:
    assert oracle(frame) is None
    with pytest.raises(FrameError):
        scan(frame, path=path)


def test_a_refusal_says_where() -> None:
    with pytest.raises(FrameError, match=r"byte 13 of 15.*ev"):
        scan(b'[{"ev":"T"},{x}]'[:-1])


@pytest.mark.parametrize("path", PATHS)
def test_nesting_is_bounded(path: str) -> None:
    depth = 100_000
    with pytest.raises(FrameError):
        scan(b'[{"a":' + b"[" * depth + b"]" * depth + b"}]", path=path)
    assert scan(b'[{"a":' + b"[" * 500 + b"]" * 500 + b"}]", path=path)


def test_compact_messages_need_no_exact_scanner() -> None:
    frame = (
        b"["
        + b",".join([TRADE, LULD, BOOK, b'{"ev":"NOI","T":"NTEST.Q","t":1,"a":"M","b":25.03}'] * 50)
        + b"]"
    )
    assert not any(event.exact for event in scan(frame))
    assert all(event.exact for event in scan(frame.replace(b":", b": ")))


def test_splitting_keeps_every_byte() -> None:
    assert split_events(b" [ " + TRADE + b" ,\n" + LULD + b"]") == [TRADE, LULD]
    assert split_events(bytearray(b"[" + TRADE + b"]")) == [TRADE]


def test_an_unknown_path_is_named() -> None:
    with pytest.raises(ValueError, match=r"no scan path 'vax'.*exact"):
        scan(b"[]", path="vax")


@pytest.mark.parametrize("path", PATHS)
def test_the_vendors_samples(path: str) -> None:
    """One event of each type, with the symbol where the vendor's specification puts it."""
    samples = {
        ("T", "MSFT"): {"ev": "T", "sym": "MSFT", "x": 4, "i": "12345", "z": 3, "p": 114.125, "c": [0, 12]},
        ("LULD", "ATHR"): {"ev": "LULD", "h": 3.63, "l": 2.97, "i": [15], "z": 3, "T": "ATHR", "q": 3209681},
        ("XL2", "BTC-USD"): {"ev": "XL2", "pair": "BTC-USD", "b": [[33712.7, 0.134]], "a": [[33718.24, 0.1]]},
        ("XT", "BTC-USD"): {"ev": "XT", "pair": "BTC-USD", "p": 33021.9, "s": 0.01616617, "c": [2]},
        ("C", "USD/CNH"): {"ev": "C", "p": "USD/CNH", "x": "44", "a": 6.83366, "b": 6.83363},
        ("V", "I:SPX"): {"ev": "V", "val": 3988.5, "T": "I:SPX", "t": 1678220098130},
        ("AM", "O:ONEM220121C00025000"): {"ev": "AM", "sym": "O:ONEM220121C00025000", "v": 2},
    }
    frame = json.dumps(list(samples.values()), separators=(",", ":")).encode()
    assert [(e.event_type.decode(), e.symbol.decode()) for e in scan(frame, path=path)] == list(samples)


@pytest.mark.parametrize("path", PATHS)
def test_a_message_has_no_more_events_than_may_be(path: str) -> None:
    most = 2**18
    assert len(scan(b"[" + b",".join([b"{}"] * most) + b"]", path=path)) == most
    for element in (b"{}", TRADE):
        with pytest.raises(
            FrameError,
            match=rf"more events than a message may have at byte {most * (len(element) + 1) + 1} of",
        ):
            scan(b"[" + b",".join([element] * (most + 1)) + b"]", path=path)


def test_a_message_of_too_many_events_spoils_no_other() -> None:
    fanout = Fanout()
    with pytest.raises(FrameError, match="more events than a message may have"):
        fanout.feed(0, b"[" + b",".join([b"{}"] * (2**18 + 1)) + b"]")
    fanout.feed(0, b"[{}]")
    assert fanout.events_in == 1
