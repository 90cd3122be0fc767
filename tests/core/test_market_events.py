"""Events of every market through the scanner and the fan-out, against a JSON library and the table of markets."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendor_samples import SAMPLES, Sample

from fproxy._fastpath import Fanout, available_scan_paths, event_time_ms, scan
from fproxy.core.market import MARKETS, EventType, Market, TimeUnit
from fproxy.core.market_topics import parse_market_topic
from fproxy.core.spelling import event_topics, matcher, own_spelling
from fproxy.core.topics import Topic

SAMPLE_IDS = [f"{sample.market}-{sample.topic}" for sample in SAMPLES]
EVENT_TYPES = [(market, event) for market in MARKETS.values() for event in market.event_types.values()]
SYMBOLS = {
    "stocks": ["AAPL", "BRK.B", "BACpL", "NTEST.Q"],
    "options": ["O:SPY251219C00650000", "O:SPY251219C00650001", "O:F251219P00012000"],
    "crypto": ["BTC-USD", "ETH-USD", "1INCH-USD", "BTC-EUR"],
    "forex": ["EUR-USD", "USD-CNH", "USD-EUR", "XAU-USD"],
    "indices": ["I:SPX", "I:NDX", "I:VIX1D"],
    "futures": ["ESZ6", "ESZ6-ESH7", "GCG7"],
}


class Collector:
    """A client's sink that takes WebSocket frames apart into events (RFC 6455, section 5.2)."""

    def __init__(self) -> None:
        self.events: list[bytes] = []

    def write(self, frames: bytes) -> None:
        while frames:
            size, header = frames[1], 2
            if size == 126:
                size, header = int.from_bytes(frames[2:4]), 4
            elif size == 127:
                size, header = int.from_bytes(frames[2:10]), 10
            self.events += [event.raw for event in scan(frames[header : header + size])]
            frames = frames[header + size :]


def client_of(market: Market, *texts: str) -> tuple[Fanout, int, Collector]:
    """Return a fan-out with one client that has topics, the client's number, and what it gets."""
    fanout = Fanout(event_topics=matcher(market))
    collector = Collector()
    client = fanout.add_client(collector)
    fanout.subscribe(client, [parse_market_topic(market, text) for text in texts])
    return fanout, client, collector


def feed(fanout: Fanout, *texts: str) -> None:
    fanout.feed(0, f"[{','.join(texts)}]".encode())
    fanout.flush()


def symbol_of(market: Market, event: dict[str, Any]) -> str:
    """Return an event's symbol, as it spells it, by the table of markets."""
    symbol = event[market.event_types[event["ev"]].symbol_key]
    assert isinstance(symbol, str)
    return symbol


@pytest.mark.parametrize("sample", SAMPLES, ids=SAMPLE_IDS)
def test_a_topic_brings_its_events_as_they_came(sample: Sample) -> None:
    fanout, client, collector = client_of(MARKETS[sample.market], sample.topic)
    feed(fanout, *(other.text for other in SAMPLES if other.market == sample.market))
    expected = [
        other.text.encode()
        for other in SAMPLES
        if (other.market, other.topic) == (sample.market, sample.topic)
    ]
    assert expected
    assert collector.events == expected
    fanout.unsubscribe(client, [parse_market_topic(MARKETS[sample.market], sample.topic)])
    feed(fanout, sample.text)
    assert collector.events == expected
    assert fanout.exact_topics == 0


@pytest.mark.parametrize("sample", SAMPLES, ids=SAMPLE_IDS)
def test_the_events_own_spelling_is_a_topic_too(sample: Sample) -> None:
    market, event = MARKETS[sample.market], json.loads(sample.text)
    fanout, client, collector = client_of(market, f"{event['ev']}.{symbol_of(market, event)}", sample.topic)
    feed(fanout, sample.text)
    assert collector.events == [sample.text.encode()]
    fanout.unsubscribe(client, [parse_market_topic(market, sample.topic)])
    assert fanout.audiences == 0


@pytest.mark.parametrize("sample", SAMPLES, ids=SAMPLE_IDS)
def test_an_events_own_time(sample: Sample) -> None:
    assert event_time_ms(sample.text.encode()) == sample.time


def test_there_is_a_sample_of_every_type_of_every_market() -> None:
    sampled = {(sample.market.partition("/")[0], sample.topic.partition(".")[0]) for sample in SAMPLES}
    assert {(market.name.partition("/")[0], event.name) for market, event in EVENT_TYPES} <= sampled


@st.composite
def events(draw: st.DrawFn) -> tuple[Market, EventType, str, str, int]:
    """Draw an event of any market: the market, the type, the topic's symbol, the text and its time in milliseconds."""
    market, event_type = draw(st.sampled_from(EVENT_TYPES))
    symbol = draw(st.sampled_from(SYMBOLS[market.name.partition("/")[0]]))
    time = draw(st.integers(1_500_000_000_000, 2_000_000_000_000))
    nanoseconds = event_type.time_unit is TimeUnit.NANOSECONDS
    spelled = event_topics(market, Topic(event_type.name, symbol))[0].symbol
    levels = draw(st.lists(st.lists(st.integers(0, 10**6), min_size=2, max_size=2), max_size=3))
    others = {
        "p": 1.5,  # in C and only there the symbol's key
        "s": 100,
        "x": 4,
        "c": [1, 2],
        "b": levels,
        "a": levels,
        "i": draw(st.sampled_from([12, "12", [604]])),
        "pt": time - 1,
        "trft": time - 2,
        "new": draw(st.sampled_from([None, True, {"sym": "AAPL", "ev": "T"}, 'a"b', 1.5e3])),
    }
    body: dict[str, Any] = {key: others[key] for key in draw(st.sets(st.sampled_from(sorted(others))))}
    body |= {"ev": event_type.name, event_type.symbol_key: spelled}
    body[event_type.time_key] = time * 1_000_000 + 385 if nanoseconds else time
    if event_type.time_key == "e":
        body["s"] = time - 1_000
    keys = draw(st.permutations(list(body)))
    separators = draw(st.sampled_from([(",", ":"), (" , ", " : ")]))
    text = json.dumps({key: body[key] for key in keys}, separators=separators)
    return market, event_type, symbol, text, time


@pytest.mark.parametrize("path", available_scan_paths())
@given(drawn=events())
def test_any_event_of_any_market(path: str, drawn: tuple[Market, EventType, str, str, int]) -> None:
    market, event_type, symbol, text, time = drawn
    (event,) = scan(f"[{text}]".encode(), path=path)
    decoded = json.loads(text)
    assert (event.event_type, event.symbol) == (
        decoded["ev"].encode(),
        symbol_of(market, decoded).encode(),
    )
    assert not event.is_status
    assert event_time_ms(text.encode()) == time
    assert own_spelling(market, Topic(decoded["ev"], symbol_of(market, decoded))) == (
        event_type.name,
        symbol,
    )


@given(drawn=st.lists(events(), min_size=1, max_size=8), data=st.data())
def test_clients_get_what_the_oracle_says(
    drawn: list[tuple[Market, EventType, str, str, int]], data: st.DataObject
) -> None:
    market = data.draw(st.sampled_from([one[0] for one in drawn]))
    mine = [one for one in drawn if one[0] is market]
    topics = [Topic(event_type.name, symbol) for _, event_type, symbol, _, _ in mine]
    wanted = data.draw(st.lists(st.sampled_from(topics), unique=True))
    fanout, client, collector = client_of(market, *(topic.text for topic in wanted))
    left = [topic for topic in wanted if data.draw(st.booleans())]
    fanout.unsubscribe(client, [topic for topic in wanted if topic not in left])
    feed(fanout, *(text for *_, text, _ in mine))
    assert collector.events == [
        text.encode() for topic, (*_, text, _) in zip(topics, mine, strict=True) if topic in left
    ]
