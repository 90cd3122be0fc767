"""Match: from a message to the events that clients take, for one client with different subscriptions.

A hit or a wildcard brings events to the client, which are collected and written too.
"""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.decoders import topic_of
from benchmarks.market_frames import MarketFrames, busy_market, symbols
from benchmarks.measuring import measure, micro_benchmark
from benchmarks.proxies import PROXIES, Proxy, Sink, filtered_proxy
from benchmarks.references import REFERENCES, reference

MISSED_TOPICS = 10_000


def delivered(sink: Sink, proxy: Proxy, played: MarketFrames) -> list[dict[str, Any]]:
    """Play once and return the events that a client gets, decoded."""
    sink.record()
    proxy.play(played.frames)
    sink.forget()
    return [event for message in sink.messages for event in json.loads(message)]


def check_and_measure(
    benchmark: BenchmarkFixture, name: str, topics: Sequence[str], expected: Sequence[dict[str, Any]]
) -> None:
    """Time a proxy with one client that has these topics, after checking that it gets these events."""
    played = busy_market()
    proxy, sink = filtered_proxy(name), Sink()
    if topics:
        proxy.add_client(sink, topics)
    assert delivered(sink, proxy, played) == expected
    measure(benchmark, lambda: proxy.play(played.frames), played, deliveries_per_call=len(expected))


@micro_benchmark("match: nobody interested")
@pytest.mark.parametrize("program", [*PROXIES, *REFERENCES])
def test_match_nobody(benchmark: BenchmarkFixture, program: str) -> None:
    if program in REFERENCES:
        measure(benchmark, reference(program, busy_market().frames), busy_market())
    else:
        check_and_measure(benchmark, program, [], [])


@micro_benchmark("match: miss, one client with 10,000 other topics")
@pytest.mark.parametrize("program", PROXIES)
def test_match_miss(benchmark: BenchmarkFixture, program: str) -> None:
    others = [f"T.{symbol}{number}" for number in range(100) for symbol in symbols()]
    check_and_measure(benchmark, program, others[:MISSED_TOPICS], [])


@micro_benchmark("match: hit, one client with the trades and quotes of 20 symbols")
@pytest.mark.parametrize("program", PROXIES)
def test_match_hit(benchmark: BenchmarkFixture, program: str) -> None:
    topics = [f"{event_type}.{symbol}" for symbol in symbols()[:20] for event_type in ("T", "Q")]
    expected = [event for event in busy_market().decoded if ".".join(topic_of(event)) in topics]
    assert expected
    check_and_measure(benchmark, program, topics, expected)


@micro_benchmark("match: wildcard, one client with every trade")
@pytest.mark.parametrize("program", PROXIES)
def test_match_wildcard(benchmark: BenchmarkFixture, program: str) -> None:
    trades = [event for event in busy_market().decoded if event["ev"] == "T"]
    check_and_measure(benchmark, program, ["T.*"], trades)


@micro_benchmark("match: everything, one client")
@pytest.mark.parametrize("program", PROXIES)
def test_match_everything(benchmark: BenchmarkFixture, program: str) -> None:
    check_and_measure(benchmark, program, ["*"], busy_market().decoded)
