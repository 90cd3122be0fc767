"""Seeded upstream messages, sound and damaged, for programs that scan many of them at once."""

import random
from collections.abc import Iterator
from typing import Final

COMPACT_EVENTS: Final = (
    b'{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"c":[12,37],"t":1781622376036,"ds":"40.0"}',
    b'{"ev":"Q","sym":"BRK.B","i":[604],"bx":15,"bp":297.83,"ap":0.5,"c":0,"t":1781622375952,"z":[]}',
    b'{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"ATHR","t":1788877046310003385,"q":3209681}',
    b'{"T":"I:SPX","ev":"V","val":3988.5,"t":1678220098130}',
    b'{"ev":"XQ","pair":"BTC-USD","lp":33717,"bp":33717.05,"as":0.00000001}',
    b'{"ev":"C","p":"USD/CNH","x":"44","a":6.83366,"b":6.83363}',
    b'{"v":100,"o":1.5,"sym":"O:SPY251219C00650000","ev":"AM","T":"A","S":"B","pair":"C","p":"D"}',
    b'{"ev":"100Ms","sym":"AAPL","o":1.25,"s":1781622376000,"e":1781622376100}',
    b'{"ev":"MB","sym":"AAPL","interval":100,"s":1781622376000,"e":1781622376250}',
    b'{"T":"b","S":"AAPL","s":1781622376000,"e":1781622376250}',
    b'{"T":"b","S":"AAPL","i":"250"}',
    b'{"ev":"status","status":"auth_success","message":"authenticated, {[:]} and all"}',
    b'{"sym":"","ev":"","x":""}',
    b'{"ev":"XL2","pair":"BTC-USD","b":[[33712.71,0.18],[33712.7,7]],"a":[],"c":[[],["x",1],3]}',
    b'{"ev":"T","ev":"Q","sym":"A","sym":"AAPLAAPL","sym":"AAPLAAPLA"}',
    b'{"x":["ev","sym",1],"sym":12,"ev":[],"T":"T"}',
    b"{}",
)
"""What the compact scanner vouches for: every routing key, in every place."""

OTHER_EVENTS: Final = (
    b'{"ev":"T","sym":"\\u0041APL"}',
    b'{"\\u0065v":"Q","sym":"A\\"B\\\\"}',
    b'{"ev":"T","sym":"A","nested":{"ev":"Q","sym":["B",{"ev":"LULD"}]},"p":-1.5e-3}',
    b'{"ev":"T","sym":"\xe6\x97\xa5\xe7\xb5\x8c","x":true,"y":null,"z":false}',
    b'{ "ev" : "T",\n\t"sym" : "A" }',
    b'{"ev":"T","sym":"A","surrogates":"\\ud83d\\udcb9","lone":"\\ud83d"}',
    b'{"ev":"T","sym":"A","far":"' + b"x" * 200 + b'"}',
    b"null",
    b"17",
    b'"[{"',
)
"""Sound elements of a message, most of which only the exact scanner takes."""

DAMAGE: Final = (
    *(bytes([byte]) for byte in b'"{}[],:0-.e\\ 1a/\t\n\x00\x1f\x20\x7f\x80\xc3\xff'),
    *(b"\xc3\xa9", b"true", b"null", b"01", b"1.2.3", b"}{", b"},{", b'":', b'"ev":"T"', b"[]", b"x" * 64),
)
"""What is put into sound messages; some of it leaves them sound."""


def message(pick: random.Random) -> bytes:
    """Return a sound message: an array, compact more often than not."""
    kinds = COMPACT_EVENTS if pick.random() < 0.7 else COMPACT_EVENTS + OTHER_EVENTS
    events = pick.choices(kinds, k=pick.choice([0, 1, 1, 2, 3, 5, 8]))
    separator = b"," if pick.random() < 0.8 else pick.choice([b", ", b" ,", b",\n"])
    # A string of any length in front moves the rest to any place of a block.
    shift = b'{"a":"%s"},' % (b"x" * pick.randrange(64)) if events else b""
    return b"[" + shift + separator.join(events) + b"]"


def damaged(pick: random.Random, sound: bytes) -> bytes:
    """Return a message with one small damage at a random place."""
    at = pick.randrange(len(sound) + 1)
    piece = pick.choice(DAMAGE)
    return pick.choice(
        [
            sound[:at],
            sound[at:],
            sound[:at] + sound[at + 1 :],
            sound[:at] + piece + sound[at:],
            sound[:at] + piece + sound[at + len(piece) :],
            sound[:at] + sound[at : at + 2][::-1] + sound[at + 2 :],
            sound[:at] + sound[at : at + 1] + sound[at:],
        ]
    )


def messages(seed: int, count: int) -> Iterator[bytes]:
    """Yield sound and damaged messages, always the same ones for the same seed.

    Args:
        seed: of the random choices.
        count: how many messages.
    """
    pick = random.Random(seed)
    for number in range(count):
        frame = message(pick)
        for _ in range(number % 3):
            frame = damaged(pick, frame)
        yield frame


def every_single_damage(seed: int) -> Iterator[bytes]:
    """Yield one long compact message with every byte, in turn, replaced, removed and doubled, and cut there."""
    pick = random.Random(seed)
    sound = b"[" + b",".join(pick.sample(COMPACT_EVENTS, 4)) + b"]"
    for at in range(len(sound)):
        for byte in b'"{}[],:0.-1e a\\\xff':
            yield sound[:at] + bytes([byte]) + sound[at + 1 :]
        yield sound[:at]
        yield sound[:at] + sound[at + 1 :]
        yield sound[:at] + sound[at : at + 1] + sound[at:]
