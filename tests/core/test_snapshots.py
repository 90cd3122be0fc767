"""The last event of each topic, against an oracle that decodes every event with a JSON library."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_data import SYMBOLS, decode, frames, meaning, split_events
from test_fastpath_fanout import unframe

from fproxy._fastpath import Fanout, History, Snapshots

AGGREGATOR_TYPES = ["A", "AM", "Ms"]
FIREHOSE, AGGREGATOR = 0, 1
ALL = 1 << 62
MANY = 1 << 24

Kept = dict[tuple[str, str], tuple[int, bytes]]
"""By topic: the number of the message that brought its last event, and the event."""


def routed(snapshots: Snapshots) -> Fanout:
    """Return a fan-out that keeps last events, and counts bars and trades from one upstream each."""
    fanout = Fanout(snapshots=snapshots)
    for event_type in AGGREGATOR_TYPES:
        fanout.set_sources(event_type, [AGGREGATOR])
    for event_type in ("T", "Q"):
        fanout.set_sources(event_type, [FIREHOSE])
    return fanout


def topic_of(event: bytes, source: int) -> tuple[str, str] | None:
    """The oracle: the topic that an event is the last one of; None when it has none or does not count."""
    said = meaning(decode(event))
    if said.is_status or not said.symbol or not said.event_type:
        return None
    event_type = said.event_type
    if said.is_bar and said.interval_ms is not None:
        if not 1 <= said.interval_ms <= 60_000:
            return None
        event_type = f"{said.interval_ms}Ms"
    routed_to = {AGGREGATOR} if said.is_bar or event_type in ("A", "AM") else {FIREHOSE, AGGREGATOR}
    if event_type in ("T", "Q"):
        routed_to = {FIREHOSE}
    return (event_type, said.symbol) if source in routed_to else None


def has_data(frame: bytes) -> bool:
    return any(not meaning(decode(event)).is_status for event in split_events(frame))


def kept_after(messages: list[tuple[int, bytes]]) -> Kept:
    kept: Kept = {}
    number = 0
    for source, frame in messages:
        if not has_data(frame):
            continue
        for event in split_events(frame):
            topic = topic_of(event, source)
            if topic is not None:
                kept[topic] = (number, event)
        number += 1
    return kept


def events_of(snapshot: tuple[bytes, int]) -> list[bytes]:
    framed, count = snapshot
    found = [event for message in unframe(framed) for event in split_events(message)]
    assert len(found) == count
    return found


def all_under(snapshots: Snapshots, wildcard: tuple[str, str], **which: int) -> list[bytes]:
    found: list[bytes] = []
    at: int | None = 0
    while at is not None:
        framed, count, at = snapshots.read_under(wildcard, at, **which)
        found += events_of((framed, count))
    return found


def is_bar_topic(topic: tuple[str, str]) -> bool:
    return topic[0].endswith("Ms") and topic[0][:-2].isdigit()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([FIREHOSE, AGGREGATOR]), frames()), max_size=12), st.data())
def test_a_snapshot_is_the_last_event_of_each_topic(
    messages: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    snapshots = Snapshots(max_bytes=MANY)
    fanout = routed(snapshots)
    for source, frame in messages:
        fanout.feed(source, frame)
    kept = kept_after(messages)
    assert snapshots.next == sum(has_data(frame) for _, frame in messages)
    assert snapshots.topics == len(kept)
    for topic, (_, event) in kept.items():
        assert events_of(snapshots.read([topic], before=ALL)) == [event]
    before = data.draw(st.integers(0, snapshots.next))
    asked = list(dict.fromkeys([*kept, ("T", "NEVER"), ("ZZ", "A")]))  # the last may be kept
    assert events_of(snapshots.read(asked, before=before)) == [
        event for number, event in kept.values() if number < before
    ]
    for event_type in {topic[0] for topic in kept}:
        under = sorted(event for topic, (_, event) in kept.items() if topic[0] == event_type)
        assert sorted(all_under(snapshots, (event_type, "*"), before=ALL)) == under
    everything = sorted(
        event for topic, (number, event) in kept.items() if number < before and not is_bar_topic(topic)
    )
    assert sorted(all_under(snapshots, ("*", "*"), before=before)) == everything
    prefix = data.draw(st.sampled_from(SYMBOLS))[: data.draw(st.integers(1, 12))]
    begun = sorted(
        event for topic, (_, event) in kept.items() if topic[0] == "T" and topic[1].startswith(prefix)
    )
    assert sorted(all_under(snapshots, ("T", f"{prefix}*"), before=ALL)) == begun


def trade(symbol: str, time: int, padding: int = 0) -> bytes:
    return b'{"ev":"T","sym":"%b","t":%d,"x":"%b"}' % (symbol.encode(), time, b"x" * padding)


def array(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 300), st.sampled_from([0, 40, 200, 5_000, 70_000])), max_size=30),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([10, 60_000, 200_000]),
)
def test_memory_is_bounded_and_what_was_updated_longest_ago_is_evicted(
    messages: list[list[tuple[int, int]]], max_bytes: int
) -> None:
    snapshots = Snapshots(max_bytes=max_bytes)
    fanout = Fanout(snapshots=snapshots)
    last: dict[bytes, None] = {}  # the last event of each symbol, the last updated at the end
    by_symbol: dict[int, bytes] = {}
    for time, events in enumerate(messages):
        texts = [(symbol, trade(f"SYMBOL{symbol}", time, size)) for symbol, size in events]
        fanout.feed(0, array(*(event for _, event in texts)))
        for symbol, event in texts:
            last.pop(by_symbol.get(symbol, b""), None)
            by_symbol[symbol] = event
            last[event] = None
        assert snapshots.bytes <= max_bytes
        present = set(all_under(snapshots, ("T", "*"), before=ALL))
        assert len(present) == snapshots.topics
        assert present <= last.keys(), "the last event or none"
        if all(len(event) < max_bytes // 8 for event in last):
            assert present == set(list(last)[len(last) - len(present) :]), "those updated last"


def test_evictions_are_counted_and_memory_that_is_enough_evicts_nothing() -> None:
    snapshots = Snapshots(max_bytes=256 * 1024)
    fanout = Fanout(snapshots=snapshots)
    for number in range(20_000):
        fanout.feed(0, array(trade(f"S{number % 500}", number, number % 97)))
    assert (snapshots.topics, snapshots.evicted) == (500, 0)
    for number in range(20_000):
        fanout.feed(0, array(trade(f"S{number}", number)))
    assert snapshots.bytes <= 256 * 1024
    assert snapshots.topics > 500
    assert snapshots.topics + snapshots.evicted == 20_000
    assert events_of(snapshots.read([("T", "S19999"), ("T", "S0")], before=ALL)) == [trade("S19999", 19_999)]


def test_an_event_that_has_no_room_leaves_no_older_one_in_its_place() -> None:
    snapshots = Snapshots(max_bytes=100_000)
    fanout = Fanout(snapshots=snapshots)
    fanout.feed(0, array(trade("A", 1), trade("B", 1)))
    fanout.feed(0, array(trade("A", 2, 200_000)))
    assert events_of(snapshots.read([("T", "A")], before=ALL)) == []
    fanout.feed(0, array(trade("A", 3)))
    assert events_of(snapshots.read([("T", "A")], before=ALL)) == [trade("A", 3)]


def test_what_comes_between_two_pieces_disturbs_nothing_else() -> None:
    snapshots = Snapshots(max_bytes=MANY)
    fanout = Fanout(snapshots=snapshots)
    count = 10_000
    for number in range(count):
        fanout.feed(0, array(trade(f"S{number}", number)))
    before = snapshots.next
    found: list[bytes] = []
    at: int | None = 0
    pieces = 0
    late = iter(range(count, 0, -40))
    while at is not None:
        framed, number, at = snapshots.read_under(("T", "*"), at, before=before)
        found += events_of((framed, number))
        pieces += 1
        updated = next(late) - 1
        fanout.feed(0, array(trade(f"S{updated}", count), trade(f"NEW{pieces}", count)))
    assert pieces > 5, "in steps"
    brought = [json.loads(event)["t"] for event in found]
    assert len(set(brought)) == len(brought)
    missing = set(range(count)) - set(brought)
    assert all(number in range(count - 1, 0, -40) for number in missing), "those came live meanwhile"
    assert count - pieces <= len(brought) <= count


@pytest.mark.parametrize(("since", "left"), [(0, [b"old"]), (15, [b"old", b"early"])])
def test_what_a_replay_has_brought_is_left_out(since: int, left: list[bytes]) -> None:
    snapshots = Snapshots(max_bytes=MANY)
    fanout = Fanout(snapshots=snapshots)
    for symbol, time in (("old", 20), ("early", 10), ("late", 30)):
        fanout.feed(0, array(trade(symbol, time)))
    fanout.feed(0, b'[{"ev":"T","sym":"timeless"}]')  # counts as of when it was received
    found = events_of(
        snapshots.read(
            [("T", symbol) for symbol in ("old", "early", "late", "timeless")],
            before=ALL,
            replayed_from=1,
            replayed_since=since,
        )
    )
    assert [json.loads(event)["sym"].encode() for event in found] == left


def test_what_came_before_and_is_brought_late_is_no_live_event_of_anybody() -> None:
    snapshots = Snapshots(max_bytes=MANY)
    take = Fanout(snapshots=snapshots).input(0)
    before = snapshots.next
    take.is_live = False
    take(array(trade("A", 1), trade("B", 2)))
    take.is_live = True
    take(array(trade("B", 3)))
    topics = [("T", "A"), ("T", "B")]
    assert events_of(snapshots.read(topics, before=before)) == [trade("A", 1)]
    assert events_of(snapshots.read(topics, before=before, replayed_from=0)) == [trade("A", 1)]
    assert events_of(snapshots.read(topics, before=ALL, replayed_from=0)) == []


class Reader:
    """A client that notes the symbols of what it gets."""

    def __init__(self) -> None:
        self.symbols: list[int] = []

    def write(self, data: bytes) -> None:
        self.symbols += [
            int(json.loads(event)["sym"]) for message in unframe(data) for event in split_events(message)
        ]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["has", "has not", "comes"]), st.integers(0, 3)), max_size=60))
def test_events_that_are_kept_go_to_whom_they_should_however_topics_change(
    happenings: list[tuple[str, int]],
) -> None:
    fanout, reader = Fanout(snapshots=Snapshots(max_bytes=MANY)), Reader()
    client = fanout.add_client(reader)
    topics: set[int] = set()
    expected: list[int] = []
    for what, symbol in happenings:
        if what == "has":
            fanout.subscribe(client, [("T", str(symbol))])
            topics.add(symbol)
        elif what == "has not":
            fanout.unsubscribe(client, [("T", str(symbol))])
            topics.discard(symbol)
        else:
            fanout.feed(0, array(trade(str(symbol), 0)))
            expected += [symbol] * (symbol in topics)
    fanout.flush()
    assert reader.symbols == expected


def test_messages_are_numbered_as_those_of_the_history() -> None:
    snapshots, history = Snapshots(max_bytes=MANY), History(max_bytes=MANY, span_ms=60_000)
    fanout = Fanout(snapshots=snapshots, history=history)
    for frame in (
        array(trade("A", 1)),
        b'[{"ev":"status","status":"success","message":""}]',
        b"[]",
        array(trade("A", 2)),
    ):
        fanout.feed(0, frame)
    assert snapshots.next == history.next == 2


def test_snapshots_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="keep nothing"):
        Snapshots(max_bytes=0)
