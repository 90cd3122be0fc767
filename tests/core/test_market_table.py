"""The table of markets, against the vendor's specification and the official Python client."""

import pytest
from massive.websocket.models import MARKET_EVENT_MAP
from massive.websocket.models import Market as OfficialMarket

from fproxy.core.market import KNOWN_EVENT_TYPES, MARKETS, STOCKS, Market, TimeUnit, Upstream


def test_there_is_every_market_that_the_official_client_knows() -> None:
    assert set(MARKETS) == {market.value for market in OfficialMarket}


@pytest.mark.parametrize("official", OfficialMarket, ids=lambda market: market.value)
def test_each_has_the_event_types_that_the_official_client_parses_there(official: OfficialMarket) -> None:
    assert set(MARKETS[official.value].event_types) == set(MARKET_EVENT_MAP[official])


@pytest.mark.parametrize("market", MARKETS.values(), ids=lambda market: market.name)
def test_an_entry_is_sound(market: Market) -> None:
    assert market.path == f"/{market.name}"
    assert market.bars_from is None or market.bars_from.event_type in market.event_types
    assert market.types_from(Upstream.AGGREGATOR) == set(market.event_types) & {"A", "AM"}
    for event_type in market.event_types.values():
        assert event_type.has_wildcard or not event_type.in_everything
    asked = [text for upstream in Upstream for text in market.wildcards(upstream)]
    assert len(set(asked)) == len(asked) > 0


def test_stocks_are_as_documented() -> None:
    assert STOCKS.wildcards(Upstream.FIREHOSE) == ("T.*", "Q.*", "LULD.*", "FMV.*")
    assert STOCKS.wildcards(Upstream.AGGREGATOR) == ("A.*", "AM.*")
    assert STOCKS.event_types["LULD"].symbol_key == "T"
    assert STOCKS.event_types["LULD"].time_unit is TimeUnit.NANOSECONDS
    assert {
        *("T", "Q", "A", "AM", "LULD", "NOI", "FMV", "LV", "V"),
        *("XT", "XQ", "XL2", "XA", "XAS", "CA", "CAS", "C"),
    } == KNOWN_EVENT_TYPES


@pytest.mark.parametrize(
    ("market", "event_type", "spelled"),
    [
        ("stocks", "T", "EUR-USD"),
        ("forex", "C", "EUR/USD"),
        ("forex", "CAS", "EUR/USD"),
        ("forex", "FMV", "C:EURUSD"),
        ("forex", "AM", "C:EUR-USD"),
        ("crypto", "XT", "EUR-USD"),
        ("crypto", "LV", "X:EUR-USD"),
    ],
)
def test_events_spell_symbols_as_documented(market: str, event_type: str, spelled: str) -> None:
    spelling = MARKETS[market].event_types[event_type].spelling
    assert spelling.prefix + spelling.separator.join("EUR-USD".split("-")) == spelled


def test_settings_are_named_after_the_market() -> None:
    assert MARKETS["futures/cme"].setting_suffix == "FUTURES_CME"
