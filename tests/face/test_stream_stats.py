"""What came in each second, against counts made otherwise."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.market import MARKETS, EventType, TimeUnit
from fproxy.face import stream_stats
from fproxy.face.event_text import Event, events_in
from fproxy.face.stream_stats import StreamStats, stats_line, stats_record

NOW = 1_788_877_046.0
"""A moment of 2026, in Unix seconds."""


def event(**fields: object) -> Event:
    (only,) = events_in(json.dumps(fields))
    return only


@pytest.mark.parametrize(
    ("event_type", "market"),
    [
        pytest.param(event_type, market, id=f"{market.name} {event_type.name}")
        for market in MARKETS.values()
        for event_type in market.event_types.values()
    ],
)
def test_latency_goes_by_the_time_of_every_type_of_every_market(event_type: EventType, market: Any) -> None:
    window = {"CAS": 1.0, "CA": 60.0}.get(event_type.name, 0.0)
    assert (event_type.time_key == "s") == bool(window)  # such a bar tells nothing but its start
    stamp = round((NOW - window - 0.25) * 1000) * event_type.time_unit.value
    own = {"ev": event_type.name, event_type.symbol_key: "SYM", event_type.time_key: stamp}
    stats = StreamStats()
    stats.take(event(**own), NOW)
    second = stats.second(NOW, 1.0)
    assert second.latency is not None
    assert second.latency.median == pytest.approx(0.25, abs=1e-5)
    assert list(second.latencies) == [event_type.name]
    assert second.symbols == 1


def test_a_nanosecond_type_in_milliseconds_is_understood() -> None:
    """What the documents say and what has been seen differ."""
    assert MARKETS["stocks"].event_types["LULD"].time_unit is TimeUnit.NANOSECONDS
    for unit in (1, 1000, 10**6):
        assert event(ev="LULD", T="A", t=round(NOW * 1000) * unit).own_time == NOW * 1000


def test_millisecond_bars_are_as_old_as_their_end() -> None:
    bar = event(T="b", S="AAPL", s=1736503800000, e=1736503800100)
    assert bar.own_time == 1736503800100
    assert event(ev="A", sym="AAPL", s=1736503800000).own_time is None
    assert event(ev="T", sym="AAPL", t=10**400).own_time is None


EVENTS = st.lists(
    st.tuples(st.sampled_from("TQV"), st.sampled_from("ABCDE"), st.none() | st.integers(-500, 5000)),
    max_size=300,
)


@given(EVENTS, EVENTS)
def test_a_second_holds_what_came_in_it(
    first: list[tuple[str, str, int | None]], then: list[tuple[str, str, int | None]]
) -> None:
    stats = StreamStats()
    seen: set[str] = set()
    for part in (first, then):
        for name, symbol, age in part:
            stats.take_message(100)
            time = {} if age is None else {"t": round(NOW * 1000) - age}
            stats.take(event(ev=name, sym=symbol, **time), NOW)
            seen.add(symbol)
        second = stats.second(NOW, 2.0)
        assert second.events == Counter(name for name, _, _ in part)
        assert second.size == 100 * len(part)
        assert second.symbols == len(seen)
        for name, latency in (*second.latencies.items(), ("TQV", second.latency)):
            ages = [age / 1000 for type_, _, age in part if age is not None and type_ in name]
            if latency is None:
                assert not ages
                continue
            # Nearest rank: the least value that so many of all do not exceed.
            for value, share in ((latency.median, 0.5), (latency.p99, 0.99)):
                assert min(abs(value - age) for age in ages) < 1e-4
                assert sum(age <= value + 1e-4 for age in ages) >= share * len(ages)
                assert sum(age < value - 1e-4 for age in ages) < share * len(ages)


def test_the_line_gives_rates_and_the_record_counts() -> None:
    stats = StreamStats()
    for name in "TTQ":
        stats.take_message(1024)
        stats.take(event(ev=name, sym=name, t=round(NOW * 1000) + 250), NOW)
    second = stats.second(NOW, 0.5)
    assert stats_line(second) == (
        "6 events/s (4 T, 2 Q)  6.0 KiB/s  latency median -250.0 ms p99 -250.0 ms  2 symbols"
    )
    assert stats_record(second) == {
        "time": round(NOW * 1000),
        "seconds": 0.5,
        "events": {"T": 2, "Q": 1},
        "bytes": 3072,
        "latency": {"median": -0.25, "p99": -0.25},
        "latency_by_type": {"T": {"median": -0.25, "p99": -0.25}, "Q": {"median": -0.25, "p99": -0.25}},
        "symbols": 2,
    }
    assert stats_line(stats.second(NOW, 0.0)) == "0 events/s  0 B/s  latency median - p99 -  2 symbols"


def test_symbols_are_told_apart_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_stats, "MAX_SYMBOLS", 2)
    stats = StreamStats()
    for symbol in "ABC":
        stats.take(event(ev="T", sym=symbol), NOW)
    assert stats_line(stats.second(NOW, 1.0)).endswith("2 or more symbols")
