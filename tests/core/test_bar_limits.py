"""What clients of the bars make grow has bounds, goes back, and costs nobody else more than it must."""

import time
from collections.abc import Callable

import pytest
from bar_oracle import Trade, bar_texts, payload

from fproxy._bars import BarBuilder
from fproxy.core.bar_errors import TooManyIntervalsError, TooManyWindowsError

START = 1_736_503_800_000
"""The beginning of a minute."""

CHUNK = 64 * 1024
"""What windows are made room for at once, in bytes."""


def builder_of(*wants: tuple[int, str], **options: int) -> BarBuilder:
    builder = BarBuilder(delay_ms=0, **options)
    for interval, symbol in wants:
        builder.want(interval, symbol)
    builder.trades_started("*")
    return builder


def feed(builder: BarBuilder, *trades: tuple[str, int, str]) -> None:
    """Feed trades, given as symbol, time after `START` and price."""
    builder.feed(payload(Trade(symbol, START + at, price) for symbol, at, price in trades), 0)


def bars(builder: BarBuilder) -> list[str]:
    return sorted(bar_texts(builder.collect()))


def test_no_more_windows_are_open_than_may_be_and_every_bar_that_is_built_is_whole() -> None:
    unbounded, bounded = builder_of((100, "*")), builder_of((100, "*"), max_windows=3)
    expected: set[str] = set()
    for builder in (unbounded, bounded):
        feed(builder, ("X", -1, "1"))
        for at in (0, 10, 100, 110, 120, 200, 250):
            feed(builder, *((symbol, at, str(at + 1)) for symbol in "ABCDE"))
            assert builder is unbounded or builder.open_windows <= 3
        feed(builder, ("X", 400, "1"))
        if builder is unbounded:
            expected = set(bars(builder))
    built = bars(bounded)
    assert built
    assert set(built) < expected
    assert bounded.counts.refused_windows > 0
    assert bounded.counts.lost_windows == bounded.counts.refused_windows
    assert len(built) + bounded.counts.lost_windows == len(expected)


def test_a_late_trade_still_counts_in_a_window_that_is_open() -> None:
    builder = BarBuilder(delay_ms=1000, max_windows=2)
    builder.want(100, "A")
    builder.trades_started("*")
    feed(builder, ("A", 0, "1"), ("A", 2000, "2"), ("A", 2100, "3"), ("A", 2200, "4"), ("A", 2050, "9"))
    assert builder.counts.refused_windows == 1
    builder.advance(100_000)
    assert ['"h":9' in bar for bar in bars(builder)] == [True, False]


def test_new_bars_are_refused_while_too_many_windows_are_open() -> None:
    builder = builder_of((1000, "*"), max_windows=4)
    feed(builder, ("X", -1, "1"), *((symbol, 0, "1") for symbol in "ABCD"))
    for symbol in ("Z", "*"):
        with pytest.raises(TooManyWindowsError, match="of 4 bars"):
            builder.want(50, symbol)
    feed(builder, ("X", 5000, "1"))
    builder.want(50, "Z")


def test_the_intervals_of_all_symbols_have_a_limit_of_their_own() -> None:
    builder = builder_of()
    for interval in range(1, 65):
        builder.want(interval, "*")
    with pytest.raises(TooManyIntervalsError, match="is wanted at 64 intervals"):
        builder.want(65, "*")
    builder.want(65, "A")


def test_the_memory_of_a_burst_of_windows_goes_back() -> None:
    builder = builder_of((60_000, "*"))
    feed(builder, ("X", -1, "1"))
    symbols = [f"S{number}" for number in range(20_000)]
    for at in (0, 60_000, 120_000):
        feed(builder, *((symbol, at, "1") for symbol in symbols))
        assert builder.open_windows == len(symbols)
        assert builder.window_bytes > 100 * len(symbols)
    feed(builder, *[("X", 180_000, "1")] * 4)  # as many as it takes to be believed
    assert builder.open_windows == 1
    assert builder.window_bytes <= 2 * CHUNK


def test_windows_come_and_go_in_any_order() -> None:
    builder = builder_of(*((interval, "*") for interval in (100, 700, 10_000)))
    feed(builder, ("X", -1, "1"))
    most = 0
    for at in range(0, 60_000, 100):
        feed(builder, *((f"S{number}", at, "1") for number in range(at // 100 % 400)))
        most = max(most, builder.window_bytes)
        assert builder.window_bytes >= 100 * builder.open_windows
    feed(builder, *[("X", 80_000, "1")] * 4)
    assert most > 3 * CHUNK
    assert builder.window_bytes <= 2 * CHUNK


def cpu_seconds(work: Callable[[], None]) -> float:
    """The least of three runs."""
    taken = []
    for _ in range(3):
        before = time.thread_time()
        work()
        taken.append(time.thread_time() - before)
    return min(taken)


def test_an_acknowledged_subscription_costs_the_same_however_many_symbols_there_are() -> None:
    """Each used to walk all symbols: 400 times as many of them took 400 times as long."""

    def work_beside(symbols: int) -> float:
        builder = BarBuilder(delay_ms=0)
        for number in range(symbols):
            builder.want(100, f"S{number}")

        def subscribe() -> None:
            for number in range(300):
                name = f"N{number}"
                builder.want(100, name)
                builder.trades_started(name)
                feed(builder, (name, number, "1"))
                builder.trades_stopped(name)
                builder.unwant(100, name)

        return cpu_seconds(subscribe)

    assert work_beside(40_000) < 10 * work_beside(100)


def test_a_new_want_costs_its_own_trades_not_those_of_all() -> None:
    """Each used to go through all trades that are kept."""

    def work_beside(trades: int) -> float:
        builder = builder_of((60_000, "BUSY"))
        builder.want(60_000, "QUIET")
        feed(builder, ("X", -1, "1"), ("QUIET", 0, "1"))
        for at in range(0, trades, 100):
            feed(builder, *(("BUSY", at // 100, "1") for _ in range(100)))

        def want() -> None:
            for interval in range(40_000, 40_100):
                builder.want(interval, "QUIET")
                builder.advance(0)
                builder.unwant(interval, "QUIET")

        return cpu_seconds(want)

    assert work_beside(200_000) < 10 * work_beside(500)
