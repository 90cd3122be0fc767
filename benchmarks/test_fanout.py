"""Collect and flush: audiences in numbers, and audiences of many members; and broadcast, which filters nothing."""

import json
import random
from collections.abc import Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.decoders import topic_of
from benchmarks.market_frames import MarketFrames, busy_market, symbols
from benchmarks.measuring import measure, micro_benchmark
from benchmarks.proxies import PROXIES, Proxy, Sink, filtered_proxy, firehose

SYMBOLS_OF_A_CLIENT = 20
FRAMES = 4


def topics_of_audiences(audiences: int) -> list[list[str]]:
    """Return so many different sets of topics: trades and quotes of symbols that any two may share."""
    pick = random.Random(audiences)
    chosen = [pick.sample(symbols(), SYMBOLS_OF_A_CLIENT) for _ in range(audiences)]
    return [[f"{kind}.{symbol}" for symbol in some for kind in ("T", "Q")] for some in chosen]


def check(
    proxy: Proxy, sinks: Sequence[Sink], wanted: Sequence[set[str] | None], played: MarketFrames
) -> int:
    """Check that every client gets its events, all of them for None; return how many events they get together."""
    for sink in sinks:
        sink.record()
    proxy.play(played.frames)
    deliveries = 0
    events = played.decoded
    for sink, topics in zip(sinks, wanted, strict=True):
        sink.forget()
        expected = [event for event in events if topics is None or ".".join(topic_of(event)) in topics]
        assert [event for message in sink.messages for event in json.loads(message)] == expected
        deliveries += len(expected)
        sink.received.clear()
    assert deliveries
    return deliveries


@pytest.mark.parametrize("program", PROXIES)
@pytest.mark.parametrize(
    ("audiences", "members"),
    [(1, 1), (100, 1), (1000, 1), (1, 500)],
    ids=["1-audience-of-1", "100-audiences-of-1", "1000-audiences-of-1", "1-audience-of-500"],
)
@micro_benchmark("collect and flush")
def test_collect_and_flush(benchmark: BenchmarkFixture, program: str, audiences: int, members: int) -> None:
    benchmark.group = f"collect and flush: audiences={audiences}, members={members}"
    played = busy_market().first(FRAMES)
    proxy = filtered_proxy(program)
    sinks, wanted = [], []
    for topics in topics_of_audiences(audiences):
        for _ in range(members):
            sinks.append(Sink())
            wanted.append(set(topics))
            proxy.add_client(sinks[-1], topics)
    deliveries = check(proxy, sinks, wanted, played)
    measure(benchmark, lambda: proxy.play(played.frames), played, deliveries_per_call=deliveries)


@pytest.mark.parametrize("program", PROXIES)
@pytest.mark.parametrize("clients", [1, 100, 1000])
@micro_benchmark("broadcast")
def test_broadcast(benchmark: BenchmarkFixture, program: str, clients: int) -> None:
    benchmark.group = f"broadcast: clients={clients}"
    played = busy_market().first(FRAMES)
    proxy = firehose(program)
    sinks = [Sink() for _ in range(clients)]
    for sink in sinks:
        proxy.add_client(sink, ["*"])
    deliveries = check(proxy, sinks, [None] * clients, played)
    measure(benchmark, lambda: proxy.play(played.frames), played, deliveries_per_call=deliveries)
