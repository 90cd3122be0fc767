"""Every simulated market as its consumers see it: only the bytes of its frames are looked at."""

import datetime
import json
import logging
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from massive.websocket.models import Market as OfficialMarket
from massive.websocket.models import parse

from fproxy._fastpath import event_time_ms
from fproxy.core.market import MARKETS, Market
from fproxy.core.spelling import own_spelling
from fproxy.core.topics import Topic
from fproxy.simulation.market import Frame
from fproxy.simulation.market import Market as SimulatedMarket
from fproxy.simulation.options import contracts
from fproxy.simulation.rosters import ROSTERS

START = 1_767_623_397_250  # a quarter into a second, 2,750 ms before a whole minute
OTHERS = [name for name in ROSTERS if name != "stocks"]  # which have tests of their own
SECOND_BARS = {"crypto": "XAS", "forex": "CAS"}
PRICED = {"crypto": "XT", "forex": "C", "indices": "V"}

Event = dict[str, Any]


def frames_of(name: str, milliseconds: int, *, seed: int = 1) -> list[Frame]:
    market = SimulatedMarket(seed=seed, start=START, rate=1_000, roster=ROSTERS[name])
    return market.advance(START + milliseconds)


@pytest.fixture(scope="module", params=OTHERS)
def name(request: pytest.FixtureRequest) -> str:
    found = request.param
    assert isinstance(found, str)
    return found


@pytest.fixture(scope="module")
def frames(name: str) -> list[Frame]:
    return frames_of(name, 4_000)


@pytest.fixture(scope="module")
def events(frames: list[Frame]) -> list[Event]:
    return [event for frame in frames for event in json.loads(frame.payload, parse_float=Decimal)]


def symbol_of(market: Market, event: Event) -> str:
    spelled = event[market.event_types[event["ev"]].symbol_key]
    return own_spelling(market, Topic(event["ev"], spelled)).symbol


def test_there_is_one_of_every_market() -> None:
    assert set(ROSTERS) == set(MARKETS)


def test_a_market_has_what_a_client_of_everything_asks_for(name: str, events: list[Event]) -> None:
    asked = {event.name for event in MARKETS[name].event_types.values() if event.in_everything}
    assert asked <= {event["ev"] for event in events} <= set(MARKETS[name].event_types)


def test_events_have_the_keys_of_the_table(name: str, frames: list[Frame], events: list[Event]) -> None:
    market = MARKETS[name]
    symbols = set(SimulatedMarket(seed=1, start=START, rate=1, roster=ROSTERS[name]).symbols)
    assert {symbol_of(market, event) for event in events} <= symbols
    for event in events:
        event_type = market.event_types[event["ev"]]
        time = event[event_type.time_key] // event_type.time_unit.value
        assert event_time_ms(json.dumps(event, default=float).encode()) == time
    times = [frame.time for frame in frames]
    assert times == sorted(times)


def test_the_official_client_reads_all_of_it(
    name: str, frames: list[Frame], events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    official = OfficialMarket(name)
    logger = logging.getLogger("test")
    models = [model for frame in frames for model in parse(json.loads(frame.payload), logger, official)]
    assert not caplog.records
    assert len(models) == len(events)
    for model, event in zip(models, events, strict=True):
        assert model.event_type == event["ev"]
        symbol = getattr(model, "symbol", None) or getattr(model, "ticker", None) or model.pair
        assert symbol == event[MARKETS[name].event_types[event["ev"]].symbol_key]


def test_the_same_arguments_give_the_same_bytes_in_whatever_steps(name: str, frames: list[Frame]) -> None:
    assert frames_of(name, 500, seed=2) != frames_of(name, 500)
    market = SimulatedMarket(seed=1, start=START, rate=1_000, roster=ROSTERS[name])
    pieces: list[Frame] = []
    for step in (1, 700, 299, 3_000):
        pieces += market.advance(market.now + step)
    assert pieces == frames


def test_it_goes_on_unheard(name: str, frames: list[Frame]) -> None:
    market = SimulatedMarket(seed=1, start=START, rate=1_000, roster=ROSTERS[name])
    assert market.advance(START + 1_333, render=False) == []
    assert market.advance(START + 4_000) == [frame for frame in frames if frame.time >= START + 1_333]


def test_bars_of_a_second_are_of_what_was_traded_or_quoted(name: str, events: list[Event]) -> None:
    market = MARKETS[name]
    windows: dict[tuple[int, str], list[Event]] = defaultdict(list)
    for event in events:
        if event["ev"] == PRICED.get(name, "T"):
            windows[event["t"] // 1_000 * 1_000, symbol_of(market, event)].append(event)
    checked = 0
    for bar in events:
        if bar["ev"] != SECOND_BARS.get(name, "A"):
            continue
        window = windows[bar["s"], symbol_of(market, bar)]
        prices = [
            (event["a"] + event["b"]) / 2 if name == "forex" else event["val" if name == "indices" else "p"]
            for event in window
        ]
        assert (bar["o"], bar["h"], bar["l"], bar["c"]) == (
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
        )
        if name == "forex":
            assert bar["v"] == len(window)
        elif name == "indices":
            assert "v" not in bar
        else:
            assert bar["v"] == sum(event["s"] for event in window)
        checked += 1
    assert checked >= 10


def test_quotes_and_books_are_in_order(events: list[Event]) -> None:
    for event in events:
        if "bp" in event:
            assert 0 < event["bp"] < event["ap"]
        elif event["ev"] == "C":
            assert 0 < event["b"] < event["a"]
        elif event["ev"] == "XL2":
            bids, asks = ([price for price, _ in event[side]] for side in ("b", "a"))
            assert bids == sorted(bids, reverse=True)
            assert asks == sorted(asks)
            assert bids[0] < asks[0]
            assert len(bids) == len(asks) == 10


def test_options_are_chains_of_contracts_that_have_not_expired() -> None:
    found = contracts(START)
    assert len({contract.symbol for contract in found}) == len(found) > 1_000
    for contract in found:
        parts = re.fullmatch(r"O:([A-Z]{1,5})(\d{6})([CP])(\d{8})", contract.symbol)
        assert parts is not None
        assert "260109" < parts[2] < "260315"
        assert contract.price > 0
    assert len([contract for contract in found if contract.symbol.startswith("O:SPY2")]) == 2 * 5 * 7


@pytest.mark.parametrize(
    ("day", "first"),
    [("2026-01-05", "ESH6"), ("2026-03-14", "ESH6"), ("2026-03-20", "ESM6"), ("2026-12-20", "ESH7")],
)
def test_the_first_future_is_that_of_the_next_quarter(day: str, first: str) -> None:
    start = int(datetime.datetime.fromisoformat(f"{day}T12:00Z").timestamp() * 1_000)
    assert SimulatedMarket(seed=1, start=start, rate=1, roster=ROSTERS["futures"]).symbols[0] == first


def test_each_exchange_has_its_own_products() -> None:
    symbols = {
        name: set(SimulatedMarket(seed=1, start=START, rate=1, roster=ROSTERS[name]).symbols)
        for name in ROSTERS
        if name.startswith("futures")
    }
    exchanges = [found for name, found in symbols.items() if name != "futures"]
    assert len(exchanges) == 4
    assert sum(map(len, exchanges)) == len(symbols["futures"])
    assert set().union(*exchanges) == symbols["futures"]
