"""The simulator's A and AM bars and the aggregator's bars of a second and a minute: two builders, one rule."""

import json
from decimal import Decimal
from typing import Any

import pytest

from fproxy._bars import BarBuilder
from fproxy.core.market import MARKETS
from fproxy.core.spelling import own_spelling
from fproxy.core.topics import Topic
from fproxy.simulation.market import Market
from fproxy.simulation.rosters import ROSTERS

START = 1_767_623_397_250
FIRST_WHOLE = {1_000: 1_767_623_398_000, 60_000: 1_767_623_400_000}

Key = tuple[str, int, int]


def comparable(bar: dict[str, Any], volume: Decimal) -> tuple[Key, tuple[Any, ...]]:
    """Return which bar this is, and what both forms of bars say of it."""
    return (bar["sym"], bar["s"], bar["e"]), (*(bar[key] for key in ("o", "h", "l", "c", "vw")), volume)


@pytest.mark.parametrize(("event_type", "interval"), [("A", 1_000), ("AM", 60_000)])
def test_bars_of_the_same_trades_are_the_same(event_type: str, interval: int) -> None:
    builder = BarBuilder()
    builder.trades_started("*")
    builder.want(interval, "*")
    native: dict[Key, tuple[Any, ...]] = {}
    built: dict[Key, tuple[Any, ...]] = {}
    end = FIRST_WHOLE[interval] + 2 * 60_000
    for frame in Market(seed=8, start=START, rate=500, symbols=20).advance(end + 100):
        for event in json.loads(frame.payload, parse_float=Decimal):
            if event["ev"] == event_type:
                key, values = comparable(event, Decimal(event["dv"]))
                native[key] = values
        builder.feed(frame.payload, frame.time)
        builder.advance(frame.time)
        for message in builder.collect():
            for bar in json.loads(message, parse_float=Decimal):
                key, values = comparable(bar, Decimal(bar["v"]))
                built[key] = values
    whole = {key: values for key, values in native.items() if FIRST_WHOLE[interval] <= key[1] < key[2] <= end}
    assert len(whole) >= 40
    assert {key: values for key, values in built.items() if key[2] <= end} == whole


@pytest.mark.parametrize(
    ("name", "event_type"),
    [("options", "A"), ("crypto", "XAS"), ("forex", "CAS"), ("indices", "A"), ("futures", "A")],
)
def test_bars_of_the_other_markets_are_the_same_too(name: str, event_type: str) -> None:
    market = MARKETS[name]
    builder = BarBuilder(market)
    builder.trades_started("*")
    builder.want(1_000, "*")
    native: dict[tuple[str, int], list[Any]] = {}
    built: dict[tuple[str, int], list[Any]] = {}
    for frame in Market(seed=8, start=START, rate=500, roster=ROSTERS[name]).advance(START + 6_000):
        for event in json.loads(frame.payload, parse_float=Decimal):
            if event["ev"] == event_type:
                spelled = event[market.event_types[event_type].symbol_key]
                symbol = own_spelling(market, Topic(event_type, spelled)).symbol
                native[symbol, event["s"]] = [event[key] for key in "ohlc"]
        builder.feed(frame.payload, frame.time)
        builder.advance(frame.time)
        for message in builder.collect():
            for bar in json.loads(message, parse_float=Decimal):
                built[bar["sym"], bar["s"]] = [bar[key] for key in "ohlc"]
    whole = {key: values for key, values in native.items() if key[1] >= FIRST_WHOLE[1_000]}
    assert len(whole) >= 20
    assert {key: values for key, values in built.items() if key in whole} == whole
