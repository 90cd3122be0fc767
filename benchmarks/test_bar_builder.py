"""Bars of trades: one busy symbol at one and at ten intervals, all symbols at one, and trades that nobody wants."""

import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.decoders import DECODERS
from benchmarks.plain_bars import PlainBars
from fproxy._bars import BarBuilder

INTERVALS: Final = [100, 200, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000]
START: Final = 1_736_503_800_000
TRADES: Final = 2_000
TRADES_IN_A_FRAME: Final = 50
WARM_UP: Final = 5
ROUNDS: Final = 15
BUSY: Final = ("AAPL",)
MANY: Final = tuple(f"SYM{number}" for number in range(1_000))

Feed = Callable[[bytes], None]
Collect = Callable[[], Iterable[bytes]]


class Trades:
    """An endless stream of trades in the vendor's live form, about four each millisecond."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self._random = Random(1)
        self._symbols = symbols
        self._time = START

    def frames(self) -> list[bytes]:
        """Return the next trades as upstream messages."""
        events = [self._trade() for _ in range(TRADES)]
        return [
            f"[{','.join(events[first : first + TRADES_IN_A_FRAME])}]".encode()
            for first in range(0, TRADES, TRADES_IN_A_FRAME)
        ]

    def _trade(self) -> str:
        pick = self._random
        self._time += pick.random() < 0.25
        size = pick.randint(1, 500)
        conditions = pick.choice(["", ',"c":[14,41]', ',"c":[37]'])
        return (
            f'{{"ev":"T","sym":"{pick.choice(self._symbols)}","i":"{pick.randint(1, 10**6)}","x":4,'
            f'"p":{pick.randint(1_490_000, 1_510_000) / 10_000},"s":{size},"t":{self._time},"pt":{self._time - 7},'
            f'"q":{pick.randint(1, 10**7)},"z":3,"trfi":202,"trft":{self._time},"ds":"{size}.0"{conditions}}}'
        )


def programs(intervals: list[int], symbol: str, name: str) -> tuple[Feed, Collect]:
    """Return what the program of that name takes messages and gives bars with."""
    if name == "fproxy":
        builder = BarBuilder(delay_ms=0)
        for interval in intervals:
            builder.want(interval, symbol)
        builder.trades_started("*")
        return lambda frame: builder.feed(frame, 0), builder.collect
    plain = PlainBars(name, intervals)
    return plain.feed, lambda: [plain.collect()]


def bars_of(feed: Feed, collect: Collect, frames: list[bytes]) -> dict[tuple[str, str, int], dict[str, Any]]:
    for frame in frames:
        feed(frame)
    bars = [bar for message in collect() for bar in json.loads(message)]
    return {(bar["ev"], bar["sym"], bar["s"]): bar for bar in bars}


def check(intervals: list[int], symbol: str, symbols: tuple[str, ...], name: str) -> None:
    """Check that a program builds the same bars as the compiled builder, where both have the window closed."""
    frames = Trades(symbols).frames()
    ours = bars_of(*programs(intervals, symbol, "fproxy"), frames)
    theirs = bars_of(*programs(intervals, symbol, name), frames)
    shared = ours.keys() & theirs.keys()
    assert len(shared) > len(theirs) // 2 > 0
    for key in shared:
        for member in ("o", "h", "l", "c", "v", "vw", "n", "e"):
            assert ours[key][member] == pytest.approx(theirs[key][member]), key


def run(benchmark: BenchmarkFixture, feed: Feed, collect: Collect, trades: Trades) -> None:
    """Time a program on a stream that goes on and on: its memory is as after a while in service."""

    def play(frames: list[bytes]) -> None:
        for frame in frames:
            feed(frame)
        collect()

    for _ in range(WARM_UP):
        play(trades.frames())
    benchmark.extra_info.update(events_per_call=TRADES, bytes_per_call=sum(map(len, trades.frames())))
    benchmark.pedantic(play, setup=lambda: ((trades.frames(),), {}), rounds=ROUNDS)


@pytest.mark.parametrize("program", ["fproxy", *DECODERS])
@pytest.mark.parametrize("intervals", [1, 10])
def test_one_symbol(benchmark: BenchmarkFixture, program: str, intervals: int) -> None:
    benchmark.group = f"bars: {TRADES} trades of one symbol, intervals={intervals}"
    wanted = INTERVALS[:intervals]
    check(wanted, "AAPL", BUSY, program)
    run(benchmark, *programs(wanted, "AAPL", program), Trades(BUSY))


@pytest.mark.parametrize("program", ["fproxy", *DECODERS])
def test_all_symbols(benchmark: BenchmarkFixture, program: str) -> None:
    benchmark.group = f"bars: {TRADES} trades of {len(MANY)} symbols, all wanted at 100 ms"
    check([100], "*", MANY, program)
    run(benchmark, *programs([100], "*", program), Trades(MANY))


def test_trades_that_nobody_wants(benchmark: BenchmarkFixture) -> None:
    benchmark.group = f"bars: {TRADES} trades that nobody wants"
    feed, collect = programs([100], "AAPL", "fproxy")
    assert not bars_of(feed, collect, Trades(MANY).frames())
    run(benchmark, feed, collect, Trades(MANY))
