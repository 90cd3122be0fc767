"""What keeping costs: the same messages through a fan-out with a history, with last events, and with nothing."""

import random

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.market_frames import busy_market, symbols
from benchmarks.measuring import measure, micro_benchmark
from fproxy._fastpath import Fanout, History, Snapshots

CLIENTS = 100
SYMBOLS_OF_A_CLIENT = 20


class Sink:
    """Takes frames and keeps none."""

    def write(self, frames: bytes) -> None:
        pass


def fanout(history: History | None = None, snapshots: Snapshots | None = None) -> Fanout:
    """Return a fan-out with clients of some symbols each."""
    made = Fanout(history=history, snapshots=snapshots)
    pick = random.Random(CLIENTS)
    for _ in range(CLIENTS):
        some = pick.sample(symbols(), SYMBOLS_OF_A_CLIENT)
        made.subscribe(made.add_client(Sink()), [(kind, symbol) for symbol in some for kind in ("T", "Q")])
    return made


@pytest.mark.parametrize("kept", ["nothing", "history", "snapshots"])
@micro_benchmark("history")
def test_history(benchmark: BenchmarkFixture, kept: str) -> None:
    benchmark.group = "a fan-out that keeps what has passed"
    played = busy_market()
    history = History(max_bytes=64 << 20, span_ms=60_000) if kept == "history" else None
    snapshots = Snapshots(max_bytes=64 << 20) if kept == "snapshots" else None
    made = fanout(history, snapshots)

    def play() -> None:
        for frame in played.frames:
            made.feed(0, frame)
        made.flush()

    play()
    assert made.events_in == played.events
    assert history is None or history.next == len(played.frames)
    assert snapshots is None or snapshots.next == len(played.frames)
    measure(benchmark, play, played)
