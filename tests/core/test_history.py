"""The ring of messages against a plain list, and what is replayed from it against a JSON oracle."""

import json
import resource
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_data import split_events

from fproxy._fastpath import Broadcast, Fanout, History
from fproxy.shell.clock import unix_ms

NOW = 1_736_503_800_000
ALL = 1 << 62


class Sink:
    """Keeps the payloads of the frames that it is given."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def write(self, frames: bytes) -> None:
        while frames:
            length, header = frames[1], 2
            if length >= 126:
                header = 4 if length == 126 else 10
                length = int.from_bytes(frames[2:header])
            self.messages.append(frames[header : header + length])
            frames = frames[header + length :]

    @property
    def events(self) -> list[bytes]:
        return [event for message in self.messages for event in split_events(message)]


def trade(symbol: str, time: int) -> bytes:
    return b'{"ev":"T","sym":"%b","p":1.5,"t":%d}' % (symbol.encode(), time)


def array(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from([10, 100, 5_000, 40_000]))),
    st.sampled_from([20_000, 200_000]),
    st.sampled_from([100, 1_000, 10_000]),
)
def test_what_is_kept_is_the_newest_whole_and_in_order_within_its_bounds(
    steps: list[tuple[int, int]], max_bytes: int, span: int
) -> None:
    history = History(max_bytes=max_bytes, span_ms=span)
    sent: list[tuple[int, int, bytes]] = []
    now = NOW
    for number, (passed, size) in enumerate(steps):
        now += passed
        payload = (b"%d " % number).ljust(size, b"x")
        sent.append((number % 3, now, payload))
        history.append(number % 3, payload, now=now)
        kept = history.messages(0)
        assert history.next == number + 1
        assert kept == sent[history.first :]
        assert all(now - received <= span for _, received, _ in kept)
        assert history.bytes <= max_bytes
        missing = [received for _, received, _ in sent[: history.first]]
        assert all(received < history.complete_from for received in missing)
    for time in (NOW, now, now + 1):
        kept_from = [
            at for at, (_, received, _) in enumerate(sent) if received >= time and at >= history.first
        ]
        assert history.received_from(time) == (kept_from[0] if kept_from else history.next)
    history.trim(now + span + 1)
    assert history.first == history.next


def test_an_idle_history_gives_its_memory_back() -> None:
    history = History(max_bytes=64 << 20, span_ms=1_000)
    for _ in range(1_000):
        history.append(0, b"x" * 50_000, now=NOW)
    assert history.bytes > 40 << 20
    history.trim(NOW + 2_000)
    assert history.bytes <= 1 << 20


def test_a_full_history_is_filled_again_without_new_pages() -> None:
    history = History(max_bytes=32 << 20, span_ms=60_000)
    message = b"x" * 15_000

    def fill() -> int:
        """Write as much as the history holds; return how many pages were touched for the first time."""
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(history.next - history.first or 2_300):
            history.append(0, message, now=NOW)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults

    fill()
    assert history.first > 0, "full"
    assert fill() < (32 << 20) // resource.getpagesize() // 20


@pytest.mark.parametrize("bad", [{"max_bytes": 0, "span_ms": 1}, {"max_bytes": 1, "span_ms": 0}])
def test_a_history_of_nothing_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="keeps nothing"):
        History(**bad)


EVENTS = st.one_of(
    st.builds(
        lambda kind, symbol, time: {"ev": kind, "sym": symbol, "t": time},
        st.sampled_from(["T", "Q"]),
        st.sampled_from(["A", "B", "C"]),
        st.integers(NOW - 50, NOW + 50),
    ),
    st.builds(
        lambda symbol, end: {"ev": "A", "sym": symbol, "s": end - 1_000, "e": end},
        st.sampled_from(["A", "B"]),
        st.integers(NOW - 50, NOW + 50),
    ),
    st.builds(
        lambda symbol, time: {"ev": "LULD", "T": symbol, "t": time * 1_000_000},
        st.sampled_from(["A", "B"]),
        st.integers(NOW - 50, NOW + 50),
    ),
    st.just({"ev": "status", "status": "success", "message": "hello"}),
    st.just({"ev": "T", "sym": "A"}),
)
TOPICS = st.sets(
    st.sampled_from([("T", "A"), ("T", "*"), ("Q", "B"), ("A", "A"), ("LULD", "*"), ("*", "*")]), min_size=1
)


def own_time(event: dict[str, Any]) -> int | None:
    if "e" in event:
        return int(event["e"])
    if event["ev"] == "LULD":
        return int(event["t"]) // 1_000_000
    return event.get("t")


def takes(topics: set[tuple[str, str]], event: dict[str, Any]) -> bool:
    symbol = event.get("sym", event.get("T"))
    return any(kind in (event["ev"], "*") and wanted in (symbol, "*") for kind, wanted in topics)


@settings(deadline=None)
@given(
    st.lists(st.lists(EVENTS, min_size=1, max_size=6), max_size=12),
    TOPICS,
    st.integers(NOW - 60, NOW + 60),
    st.integers(0, 12),
    st.sampled_from([1, 200, ALL]),
)
def test_a_replay_brings_what_a_client_would_have_got(
    messages: list[list[dict[str, Any]]], topics: set[tuple[str, str]], since: int, seam: int, step: int
) -> None:
    """Kept events from a time on, then all that came after the seam: each once, byte for byte, in order."""
    history = History(max_bytes=1 << 20, span_ms=10_000_000_000)
    main = Fanout(history=history)
    private, sink = Fanout(), Sink()
    private.subscribe(private.add_client(sink), topics)
    payloads = [json.dumps(events).encode() for events in messages]
    for payload in payloads[:seam]:
        main.feed(0, payload)
    boundary = history.next
    for payload in payloads[seam:]:
        main.feed(0, payload)
    received = {number: at for number, (_, at, _) in enumerate(history.messages(0))}
    cursor = 0
    while cursor < boundary:
        cursor = private.replay(history, cursor, boundary, since=since, max_bytes=step)
    while cursor < history.next:
        cursor = private.replay(history, cursor, ALL, max_bytes=step)
    expected: list[bytes] = []
    number = 0
    for index, payload in enumerate(payloads):
        events = [(raw, json.loads(raw)) for raw in split_events(payload)]
        market = [(raw, event) for raw, event in events if event["ev"] != "status"]
        if not market:
            continue
        for raw, event in market:
            time = own_time(event)
            fresh = index >= seam or (received[number] if time is None else time) >= since
            if fresh and takes(topics, event):
                expected.append(raw)
        number += 1
    assert sink.events == expected


def test_a_reader_that_is_overtaken_goes_on_with_the_oldest() -> None:
    history = History(max_bytes=1 << 20, span_ms=1_000)
    fanout, sink = Fanout(), Sink()
    fanout.subscribe(fanout.add_client(sink), [("T", "*")])
    for number in range(10):
        history.append(0, array(trade("A", NOW + number)), now=NOW + 200 * number)
    assert history.first > 0
    assert fanout.replay(history, 0, ALL, max_bytes=ALL) == 10
    assert sink.events == [trade("A", NOW + number) for number in range(history.first, 10)]


def test_events_count_from_their_source_in_a_replay_too() -> None:
    history = History(max_bytes=1 << 20, span_ms=1_000)
    fanout, sink = Fanout(), Sink()
    fanout.set_sources("T", [0])
    fanout.subscribe(fanout.add_client(sink), [("T", "A")])
    history.append(0, array(trade("A", NOW)), now=NOW)
    history.append(1, array(trade("A", NOW + 1)), now=NOW)
    fanout.replay(history, 0, ALL, max_bytes=ALL)
    assert sink.events == [trade("A", NOW)]


def test_a_broadcast_keeps_what_it_sends_message_for_message() -> None:
    history = History(max_bytes=1 << 20, span_ms=1_000)
    broadcast, sink = Broadcast(max_message=100, history=history), Sink()
    broadcast.add_client(sink)
    status = b'{"ev":"status","status":"success","message":""}'
    for payload in (
        array(trade("A", NOW)),
        array(status),
        array(status, trade("B", NOW), trade("C", NOW)),
        array(*(trade("D", NOW + number) for number in range(5))),
        b"[]",
        trade("E", NOW),
    ):
        broadcast.feed(payload)
    broadcast.flush()
    assert [payload for _, _, payload in history.messages(0)] == sink.messages
    assert max(map(len, sink.messages)) <= 100
    again, repeated = Broadcast(), Sink()
    again.add_client(repeated)
    cursor = 1
    while cursor < history.next:
        cursor = again.replay(history, cursor, ALL, max_bytes=1)
    assert repeated.messages == sink.messages[1:]


@pytest.mark.parametrize("distributor", [Fanout, Broadcast])
def test_what_comes_after_a_time_counts_as_received_then_or_later(
    distributor: type[Fanout | Broadcast],
) -> None:
    """By a clock that lags a few milliseconds it was received before, and what is kept is complete without it."""
    history = History(max_bytes=1 << 20, span_ms=10_000_000_000)
    distribute = distributor(history=history)
    for number in range(200):
        before = unix_ms()
        payload = array(trade("A", number))
        distribute.feed(0, payload) if isinstance(distribute, Fanout) else distribute.feed(payload)
        ((_, received, _),) = history.messages(number)
        assert before <= received <= unix_ms()
