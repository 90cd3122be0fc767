"""The grammar of topics."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.market import KNOWN_EVENT_TYPES
from fproxy.core.topics import (
    EVERYTHING,
    MAX_BAR_INTERVAL_MS,
    MAX_TOPIC_LENGTH,
    Topic,
    TopicError,
    bar_interval,
    covering_topic,
    parse_topic,
)

SYMBOLS = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters='*"\\'), min_size=1
)
EVENT_TYPES = st.sampled_from(sorted(KNOWN_EVENT_TYPES)) | st.integers(1, MAX_BAR_INTERVAL_MS).map(
    lambda interval: f"{interval}Ms"
)


@given(event_type=EVENT_TYPES, symbol=SYMBOLS.filter(lambda symbol: len(symbol) < 100) | st.just("*"))
def test_a_topic_reads_as_it_was_written(event_type: str, symbol: str) -> None:
    text = f"{event_type}.{symbol}"
    assert parse_topic(text) == Topic(event_type, symbol)
    assert parse_topic(text).text == text
    assert covering_topic(text) == f"{event_type}.*"


def test_everything_is_a_topic_of_its_own() -> None:
    assert parse_topic("*") is EVERYTHING
    assert EVERYTHING.is_everything
    assert EVERYTHING.text == "*"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not of the form"),
        ("T", "not of the form"),
        ("T.", "not of the form"),
        (".AAPL", "not of the form"),
        ("T.A B", "white space"),
        ('T."A"', "a quote"),
        ("T.A\\B", "a backslash"),
        ("T.A\tB", "a control character"),
        ("T.A\u200bB", "a control character"),
        ("T.A*A", "not the end of the symbol"),
        ("T.**", "not the end of the symbol"),
        ("*.AAPL", "not the end of the symbol"),
        ("*.A*", "not the end of the symbol"),
        ("T.O:*", "prefix too short: 'T.O:*' is nothing but T.*"),
        ("Zz.AAPL", "unknown topic: 'Zz.AAPL'"),
        ("4X.AAPL", "unknown topic: '4X.AAPL'"),
        ("A" * 17 + ".AAPL", "no known event type"),
        ("t.AAPL", "did you mean T.AAPL?"),
        ("t.aapl", "did you mean T.AAPL?"),
        ("luld.BACpL", "did you mean LULD.BACpL?"),
        ("100ms.aapl", "did you mean 100Ms.AAPL?"),
        ("zz.aapl", "no known event type$"),
        ("0Ms.AAPL", "interval outside 1 to 60000 ms"),
        ("60001Ms.AAPL", "interval outside 1 to 60000 ms"),
        ("0100Ms.AAPL", "interval outside"),
        ("9" * 200 + "Ms.AAPL", "interval outside"),
        ("T." + "A" * MAX_TOPIC_LENGTH, "topic longer than 256 characters: T.AAAA"),
    ],
)
def test_what_is_no_topic_is_named(text: str, why: str) -> None:
    with pytest.raises(TopicError, match=re.escape(why).replace(r"\$", "$")):
        parse_topic(text)


@pytest.mark.parametrize("text", ["ZZ.AAPL", "XL3.BTC-USD", "IMBALANCE2.*"])
def test_a_type_that_the_vendor_has_added_since_is_a_topic(text: str) -> None:
    assert parse_topic(text).text == text


@given(text=st.text(max_size=300))
def test_any_text_is_a_topic_or_an_error(text: str) -> None:
    try:
        topic = parse_topic(text)
    except TopicError:
        return
    assert topic.text == text


@pytest.mark.parametrize(
    ("event_type", "interval"),
    [("100Ms", 100), ("1Ms", 1), ("0Ms", 0), ("T", None), ("Ms", None), ("100ms", None)],
)
def test_the_interval_of_a_bar(event_type: str, interval: int | None) -> None:
    assert bar_interval(event_type) == interval
