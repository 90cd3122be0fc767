"""The hottest topics of a history: counted over its newest messages."""

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fproxy._fastpath import History

EVENTS = st.builds(
    lambda event_type, symbol: {"ev": event_type, "sym": symbol, "p": 1},
    st.sampled_from(["T", "Q", "A", "100Ms"]),
    st.sampled_from(["AAPL", "BRK.B", "Ünï", "MSFT"]),
)


def kept(messages: list[tuple[int, list[dict[str, object]]]], *, start: int = 1000) -> History:
    history = History(max_bytes=1 << 20, span_ms=1 << 40)
    for number, (source, events) in enumerate(messages):
        history.append(source, json.dumps(events).encode(), now=start + number)
    return history


@given(st.lists(st.tuples(st.integers(0, 1), st.lists(EVENTS, min_size=1, max_size=5)), max_size=20))
def test_events_are_counted_by_type_symbol_and_source(
    messages: list[tuple[int, list[dict[str, object]]]],
) -> None:
    found, oldest = kept(messages).hot_topics(max_bytes=1 << 20, since=0, limit=1000)
    expected = Counter((event["ev"], event["sym"], source) for source, events in messages for event in events)
    assert {(kind, symbol, source): count for kind, symbol, source, count in found} == expected
    assert [count for *_, count in found] == sorted(expected.values(), reverse=True)
    assert oldest == (1000 if messages else None)


def test_only_the_newest_messages_count_and_only_the_hottest_topics_are_told() -> None:
    trade, quote = {"ev": "T", "sym": "AAPL"}, {"ev": "Q", "sym": "AAPL"}
    history = kept([(0, [trade] * 9), (0, [quote, quote, trade]), (0, [quote])])
    assert history.hot_topics(max_bytes=1 << 20, since=1001, limit=1) == ([("Q", "AAPL", 0, 3)], 1001)
    assert history.hot_topics(max_bytes=1, since=0, limit=9) == ([("Q", "AAPL", 0, 1)], 1002)


def test_statuses_and_bars_without_an_interval_do_not_count() -> None:
    history = kept(
        [(0, [{"ev": "status", "status": "success"}, {"T": "b", "S": "AAPL"}, {"ev": "T", "sym": "A"}])]
    )
    assert history.hot_topics(max_bytes=1 << 20, since=0, limit=9)[0] == [("T", "A", 0, 1)]
