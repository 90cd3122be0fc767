"""A parser of frames finds the same messages in what was cut as in what was sent, in pieces that are never long."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from fproxy.core.frame_pieces import FRAGMENT_BYTES, FramePieces

MAX_BYTES = 8 * FRAGMENT_BYTES

lengths = st.one_of(
    st.integers(0, 300),
    st.sampled_from([125, 126, 127, 65_535, 65_536]),
    st.builds(
        lambda count, more: max(0, count * FRAGMENT_BYTES + more), st.integers(1, 4), st.integers(-2, 2)
    ),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Frame]:
    """What a client may send: messages, whole or in fragments, with control frames between them."""
    frames = []
    for _ in range(draw(st.integers(1, 5))):
        opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
        fragments = draw(st.lists(lengths, min_size=1, max_size=3))
        for number, length in enumerate(fragments):
            if draw(st.booleans()):
                frames.append(Frame(Opcode.PING, os.urandom(draw(st.integers(0, 125)))))
            frames.append(
                Frame(
                    opcode if number == 0 else Opcode.CONT,
                    os.urandom(length),
                    fin=number == len(fragments) - 1,
                )
            )
    return frames


def serialized(frames: list[Frame]) -> bytes:
    return b"".join(frame.serialize(mask=True) for frame in frames)


def parsed(pieces: list[bytes], max_size: int | None = None) -> tuple[list[Frame], Protocol]:
    protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=max_size)
    for piece in pieces:
        protocol.receive_data(piece)
    return [frame for frame in protocol.events_received() if isinstance(frame, Frame)], protocol


def messages(frames: list[Frame]) -> list[tuple[Opcode, bytes]]:
    """Messages and control frames, each with its kind, in the order in which they end."""
    ended, kind, payload = [], Opcode.CONT, b""
    for frame in frames:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            kind = frame.opcode if frame.opcode is not Opcode.CONT else kind
            payload += frame.data
            if frame.fin:
                ended.append((kind, payload))
                payload = b""
        else:
            ended.append((frame.opcode, bytes(frame.data)))
    return ended


def cut(data: bytes, places: list[float]) -> list[bytes]:
    ends = sorted(round(place * len(data)) for place in places)
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(frames=conversations(), places=st.lists(st.floats(0, 1), max_size=8))
def test_what_was_cut_says_the_same(frames: list[Frame], places: list[float]) -> None:
    data = serialized(frames)
    splitter = FramePieces(1 << 40)
    found, _ = parsed([splitter.feed(piece) for piece in cut(data, places)])
    assert messages(found) == messages(frames)
    assert all(len(frame.data) <= FRAGMENT_BYTES for frame in found)


@given(frames=conversations())
def test_wherever_input_ends_all_that_has_come_is_passed_on(frames: list[Frame]) -> None:
    data = serialized(frames)[: FRAGMENT_BYTES + 1_000]
    splitter = FramePieces(1 << 40)
    out = b"".join(splitter.feed(data[at : at + 1]) for at in range(len(data)))
    assert out == FramePieces(1 << 40).feed(data)


def test_short_frames_are_passed_on_as_they_are() -> None:
    data = serialized(
        [Frame(Opcode.TEXT, b"x" * FRAGMENT_BYTES), Frame(Opcode.PING, b""), Frame(Opcode.TEXT, b"y")]
    )
    assert FramePieces(MAX_BYTES).feed(data) == data


def test_a_frame_that_is_too_long_is_refused_by_its_header() -> None:
    header = Frame(Opcode.TEXT, bytes(MAX_BYTES + 1)).serialize(mask=True)[:10]
    _, protocol = parsed([FramePieces(MAX_BYTES).feed(header)], MAX_BYTES)
    assert protocol.close_sent is not None
    assert protocol.close_sent.code == 1009


def test_a_message_whose_fragments_are_too_long_together_is_refused() -> None:
    frames = [
        Frame(Opcode.TEXT, bytes(MAX_BYTES // 2), fin=False),
        Frame(Opcode.CONT, bytes(MAX_BYTES // 2 + 1)),
    ]
    _, protocol = parsed([FramePieces(MAX_BYTES).feed(serialized(frames))], MAX_BYTES)
    assert protocol.close_sent is not None
    assert protocol.close_sent.code == 1009


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.TEXT, bytes(FRAGMENT_BYTES + 1)).serialize(mask=False),
        b"\xc1\xfe\xff\xff" + bytes(4 + 65_535),
        b"\x89\xfe\xff\xff" + bytes(4 + 65_535),
        b"\x83\xfe\xff\xff" + bytes(4 + 65_535),
    ],
    ids=["no mask", "reserved bit", "long control frame", "reserved opcode"],
)
def test_what_breaks_the_protocol_still_does(frame: bytes) -> None:
    _, protocol = parsed([FramePieces(MAX_BYTES).feed(frame)])
    assert protocol.close_sent is not None
    assert protocol.close_sent.code == 1002
