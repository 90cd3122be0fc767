"""Matching, collecting and flushing against an oracle that decodes everything with a JSON library."""

import json
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from market_data import SYMBOLS, Pairs, decode, event_texts, frames, meaning, split_events

from fproxy._fastpath import Fanout, FrameError, History, ReentrancyError, Snapshots
from fproxy.core.topics import Topic, parse_topic

MAX_MESSAGE = 400
TYPES = ["T", "Q", "A", "AM", "LULD", "FMV", "XT", "C", "V", "100Ms", "250Ms", "60000Ms"]
FIREHOSE, AGGREGATOR = 0, 1
SOURCES = {"A": {AGGREGATOR}, "AM": {AGGREGATOR}, "Ms": {AGGREGATOR}, "T": {FIREHOSE}, "Q": {FIREHOSE}}

topics = st.one_of(
    st.just("*"),
    st.sampled_from(TYPES).map("{}.*".format),
    st.builds("{}.{}".format, st.sampled_from(TYPES), st.sampled_from(SYMBOLS)),
)


def unframe(data: bytes) -> list[bytes]:
    """Split server-side WebSocket frames, checking them against RFC 6455, section 5.2."""
    messages = []
    while data:
        assert data[0] == 0x81, "a final text frame"
        length, header = data[1], 2
        if length == 126:
            length, header = int.from_bytes(data[2:4], "big"), 4
            assert length > 125, "the shortest header"
        elif length == 127:
            length, header = int.from_bytes(data[2:10], "big"), 10
            assert length > 65535, "the shortest header"
        assert len(data) >= header + length
        messages.append(data[header : header + length])
        data = data[header + length :]
    return messages


def takes(subscriptions: set[str], event: Pairs, source: int) -> bool:
    """The oracle: whether a client with these subscriptions gets an event."""
    found = meaning(event)
    if found.is_status:
        return False
    if source not in SOURCES.get("Ms" if found.is_bar else found.event_type or "", {FIREHOSE, AGGREGATOR}):
        return False
    event_types = [found.event_type]
    if found.is_bar:
        if found.interval_ms == 0:
            event_types = [
                topic.split(".")[0] for topic in subscriptions if topic.split(".")[0].endswith("Ms")
            ]
        elif found.interval_ms is not None:
            event_types = [f"{found.interval_ms}Ms"]
    elif "*" in subscriptions:
        return True
    return any(
        f"{name}.*" in subscriptions or f"{name}.{found.symbol}" in subscriptions for name in event_types
    )


class Client:
    def __init__(self, fanout: Fanout) -> None:
        self.received: list[bytes] = []
        self.expected: list[bytes] = []
        self.subscriptions: set[str] = set()
        self.number = fanout.add_client(self)

    def write(self, data: bytes) -> None:
        for message in unframe(data):
            events = split_events(message)
            assert message == b"[" + b",".join(events) + b"]"
            assert len(message) <= MAX_MESSAGE or len(events) == 1
            self.received += events


def parsed(texts: list[str]) -> list[Any]:
    return [parse_topic(text) for text in texts]


class FanoutMachine(RuleBasedStateMachine):
    """Clients come and go, subscribe and unsubscribe while messages flow from two upstreams."""

    @initialize(keeps=st.booleans())
    def start(self, keeps: bool) -> None:
        # Events that are kept, too, are matched another way.
        self.fanout = Fanout(
            max_message=MAX_MESSAGE, snapshots=Snapshots(max_bytes=100_000) if keeps else None
        )
        for event_type, sources in SOURCES.items():
            self.fanout.set_sources(event_type, sources)
        self.clients: list[Client] = []

    @rule()
    @precondition(lambda self: len(self.clients) < 6)
    def connect(self) -> None:
        self.clients.append(Client(self.fanout))

    @rule(data=st.data())
    @precondition(lambda self: self.clients)
    def disconnect(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self.clients.remove(client)
        self.fanout.remove_client(client.number)
        assert client.received == client.expected
        with pytest.raises(KeyError):
            self.fanout.subscribe(client.number, [])

    @rule(data=st.data(), texts=st.lists(topics, max_size=5))
    @precondition(lambda self: self.clients)
    def subscribe(self, data: st.DataObject, texts: list[str]) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self.fanout.subscribe(client.number, parsed(texts))
        client.subscriptions.update(texts)

    @rule(data=st.data(), texts=st.lists(topics, max_size=5))
    @precondition(lambda self: self.clients)
    def unsubscribe(self, data: st.DataObject, texts: list[str]) -> None:
        client = data.draw(st.sampled_from(self.clients))
        texts = texts + sorted(client.subscriptions)[: data.draw(st.integers(0, 5))]
        self.fanout.unsubscribe(client.number, parsed(texts))
        client.subscriptions.difference_update(texts)

    @rule(data=st.data())
    @precondition(lambda self: len(self.clients) > 1)
    def imitate(self, data: st.DataObject) -> None:
        """Two clients with equal subscriptions, by different ways."""
        one, other = data.draw(st.permutations(self.clients))[:2]
        self.fanout.subscribe(one.number, parsed(sorted(other.subscriptions)))
        self.fanout.unsubscribe(one.number, parsed(sorted(one.subscriptions - other.subscriptions)))
        one.subscriptions = set(other.subscriptions)

    @rule(frame=frames(), source=st.sampled_from([FIREHOSE, AGGREGATOR]))
    def feed(self, frame: bytes, source: int) -> None:
        statuses = self.fanout.feed(source, frame)
        decoded = decode(frame)
        events = [decoded] if isinstance(decoded, Pairs) else [e for e in decoded if isinstance(e, Pairs)]
        for raw, event in zip(split_events(frame), events, strict=True):
            for client in self.clients:
                if takes(client.subscriptions, event, source):
                    client.expected.append(raw)
        assert statuses is None

    @rule(text=event_texts())
    def feed_broken(self, text: bytes) -> None:
        with pytest.raises(FrameError):
            self.fanout.feed(FIREHOSE, b"[" + text + b"," + text + b",]")

    @rule()
    def settle(self) -> None:
        while self.fanout.settle():
            pass
        subscribed = [client.subscriptions for client in self.clients if client.subscriptions]
        assert self.fanout.audiences == len({frozenset(subscriptions) for subscriptions in subscribed})

    @rule()
    def flush(self) -> None:
        self.fanout.flush()
        assert not self.fanout.has_pending
        for client in self.clients:
            assert client.received == client.expected

    @invariant()
    def counts(self) -> None:
        if not hasattr(self, "clients"):
            return
        exact = {t for client in self.clients for t in client.subscriptions if not t.endswith("*")}
        assert self.fanout.exact_topics == len(exact)


FanoutMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestFanoutMachine = FanoutMachine.TestCase


class Sink:
    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write


@pytest.fixture
def received() -> list[bytes]:
    return []


@pytest.fixture
def sink(received: list[bytes]) -> Sink:
    return Sink(received.append)


def trade(symbol: str, **more: Any) -> bytes:
    return json.dumps({"ev": "T", "sym": symbol, **more}, separators=(",", ":")).encode()


def test_an_event_comes_once_however_many_topics_match(sink: Sink, received: list[bytes]) -> None:
    fanout = Fanout()
    client = fanout.add_client(sink)
    fanout.subscribe(client, parsed(["T.AAPL", "T.*", "*", "T.AAPL"]))
    fanout.feed(0, b"[" + trade("AAPL") + b"]")
    fanout.flush()
    assert [unframe(data) for data in received] == [[b"[" + trade("AAPL") + b"]"]]


def test_status_events_are_returned_and_go_to_no_client(sink: Sink, received: list[bytes]) -> None:
    fanout = Fanout()
    fanout.subscribe(fanout.add_client(sink), parsed(["*"]))
    status = b'{"ev":"status","status":"error","message":"not authorized"}'
    assert fanout.feed(0, b"[" + status + b"," + trade("AAPL") + b"," + status + b"]") == [status, status]
    fanout.flush()
    assert unframe(received[0]) == [b"[" + trade("AAPL") + b"]"]


def test_types_and_symbols_that_begin_alike_are_told_apart(sink: Sink, received: list[bytes]) -> None:
    fanout = Fanout()
    fanout.subscribe(fanout.add_client(sink), parsed(["T.AAPL", "T.ABCDEFGHI"]))
    others = [
        ("T\0", "AAPL"),
        ("T", "AAPL\0"),
        ("TT", "AAPL"),
        ("T", "AAP"),
        ("T", "ABCDEFGH"),
        ("T", "ABCDEFGHIJ"),
    ]
    fanout.feed(0, json.dumps([{"ev": event_type, "sym": symbol} for event_type, symbol in others]).encode())
    fanout.feed(0, b"[" + trade("ABCDEFGHI") + b"]")
    fanout.flush()
    assert [unframe(data) for data in received] == [[b"[" + trade("ABCDEFGHI") + b"]"]]


@pytest.mark.parametrize("other_topics", [0, 20_000])
def test_symbols_of_every_length_are_told_apart(sink: Sink, received: list[bytes], other_topics: int) -> None:
    """In few topics, and in so many that their memory is fetched beforehand."""
    fanout = Fanout()
    symbols = [("O:ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" * 2)[:length] for length in range(1, 70)]
    taken = [Topic("T", symbol) for symbol in symbols]
    fanout.subscribe(
        fanout.add_client(sink), [*taken, *(Topic("T", f"O:X{n:012}") for n in range(other_topics))]
    )
    others = [symbol[:at] + "-" + symbol[at + 1 :] for symbol in symbols for at in range(len(symbol))]
    for symbol in (*others, *symbols):
        fanout.feed(0, b"[" + trade(symbol) + b"]")
    fanout.feed(0, b"[" + b",".join(map(trade, others + symbols)) + b"]")
    fanout.flush()
    events = [event for data in received for message in unframe(data) for event in split_events(message)]
    assert events == [trade(symbol) for symbol in symbols] * 2


@pytest.mark.parametrize("size", [1, 2, 50, 125, 126, 127, 1000, 65_534, 65_535, 65_536, 65_537, 300_000])
@pytest.mark.parametrize("before", [0, 1, 40])
def test_messages_of_every_size(sink: Sink, received: list[bytes], size: int, before: int) -> None:
    """One long event among short ones: header sizes change, and nothing is split but between events."""
    fanout = Fanout(max_message=65_536)
    fanout.subscribe(fanout.add_client(sink), parsed(["*"]))
    events = [trade("A")] * before + [trade("B", x="y" * size)] + [trade("C")] * before
    for event in events:
        fanout.feed(0, b"[" + event + b"]")
    fanout.flush()
    messages = unframe(b"".join(received))
    assert [event for message in messages for event in split_events(message)] == events
    assert all(len(message) <= 65_536 or len(split_events(message)) == 1 for message in messages)


def test_memory_stays_bounded_without_a_flush(sink: Sink, received: list[bytes]) -> None:
    fanout = Fanout()
    fanout.subscribe(fanout.add_client(sink), parsed(["*"]))
    frame = b"[" + b",".join([trade("A", x="y" * 1000)] * 1000) + b"]"
    for _ in range(20):
        fanout.feed(0, frame)
    assert received, "what passed the limit was written without being asked for"
    fanout.flush()
    assert sum(len(split_events(m)) for data in received for m in unframe(data)) == 20_000


def test_a_long_message_is_given_out_in_pieces(received: list[bytes]) -> None:
    """Each piece goes out, to those who take it, while it is in the cache and fits one packet of the kernel's."""
    fanout = Fanout()
    others: list[bytes] = []
    fanout.subscribe(fanout.add_client(SimpleNamespace(write=received.append)), parsed(["*"]))
    fanout.subscribe(fanout.add_client(SimpleNamespace(write=others.append)), parsed(["T.B"]))
    events = [trade("B" if number % 3 == 0 else "A", n=number) for number in range(5_000)]
    fanout.feed(0, b"[" + b",".join(events) + b"]")
    assert sum(map(len, received)) > 0.7 * sum(map(len, events))
    fanout.flush()
    assert max(map(len, received)) < 65_160
    assert [
        event for data in received for message in unframe(data) for event in split_events(message)
    ] == events
    assert [
        event for data in others for message in unframe(data) for event in split_events(message)
    ] == events[::3]


def test_an_audience_shares_one_object(sink: Sink, received: list[bytes]) -> None:
    fanout = Fanout()
    for _ in range(3):
        fanout.subscribe(fanout.add_client(sink), parsed(["T.AAPL"]))
    assert fanout.audiences == 1
    fanout.feed(0, b"[" + trade("AAPL") + b"]")
    fanout.flush()
    assert len(received) == 3
    assert len({id(data) for data in received}) == 1


def test_a_failing_client_harms_no_other(
    sink: Sink, received: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    fanout = Fanout()

    def fail(data: bytes) -> None:
        raise RuntimeError("gone")

    for one in (Sink(fail), sink):
        fanout.subscribe(fanout.add_client(one), parsed(["T.AAPL"]))
    fanout.feed(0, b"[" + trade("AAPL") + b"]")
    fanout.flush()
    assert len(received) == 1
    assert "gone" in caplog.text


MEDDLING: dict[str, Callable[[Fanout, int], object]] = {
    "feed": lambda fanout, _: fanout.feed(0, b"[" + trade("MSFT") + b"]"),
    "publish": lambda fanout, _: fanout.publish(parse_topic("T.MSFT"), trade("MSFT")),
    "flush": lambda fanout, _: fanout.flush(),
    "subscribe": lambda fanout, client: fanout.subscribe(client, parsed(["T.MSFT"])),
    "unsubscribe": lambda fanout, client: fanout.unsubscribe(client, parsed(["T.AAPL"])),
    "add": lambda fanout, _: fanout.add_client(Sink(lambda _: None)),
    "remove": lambda fanout, client: fanout.remove_client(client),
    "mute": lambda fanout, client: fanout.mute(client),
    "settle": lambda fanout, _: fanout.settle(),
}


@pytest.mark.parametrize("meddle", MEDDLING.values(), ids=MEDDLING.keys())
def test_a_sink_cannot_change_the_fanout_that_writes_to_it(
    sink: Sink, received: list[bytes], meddle: Callable[[Fanout, int], object]
) -> None:
    fanout = Fanout()
    refusals: list[Exception] = []

    def meddle_once(data: bytes) -> None:
        try:
            meddle(fanout, second)
        except ReentrancyError as error:
            refusals.append(error)

    first = fanout.add_client(Sink(meddle_once))
    second, third = fanout.add_client(sink), fanout.add_client(sink)
    for client in (first, second):
        fanout.subscribe(client, parsed(["T.AAPL"]))
    fanout.subscribe(third, parsed(["T.MSFT"]))
    message = b"[" + trade("AAPL") + b"," + trade("MSFT") + b"]"
    fanout.feed(0, message)
    fanout.flush()
    assert len(refusals) == 1
    assert sorted(unframe(b"".join(received))) == [b"[" + trade("AAPL") + b"]", b"[" + trade("MSFT") + b"]"]
    fanout.unsubscribe(first, parsed(["T.AAPL"]))
    received.clear()
    fanout.feed(0, message)
    fanout.flush()
    assert len(received) == 2, "it goes on afterwards"


def test_a_storm_of_single_subscriptions_makes_equal_clients_one_audience_in_the_end(sink: Sink) -> None:
    fanout = Fanout()
    clients = [fanout.add_client(sink) for _ in range(3)]
    symbols = [f"S{i}" for i in range(500)]
    for symbol in symbols:
        for client in clients:
            fanout.subscribe(client, [("T", symbol)])
    while fanout.settle():
        pass
    assert fanout.audiences == 1
    assert fanout.exact_topics == 500
    for client in clients:
        fanout.unsubscribe(client, [("T", symbol) for symbol in symbols])
    assert (fanout.audiences, fanout.exact_topics) == (0, 0)


def test_unknown_clients_and_sources_are_refused(sink: Sink) -> None:
    fanout = Fanout()
    with pytest.raises(KeyError):
        fanout.subscribe(0, [])
    with pytest.raises(ValueError, match="source 32"):
        fanout.feed(32, b"[]")
    with pytest.raises(ValueError, match="max_message"):
        Fanout(max_message=1)


def test_what_is_no_topic_leaves_nothing_behind(sink: Sink) -> None:
    fanout = Fanout()
    client = fanout.add_client(sink)
    for wrong in (("T", 5), ("T",), None):
        with pytest.raises((TypeError, ValueError)):
            fanout.subscribe(client, [("T", "A"), ("100Ms", "*"), wrong])  # type: ignore[list-item]
        assert fanout.exact_topics == 0
        assert fanout.audiences == 0


def test_what_a_client_of_many_topics_leaves_behind_is_taken_out_in_steps() -> None:
    fanout = Fanout()
    gone: list[bytes] = []
    kept: list[bytes] = []
    count = 10_000
    client = fanout.add_client(Sink(gone.append))
    topics = [("T", f"S{number}") for number in range(count)]
    fanout.subscribe(client, topics)
    fanout.subscribe(fanout.add_client(Sink(kept.append)), [("T", "S7"), ("T", "*"), ("Q", "S8")])
    before = fanout.exact_topics
    fanout.remove_client(client)
    left = [before, fanout.exact_topics]
    more = True
    while more:
        more = fanout.settle()
        left.append(fanout.exact_topics)
        fanout.feed(0, b'[{"ev":"T","sym":"S7"},{"ev":"T","sym":"S9999"},{"ev":"Q","sym":"S7"}]')
    fanout.flush()
    assert all(earlier - later <= 1_000 for earlier, later in pairwise(left)), "no step is longer"
    assert left[-1] == 2
    assert fanout.audiences == 1
    assert not gone
    events = [event for framed in kept for message in unframe(framed) for event in split_events(message)]
    assert len(events) == 2 * (len(left) - 2)


def test_who_takes_over_the_topics_of_a_client_that_is_gone_keeps_them() -> None:
    fanout = Fanout()
    kept: list[bytes] = []
    topics = [("T", f"S{number}") for number in range(3_000)]
    client = fanout.add_client(Sink([].append))
    fanout.subscribe(client, topics)
    fanout.remove_client(client)
    other = fanout.add_client(Sink(kept.append))
    for first in range(0, len(topics), 200):
        fanout.subscribe(other, topics[first : first + 200])
        fanout.unsubscribe(other, topics[first : first + 100])
    while fanout.settle():
        pass
    assert fanout.exact_topics == 1_500
    for _, symbol in topics:
        fanout.feed(0, b'[{"ev":"T","sym":"%b"}]' % symbol.encode())
    fanout.flush()
    events = [event for framed in kept for message in unframe(framed) for event in split_events(message)]
    assert len(events) == 1_500
    assert fanout.events_collected == 1_500


def test_what_is_known_already_is_left_out_and_of_a_bar_that_is_built_once_more_too(
    sink: Sink, received: list[bytes]
) -> None:
    def bar(symbol: str, start: int, close: float) -> bytes:
        return (
            b'{"ev":"100Ms","sym":"%b","T":"b","S":"%b","o":1,"h":2,"l":1,"c":%f,"v":9,"vw":1.5,"n":2,"s":%d,"e":%d}'
            % (symbol.encode(), symbol.encode(), close, start, start + 100)
        )

    history = History(max_bytes=1 << 20, span_ms=60_000)
    fanout = Fanout(history=history)
    client = fanout.add_client(sink)
    fanout.subscribe(client, parsed(["T.*", "100Ms.*"]))
    upstream = fanout.input(0)
    upstream(b"[%b,%b]" % (trade("A", q=1), bar("A", 100, 1.5)))
    upstream.leave_out(history, history.first)
    upstream(b"[%b,%b]" % (trade("A", q=1), trade("A", q=2)))
    upstream(b"[%b,%b,%b]" % (bar("A", 100, 1.75), bar("A", 200, 1.5), bar("B", 100, 1.5)))
    fanout.flush()
    events = [event for data in received for message in unframe(data) for event in json.loads(message)]
    first = [trade("A", q=1), bar("A", 100, 1.5)]
    assert events == [
        json.loads(event) for event in (*first, trade("A", q=2), bar("A", 200, 1.5), bar("B", 100, 1.5))
    ]
