"""A long message is read in short steps, and says what a short one would."""

import json
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fproxy.core import long_request
from fproxy.core.client_request import MAX_TOPICS_PER_MESSAGE, MessageError
from fproxy.core.long_request import LONG_MESSAGE, PIECE, LongMessage, decode_long_request

TOPICS = [f"C.EUR/USD{number}" for number in range(3_000)]


def finished(reading: Generator[None, None, Any]) -> tuple[int, Any]:
    """How many steps came before the last one, and what came of it."""
    steps = 0
    while True:
        try:
            next(reading)
        except StopIteration as done:
            return steps, done.value
        steps += 1


@given(
    topics=st.lists(st.text(st.characters(exclude_characters='"]\\', codec="utf-8"), min_size=1), min_size=1),
    is_array=st.booleans(),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    first=st.booleans(),
)
def test_a_long_message_says_what_a_json_library_reads_in_it(
    topics: list[str], is_array: bool, indent: int | None, ascii_only: bool, first: bool
) -> None:
    # Where an array is cut apart, a string that begins with a comma looks like the end of one; no topic does.
    assume(not (is_array and any(topic.lstrip(" ").startswith(",") for topic in topics)))
    many = topics * (LONG_MESSAGE // len(topics) + 1)
    params = many if is_array else ",".join(many)
    fields = (
        {"params": params, "action": "subscribe"} if first else {"since": 7, "action": "a", "params": params}
    )
    text = json.dumps(fields, indent=indent, ensure_ascii=ascii_only)
    expected = ",".join(many).split(",")
    if len(expected) > MAX_TOPICS_PER_MESSAGE:
        with pytest.raises(MessageError, match="too many topics"):
            finished(decode_long_request(LongMessage.of(text)))
        return
    steps, (request, parts) = finished(decode_long_request(LongMessage.of(text)))
    assert parts == expected
    assert request == {name: value for name, value in fields.items() if name != "params"}
    assert steps >= len(text) // (8 * PIECE)


def test_escapes_that_a_library_makes_are_read() -> None:
    text = json.dumps({"action": "subscribe", "params": ",".join(TOPICS)}).replace("/", "\\/")
    assert finished(decode_long_request(LongMessage.of(text.encode())))[1] == (
        {"action": "subscribe"},
        TOPICS,
    )


@given(
    before=st.integers(0, 2 * LONG_MESSAGE),
    within=st.integers(0, LONG_MESSAGE - 1),
    behind=st.integers(0, 2 * LONG_MESSAGE),
    many=st.booleans(),
)
def test_white_space_around_a_message_does_not_count(
    before: int, within: int, behind: int, many: bool
) -> None:
    topics = TOPICS if many else TOPICS[:3]
    text = json.dumps({"action": "subscribe", "params": topics})
    text = "\n" * before + text[:-1] + " " * within + text[-1] + "\t" * behind
    reading = decode_long_request(LongMessage.of(text))
    request, parts = finished(reading)[1]
    assert request["action"] == "subscribe"
    assert parts == topics


@given(places=st.lists(st.floats(0, 1), max_size=30))
def test_wherever_a_message_is_cut_it_says_the_same(places: list[float]) -> None:
    text = json.dumps({"action": "subscribe", "params": TOPICS, "since": 7})
    ends = sorted(round(place * len(text)) for place in places)
    pieces = [text[begin:end] for begin, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    assert finished(decode_long_request(LongMessage(pieces)))[1] == (
        {"action": "subscribe", "since": 7},
        TOPICS,
    )


def test_no_step_decodes_more_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0
    loads = json.loads

    def noted(text: str) -> Any:
        nonlocal longest
        longest = max(longest, len(text))
        return loads(text)

    monkeypatch.setattr(long_request.json, "loads", noted)
    for params in (",".join(TOPICS), TOPICS):
        finished(decode_long_request(LongMessage.of(json.dumps({"action": "subscribe", "params": params}))))
    assert PIECE <= longest < 2 * PIECE


LONG = "x," * LONG_MESSAGE


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            f'{{"other":[{LONG}1],"params":"T.A"}}',
            "malformed message: one of more than 16384 characters has to be",
        ),
        (f'{{"action":"subscribe","params":"{LONG}', "malformed message: 'params' does not end"),
        (f'{{"params":"{LONG}","params":"T.A"}}', "malformed message: too much comes behind 'params'"),
        (f'{{"params":"{LONG}","more":[{LONG}]}}', "malformed message: too much comes behind 'params'"),
        (f'{{"params":"{LONG}",}}', "malformed message: not JSON at character 13, '}'"),
        (f'{{"params":"{LONG}\x01"}}', "malformed message: not JSON at character 32"),
        (f'{{"params":"{LONG}\\"}}', "malformed message: not JSON at character"),
        (f'{{"params":["T.A",{LONG}]}}', "malformed message: not JSON at character 17, in 'params'"),
        (
            f'{{"params":["T.A",{"1," * LONG_MESSAGE}1]}}',
            "malformed message: 'params' holds not only strings",
        ),
        (f'{{"params":["T.A"{" " * LONG_MESSAGE},]}}', "malformed message: "),
        (f'{{"params":"{" " * LONG_MESSAGE}"}}', "malformed message: 'params' is empty"),
        (f'{{"params":"{"," * 1_000_000}"}}', "too many topics in one message: at most 50000 are taken"),
        (b'{"params":"\xff' + LONG.encode(), "malformed message: not UTF-8 at byte 11"),
    ],
    ids=range(13),
)
def test_what_is_wrong_is_said(text: str | bytes, error: str) -> None:
    with pytest.raises(MessageError) as raised:
        finished(decode_long_request(LongMessage.of(text)))
    assert str(raised.value).startswith(error)
    assert len(str(raised.value)) < 250
