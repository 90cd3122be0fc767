"""Topics and events that spell one symbol differently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.market import MARKETS, Market
from fproxy.core.market_topics import parse_market_topic
from fproxy.core.spelling import event_topics, matcher, own_spelling, spelled_symbol
from fproxy.core.topics import EVERYTHING, Topic, TopicError

CURRENCIES = st.sampled_from(["EUR", "USD", "CNH", "XAU", "BT", "DOGE", "1INCH"])
SYMBOLS = st.one_of(
    st.builds("{}{}{}".format, CURRENCIES, st.sampled_from(["-", "/", ""]), CURRENCIES),
    st.builds(
        "{}:{}{}{}".format, st.sampled_from("CXOI"), CURRENCIES, st.sampled_from(["-", ""]), CURRENCIES
    ),
    st.text(st.sampled_from("AEUR-/:C."), min_size=1, max_size=9),
)
TYPES = st.sampled_from(["C", "CA", "FMV", "LV", "AM", "XT", "XL2", "T", "ZZ", "100Ms"])
SPELLED = st.sampled_from([MARKETS["forex"], MARKETS["crypto"]])


@pytest.mark.parametrize(
    ("market", "written", "own", "matched"),
    [
        ("forex", "C.EUR-USD", "C.EUR-USD", "C.EUR/USD C.EUR-USD"),
        ("forex", "C.EUR/USD", "C.EUR-USD", "C.EUR/USD C.EUR-USD"),
        ("forex", "C.C:EURUSD", "C.EUR-USD", "C.EUR/USD C.EUR-USD"),
        ("forex", "CAS.USD/CNH", "CAS.USD-CNH", "CAS.USD/CNH CAS.USD-CNH"),
        ("forex", "FMV.EUR-USD", "FMV.EUR-USD", "FMV.C:EURUSD FMV.EUR-USD"),
        ("forex", "FMV.C:EURUSD", "FMV.EUR-USD", "FMV.C:EURUSD FMV.EUR-USD"),
        ("forex", "LV.EURUSD", "LV.EUR-USD", "LV.C:EURUSD LV.EUR-USD"),
        ("forex", "AM.C:EUR-USD", "AM.EUR-USD", "AM.C:EUR-USD AM.EUR-USD"),
        ("forex", "100Ms.EUR/USD", "100Ms.EUR-USD", "100Ms.EUR/USD 100Ms.EUR-USD"),
        ("forex", "CX.EUR-USD", "CX.EUR-USD", "CX.EUR/USD CX.C:EURUSD CX.C:EUR-USD CX.EUR-USD"),
        ("forex", "C.*", "C.*", "C.*"),
        ("crypto", "XT.BTC-USD", "XT.BTC-USD", "XT.BTC-USD"),
        ("crypto", "XT.X:BTC-USD", "XT.BTC-USD", "XT.BTC-USD"),
        ("crypto", "FMV.BTC-USD", "FMV.BTC-USD", "FMV.X:BTC-USD FMV.BTC-USD"),
        ("crypto", "AM.X:BTC-USD", "AM.BTC-USD", "AM.X:BTC-USD AM.BTC-USD"),
        ("crypto", "100Ms.BTC-USD", "100Ms.BTC-USD", "100Ms.BTC-USD"),
        ("stocks", "T.BRK.B", "T.BRK.B", "T.BRK.B"),
        ("options", "T.O:SPY251219C00650000", "T.O:SPY251219C00650000", "T.O:SPY251219C00650000"),
        ("indices", "V.I:SPX", "V.I:SPX", "V.I:SPX"),
        ("futures", "T.ESZ6-ESH7", "T.ESZ6-ESH7", "T.ESZ6-ESH7"),
        ("forex", "*", "*", "*"),
    ],
)
def test_each_spelling(market: str, written: str, own: str, matched: str) -> None:
    topic = parse_market_topic(MARKETS[market], written)
    assert topic.text == own
    assert " ".join(one.text for one in event_topics(MARKETS[market], topic)) == matched


def test_the_symbol_of_a_topic_as_the_events_of_its_type_spell_it() -> None:
    assert spelled_symbol(MARKETS["forex"], "C", "EUR-USD") == "EUR/USD"
    assert spelled_symbol(MARKETS["forex"], "C", "*") == "*"
    assert spelled_symbol(MARKETS["crypto"], "XT", "BTC-USD") == "BTC-USD"
    assert spelled_symbol(MARKETS["options"], "T", "O:A251219C00650000") == "O:A251219C00650000"


@given(market=SPELLED, event_type=TYPES, symbol=SYMBOLS)
def test_our_own_spelling_is_one(market: Market, event_type: str, symbol: str) -> None:
    own = own_spelling(market, Topic(event_type, symbol))
    assert own_spelling(market, own) == own


@given(market=SPELLED, event_type=TYPES, symbol=SYMBOLS)
def test_what_events_of_a_topic_are_spelled_like_is_taken_for_that_topic(
    market: Market, event_type: str, symbol: str
) -> None:
    own = own_spelling(market, Topic(event_type, symbol))
    for spelled in event_topics(market, own):
        assert own_spelling(market, spelled) == own


@given(market=SPELLED, event_type=TYPES, one=SYMBOLS, other=SYMBOLS)
def test_no_event_matches_two_topics_of_its_type(
    market: Market, event_type: str, one: str, other: str
) -> None:
    """Else giving up one of them would take the other's events away."""
    first, second = (own_spelling(market, Topic(event_type, symbol)) for symbol in (one, other))
    if first != second:
        assert not set(event_topics(market, first)) & set(event_topics(market, second))


@pytest.mark.parametrize("name", ["stocks", "options", "indices", "futures", "futures/cme"])
@given(symbol=SYMBOLS)
def test_most_markets_have_one_spelling(name: str, symbol: str) -> None:
    topic = Topic("T", symbol)
    assert matcher(MARKETS[name]) is None
    assert own_spelling(MARKETS[name], topic) is topic
    assert event_topics(MARKETS[name], topic) == (topic,)


def test_a_wildcard_that_the_vendor_has_not_is_refused() -> None:
    with pytest.raises(
        TopicError, match=r"no wildcard: options have Q for one symbol at a time only: 'Q\.\*'"
    ):
        parse_market_topic(MARKETS["options"], "Q.*")
    assert parse_market_topic(MARKETS["options"], "T.*") == Topic("T", "*")
    assert parse_market_topic(MARKETS["options"], "*") == EVERYTHING
    assert parse_market_topic(MARKETS["stocks"], "Q.*") == Topic("Q", "*")
