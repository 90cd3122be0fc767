"""Topics of all symbols that begin alike: grammar, spelling, what covers them, what they bring, how many may be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy._fastpath import Fanout, scan
from fproxy.core.bar_allowance import BarAllowance
from fproxy.core.bar_wants import BarWants
from fproxy.core.client_keys import ClientKeys
from fproxy.core.control import Session, Subscribe, Unsubscribe
from fproxy.core.market import MARKETS, Market, Upstream
from fproxy.core.market_topics import parse_market_topic
from fproxy.core.prefix_allowance import PrefixAllowance
from fproxy.core.routes import aggregator_route, filtered_proxy_route, firehose_route
from fproxy.core.spelling import event_topics, matcher, own_spelling
from fproxy.core.status_replies import Reply
from fproxy.core.topics import EVERYTHING, Topic, TopicError, is_covered, parse_topic

FOREX, OPTIONS = MARKETS["forex"], MARKETS["options"]


@pytest.mark.parametrize("text", ["T.O:SPY*", "T.A*", "100Ms.BRK.*", "ZZ.A*", "V.I:S*"])
def test_a_prefix_is_a_topic(text: str) -> None:
    topic = parse_topic(text)
    assert topic.text == text
    assert topic.is_prefix
    assert topic.covering == Topic(topic.event_type, "*")


@pytest.mark.parametrize("text", ["T.AAPL", "T.*", "*"])
def test_no_other_topic_is_one(text: str) -> None:
    topic = parse_topic(text)
    assert not topic.is_prefix
    assert topic.covering is topic


@pytest.mark.parametrize(
    ("market", "text", "matched"),
    [
        ("options", "T.O:SPY*", "T.O:SPY*"),
        ("forex", "C.EUR*", "C.EUR*"),
        ("forex", "C.EUR-*", "C.EUR*"),
        ("forex", "C.EUR/U*", "C.EUR/U* C.EUR-U*"),
        ("forex", "FMV.C:EUR*", "FMV.C:EUR* FMV.EUR*"),
        ("forex", "FMV.EURU*", "FMV.C:EURU* FMV.EUR-U*"),
        ("crypto", "FMV.X:BTC-*", "FMV.X:BTC-* FMV.BTC-*"),
        ("crypto", "XT.BT*", "XT.BT*"),
    ],
)
def test_a_prefix_in_any_spelling(market: str, text: str, matched: str) -> None:
    topic = parse_market_topic(MARKETS[market], text)
    assert " ".join(one.text for one in event_topics(MARKETS[market], topic)) == matched


STEMS = st.text(st.sampled_from("EURXC:-/"), min_size=1, max_size=8).filter(
    # A pair has one separator: texts with more are of no symbol in any spelling.
    lambda stem: stem[-1] != ":" and stem.count("-") + stem.count("/") <= 1
)
SPELLED = st.sampled_from([FOREX, MARKETS["crypto"]])


@given(market=SPELLED, event_type=st.sampled_from(["C", "FMV", "AM", "ZZ"]), one=STEMS, other=STEMS)
def test_no_event_spelling_is_of_two_prefixes(market: Market, event_type: str, one: str, other: str) -> None:
    first, second = (own_spelling(market, Topic(event_type, f"{stem}*")) for stem in (one, other))
    assert own_spelling(market, first) == first
    if first != second:
        assert not set(event_topics(market, first)) & set(event_topics(market, second))


def test_a_prefix_where_the_vendor_has_no_wildcard_is_refused() -> None:
    with pytest.raises(
        TopicError, match=r"no wildcard: options have Q for one symbol at a time only: 'Q\.O:SPY\*'"
    ):
        parse_market_topic(OPTIONS, "Q.O:SPY*")


def test_the_wildcard_is_asked_of_the_upstream() -> None:
    trades, bars = parse_topic("T.O:SPY*"), parse_topic("100Ms.O:SPY*")
    assert tuple(filtered_proxy_route(OPTIONS)(trades)) == ((Upstream.FIREHOSE, "T.*"),)
    assert tuple(filtered_proxy_route(OPTIONS)(bars)) == ((Upstream.AGGREGATOR, "100Ms.*"),)
    assert tuple(aggregator_route(OPTIONS)(bars)) == ((Upstream.FIREHOSE, "T.*"),)
    assert tuple(firehose_route(OPTIONS)(trades)) == ((Upstream.FIREHOSE, "T.*"),)


SYMBOLS = st.text(st.sampled_from("AB"), min_size=1, max_size=3)
ANY_TOPICS = st.builds(
    Topic, st.sampled_from(["T", "Q", "100Ms"]), st.one_of(SYMBOLS, SYMBOLS.map("{}*".format), st.just("*"))
) | st.just(EVERYTHING)


def brings(topic: Topic, event_type: str, symbol: str) -> bool:
    if topic.is_everything:
        return event_type != "100Ms"
    if topic.event_type != event_type:
        return False
    return symbol == topic.symbol or (topic.symbol.endswith("*") and symbol.startswith(topic.symbol[:-1]))


@given(topic=ANY_TOPICS, others=st.sets(ANY_TOPICS, max_size=4))
def test_what_covers_a_topic(topic: Topic, others: set[Topic]) -> None:
    """One of the others brings, for every symbol that there may be, what the topic brings."""
    symbols = [first + second + third + "A" for first in "AB" for second in "AB" for third in "AB"]
    if not topic.symbol.endswith("*"):
        symbols = [topic.symbol]
    types = ["T", "Q"] if topic.is_everything else [topic.event_type]
    events = [(kind, symbol) for kind in types for symbol in symbols if brings(topic, kind, symbol)]
    expected = any(other != topic and all(brings(other, *event) for event in events) for other in others)
    if not topic.is_everything:
        assert is_covered(topic, others) == expected


def test_a_client_may_have_so_many_prefixes() -> None:
    allowance = PrefixAllowance(2)
    held: set[Topic] = set()
    first, second, third = (parse_topic(f"T.{letter}*") for letter in "ABC")
    allowance.begin()
    assert [allowance.refusal(topic, held) for topic in (first, second, first)] == [None] * 3
    assert allowance.refusal(third, held) == "too many prefixes, a client may have 2"
    assert allowance.refusal(parse_topic("T.AAPL"), held) is None
    # It was refused one of them elsewhere: that makes room.
    allowance.begin()
    assert allowance.refusal(third, {first}) is None
    held = {first, third}
    assert allowance.refusal(second, held) is not None
    allowance.forget(first)
    assert allowance.refusal(second, {third}) is None


def test_a_session_keeps_to_it() -> None:
    session = Session(keys=ClientKeys(), greets=False, market=OPTIONS)
    list(session.received('{"action":"auth","params":"x"}'))
    held: set[Topic] = set()

    def send(action: str, *texts: str) -> list[str]:
        answers: list[str] = []
        for effect in session.received(json.dumps({"action": action, "params": ",".join(texts)}), held):
            if isinstance(effect, Subscribe):
                held.update(effect.topics)
            elif isinstance(effect, Unsubscribe):
                held.difference_update(effect.topics)
            elif isinstance(effect, Reply):
                answers += [answer["message"] for answer in json.loads(effect.message)]
        return answers

    texts = [f"T.O:{number}*" for number in range(1_001)]
    assert send("subscribe", *texts)[999:] == [
        f"subscribed to: {texts[999]}",
        f"too many prefixes, a client may have 1000: {texts[1_000]}",
    ]
    assert send("subscribe", texts[0]) == [f"subscribed to: {texts[0]}"]
    send("unsubscribe", texts[0])
    assert send("subscribe", texts[1_000]) == [f"subscribed to: {texts[1_000]}"]


def test_bars_of_a_prefix_count_as_bars_of_all_symbols() -> None:
    allowance = BarAllowance(max_wildcards=2, max_intervals=9)
    topics = [parse_topic(text) for text in ("100Ms.A*", "100Ms.*", "200Ms.B*")]
    allowance.begin()
    assert [allowance.refusal(topic, set()) for topic in topics] == [
        None,
        None,
        "too many intervals, a client may have 2 of all symbols",
    ]
    allowance.forget(topics[0])
    assert allowance.refusal(topics[2], set()) is None


class _Builder:
    def __init__(self) -> None:
        self.wanted: list[tuple[int, str]] = []

    def want(self, interval_ms: int, symbol: str) -> None:
        self.wanted.append((interval_ms, symbol))

    def unwant(self, interval_ms: int, symbol: str) -> None:
        self.wanted.remove((interval_ms, symbol))


def test_bars_of_all_symbols_are_built_for_a_prefix_once() -> None:
    builder = _Builder()
    wants = BarWants(builder, linger=0.0)
    topics = [parse_topic(text) for text in ("100Ms.A*", "100Ms.B*", "100Ms.*")]
    for topic in topics:
        wants.acquire(topic)
    assert builder.wanted == [(100, "*")]
    for topic in topics:
        wants.release(topic, 0.0)
    wants.expire(0.0)
    assert builder.wanted == []


class Collector:
    def __init__(self) -> None:
        self.events: list[bytes] = []

    def write(self, frames: bytes) -> None:
        while frames:
            size, header = frames[1], 2
            if size == 126:
                size, header = int.from_bytes(frames[2:4]), 4
            self.events += [event.raw for event in scan(frames[header : header + size])]
            frames = frames[header + size :]


def test_events_come_once_and_in_order_whatever_topics_bring_them() -> None:
    fanout = Fanout()
    collector = Collector()
    client = fanout.add_client(collector)
    texts = ["T.AAPL", "T.AA*", "T.A*", "T.*", "*"]
    events = [
        f'{{"ev":"T","sym":"{symbol}","n":{n}}}' for n, symbol in enumerate(["AAPL", "AA", "A", "B"] * 3)
    ]
    payload = f"[{','.join(events)}]".encode()
    topics = [parse_topic(text) for text in texts]
    fanout.subscribe(client, topics)
    for gone, left in ((4, "AAPL AA A B"), (3, "AAPL AA A"), (0, "AAPL AA A"), (2, "AAPL AA"), (1, "")):
        fanout.unsubscribe(client, [topics[gone]])
        fanout.feed(0, payload)
        fanout.flush()
        assert collector.events == [
            event.encode() for event in events if json.loads(event)["sym"] in left.split()
        ]
        collector.events.clear()
    assert fanout.audiences == 0


def test_an_event_that_does_not_count_from_an_upstream_does_not_count_for_a_prefix() -> None:
    fanout = Fanout()
    collector = Collector()
    fanout.set_sources("T", [0])
    fanout.set_sources("Ms", [1])
    fanout.subscribe(fanout.add_client(collector), [parse_topic("T.A*"), parse_topic("100Ms.A*")])
    trade, bar = b'{"ev":"T","sym":"AA"}', b'{"ev":"100Ms","sym":"AA"}'
    somehow = b'{"T":"b","S":"AA","i":100}'
    for source in (0, 1):
        fanout.feed(source, b"[" + b",".join([trade, bar, somehow]) + b"]")
    fanout.flush()
    assert collector.events == [trade, bar, somehow]


@given(
    wanted=st.lists(STEMS.map(lambda stem: f"C.{stem}*"), min_size=1, max_size=4),
    symbols=st.lists(st.sampled_from(["EUR/USD", "EUR/UXX", "USD/EUR", "CUR/EUR"]), min_size=1),
)
def test_prefixes_of_pairs_bring_what_the_oracle_says(wanted: list[str], symbols: list[str]) -> None:
    fanout = Fanout(event_topics=matcher(FOREX))
    collector = Collector()
    client = fanout.add_client(collector)
    topics = [parse_market_topic(FOREX, text) for text in wanted]
    fanout.subscribe(client, topics)
    events = [f'{{"ev":"C","p":"{symbol}","n":{n}}}' for n, symbol in enumerate(symbols)]
    fanout.feed(0, f"[{','.join(events)}]".encode())
    fanout.flush()
    expected = [
        event.encode()
        for event, symbol in zip(events, symbols, strict=True)
        if any(symbol.replace("/", "-").startswith(topic.symbol[:-1]) for topic in topics)
    ]
    assert collector.events == expected
    fanout.unsubscribe(client, topics)
    assert fanout.audiences == 0
