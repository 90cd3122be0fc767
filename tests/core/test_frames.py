"""Frames, read back by the parser that clients use."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from fproxy.core.frames import PING_FRAME, text_frame


def parse(data: bytes) -> Frame:
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    parser = Frame.parse(reader.read_exact, mask=False)
    try:
        next(parser)
    except StopIteration as result:
        assert not reader.buffer
        frame: Frame = result.value
        return frame
    raise AssertionError("the frame is not complete")


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 300_000])
def test_a_text_frame_holds_its_payload(length: int) -> None:
    payload = b"x" * length
    frame = parse(text_frame(payload))
    assert frame == Frame(Opcode.TEXT, payload)
    assert len(text_frame(payload)) <= length + 10


def test_the_ping_frame_is_an_empty_ping() -> None:
    assert parse(PING_FRAME) == Frame(Opcode.PING, b"")
