"""The messages of a take-over: whole however they are cut, and what is none of them is told apart."""

import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core import takeover_messages as messages
from fproxy.core.takeover_messages import FrameReader, TakeOverProtocolError, encode, in_parts

numbers = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=()), max_size=messages.MAX_TEXT)
topics = st.lists(texts, max_size=5).map(tuple)
every_message = st.one_of(
    st.builds(messages.Hello, texts, numbers),
    st.builds(messages.Refusal, texts),
    st.builds(messages.Welcome, numbers, texts, topics),
    st.builds(messages.Wanted, texts, topics),
    st.builds(messages.AllWanted),
    st.builds(messages.Ready),
    st.builds(messages.Serve),
    st.builds(messages.Serving),
    st.builds(messages.Ended, texts, numbers, texts, numbers, numbers, topics, last=st.booleans()),
    st.builds(messages.Resumed, texts, numbers),
    st.builds(messages.Kept, texts, numbers),
    st.builds(messages.Done),
)


@given(st.lists(every_message, max_size=5), st.integers(1, 50))
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    sent: list[messages.Message], piece: int
) -> None:
    stream = b"".join(map(encode, sent))
    reader = FrameReader()
    received = []
    for start in range(0, len(stream), piece):
        reader.feed(stream[start : start + piece])
        while (message := reader.next()) is not None:
            received.append(message)
    assert received == sent


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_message_or_a_clear_error(data: bytes) -> None:
    reader = FrameReader()
    reader.feed(data)
    with suppress(TakeOverProtocolError):  # any other error fails
        assert reader.next() is None


def frame(payload: bytes, *, version: int = messages.VERSION, length: int | None = None) -> bytes:
    return b"fpto" + struct.pack(">HI", version, len(payload) if length is None else length) + payload


def ended(**changed: object) -> bytes:
    fields = {
        "kind": "Ended",
        "market": "stocks",
        "number": 1,
        "account": "a",
        "at": 1,
        "delivered_at": 1,
        "topics": [],
        "last": True,
    }
    return frame(json.dumps(fields | changed).encode())


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "no fproxy that can be taken over: it says b'HTTP/1.1 400"),
        (frame(b"{}", version=2), "speaks version 2 of the take-over, this one 1"),
        (frame(b"", length=2**20 + 1), "1048577 bytes, and 1048576 are the most"),
        (frame(b"{"), "not JSON"),
        (frame(b"[" * 100_000), "not JSON"),
        (frame(b"[]"), "unknown kind"),
        (frame(b'{"kind":"Nonsense"}'), "unknown kind"),
        (frame(b'{"kind":["Ready"]}'), "unknown kind"),
        (frame(b'{"kind":"Ready","more":1}'), "Ready with other fields than none"),
        (frame(b'{"kind":"Kept"}'), "Kept with other fields than market, number"),
        (ended(number="1"), "Ended with a wrong number"),
        (ended(number=True), "Ended with a wrong number"),
        (ended(number=-1), "Ended with a wrong number"),
        (ended(at=2**63), "Ended with a wrong at"),
        (ended(last=1), "Ended with a wrong last"),
        (ended(account=None), "Ended with a wrong account"),
        (ended(account="a" * 1001), "Ended with a wrong account"),
        (ended(topics=["T.A", 1]), "Ended with a wrong topics"),
        (ended(topics=["a" * 1001]), "Ended with a wrong topics"),
    ],
)
def test_what_is_no_message_is_said_to_be_something_else(data: bytes, wanted: str) -> None:
    reader = FrameReader()
    reader.feed(data)
    with pytest.raises(TakeOverProtocolError, match=wanted.replace("(", r"\(")):
        reader.next()


def test_the_longest_topics_fit_a_message() -> None:
    longest = ["\N{GRINNING FACE}" * 256] * (2 * messages.TOPICS_PER_MESSAGE + 1)
    parts = list(in_parts(longest))
    assert [len(part) for part in parts] == [300, 300, 1]
    reader = FrameReader()
    for part in parts:
        reader.feed(encode(messages.Wanted("stocks/firehose", part)))
        assert reader.next() == messages.Wanted("stocks/firehose", part)
    assert list(in_parts([])) == [()], "that there are none is said, too"
    assert [len(part) for part in in_parts(["a"] * 300)] == [300]
