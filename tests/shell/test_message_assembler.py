"""Messages out of frames: the same text, however it was cut; a long one stays in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from fproxy.core.long_request import LONG_MESSAGE, LongMessage
from fproxy.shell.message_assembler import MessageAssembler

payloads = st.builds(
    lambda text, times: text * times, st.text(min_size=1), st.sampled_from([1, 5, LONG_MESSAGE])
).map(str.encode)


def frames_of(payload: bytes, opcode: Opcode, places: list[float]) -> list[Frame]:
    """A message in fragments, with a control frame behind each."""
    ends = sorted(round(place * len(payload)) for place in places)
    frames = []
    for begin, end in zip([0, *ends], [*ends, len(payload)], strict=True):
        kind = opcode if not frames else Opcode.CONT
        frames.append(Frame(kind, payload[begin:end], fin=False))
        frames.append(Frame(Opcode.PING, b""))
    frames[-2] = Frame(frames[-2].opcode, frames[-2].data, fin=True)
    return frames


def received(assembler: MessageAssembler, frames: list[Frame]) -> str | bytes | LongMessage:
    """The message of some frames, which the last data frame ends."""
    [message] = [found for frame in frames if (found := assembler.received(frame)) is not None]
    return message


@given(
    messages=st.lists(
        st.tuples(payloads, st.booleans(), st.lists(st.floats(0, 1), max_size=40)), min_size=1, max_size=3
    )
)
def test_a_message_in_fragments_says_what_it_says_in_one(
    messages: list[tuple[bytes, bool, list[float]]],
) -> None:
    assembler = MessageAssembler()
    for payload, is_text, places in messages:
        message = received(assembler, frames_of(payload, Opcode.TEXT if is_text else Opcode.BINARY, places))
        if isinstance(message, LongMessage):
            assert "".join(message.pieces) == payload.decode()
            assert message.broken_at is None
            assert len(message) == len(payload.decode()) > 0
        else:
            assert message == (payload.decode() if is_text else payload)


@pytest.mark.parametrize("place", [3, LONG_MESSAGE - 1, 3 * LONG_MESSAGE + 5])
def test_what_is_not_utf_8_ends_a_text_and_is_told_of_a_binary_message(place: int) -> None:
    payload = b"x" * place + b"\xff" + b"x" * 4 * LONG_MESSAGE
    cuts = [number / 20 for number in range(1, 20)]
    message = received(MessageAssembler(), frames_of(payload, Opcode.BINARY, cuts))
    assert message == LongMessage((), place)
    with pytest.raises(UnicodeDecodeError):
        received(MessageAssembler(), frames_of(payload, Opcode.TEXT, cuts))


def test_a_character_that_is_not_whole_at_the_end_is_not_utf_8() -> None:
    payload = b"x" * 2 * LONG_MESSAGE + "ä".encode()[:1]
    message = received(MessageAssembler(), frames_of(payload, Opcode.BINARY, [0.6]))
    assert message == LongMessage((), 2 * LONG_MESSAGE)


def test_behind_a_message_that_is_not_utf_8_the_next_one_is_read() -> None:
    assembler = MessageAssembler()
    received(assembler, frames_of(b"\xff" * 2 * LONG_MESSAGE, Opcode.BINARY, [0.6]))
    assert received(assembler, [Frame(Opcode.TEXT, b"next")]) == "next"
    message = received(assembler, frames_of(b"x" * 2 * LONG_MESSAGE, Opcode.TEXT, [0.6]))
    assert isinstance(message, LongMessage)
    assert len(message) == 2 * LONG_MESSAGE
