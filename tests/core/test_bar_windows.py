"""Which windows are built and sent, and in which order: half-way subscribers, gaps, wrong dates, the clock."""

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from bar_oracle import Trade, bar_text, bar_texts, payload

from fproxy._bars import MAX_DELAY_MS, BarBuilder
from fproxy.core.bar_errors import TooManyIntervalsError
from fproxy.core.trade_conditions import CONDITIONS, effect_of

START = 1_736_503_800_000
"""The beginning of a minute."""

Key = tuple[str, str, int]


def builder_of(*wants: tuple[int, str], flows: str = "*", **options: Any) -> BarBuilder:
    builder = BarBuilder(**{"delay_ms": 0, **options})
    for interval, symbol in wants:
        builder.want(interval, symbol)
    builder.trades_started(flows)
    return builder


def feed(builder: BarBuilder, *trades: tuple[str, int], clock: int = 0) -> None:
    """Feed trades, given as symbol and time after `START`."""
    builder.feed(payload(Trade(symbol, START + time, "150") for symbol, time in trades), clock)


def keys(messages: Iterable[bytes]) -> list[Key]:
    """What bars these are: type, symbol, beginning after `START`."""
    bars = [json.loads(text) for text in bar_texts(messages)]
    return [(bar["ev"], bar["sym"], bar["s"] - START) for bar in bars]


def test_bars_come_by_the_end_of_windows_then_by_interval_then_by_first_trade() -> None:
    builder = builder_of((50, "*"), (100, "*"), (25, "A"))
    feed(builder, ("X", -1), ("B", 10), ("A", 5), ("C", 60), ("A", 55), ("B", 70), ("A", 1000))
    assert keys(builder.collect()) == [
        ("25Ms", "A", 0),
        ("50Ms", "B", 0),
        ("50Ms", "A", 0),
        ("25Ms", "A", 50),
        ("50Ms", "C", 50),
        ("50Ms", "A", 50),
        ("50Ms", "B", 50),
        ("100Ms", "B", 0),
        ("100Ms", "A", 0),
        ("100Ms", "C", 0),
    ]
    assert builder.collect() == []


def test_the_order_does_not_depend_on_when_a_window_was_wanted() -> None:
    builder = builder_of((1000, "B"), (100, "A"), (100, "C"))
    feed(builder, ("A", -1), ("A", 0), ("C", 1), ("B", 2))
    builder.want(1000, "C")
    builder.want(1000, "A")
    feed(builder, ("A", 5000))
    assert [key for key in keys(builder.collect()) if key[0] == "1000Ms"] == [
        ("1000Ms", "A", 0),
        ("1000Ms", "C", 0),
        ("1000Ms", "B", 0),
    ]


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_bars_do_not_depend_on_how_trades_are_put_into_messages(chunk: int) -> None:
    random = Random(7)
    trades = [
        Trade("A", START + 10 * i + random.choice([0, -30]), f"{random.randint(1, 99)}") for i in range(200)
    ]
    whole, split = builder_of((100, "A")), builder_of((100, "A"))
    whole.feed(payload(trades), 0)
    for first in range(0, len(trades), chunk):
        split.feed(payload(trades[first : first + chunk]), 0)
    assert bar_texts(split.collect()) == bar_texts(whole.collect())
    assert split.counts == whole.counts


def test_short_bars_roll_up_to_long_ones() -> None:
    random = Random(11)
    builder = builder_of((100, "*"), (1000, "*"))
    trades = []
    for time in range(-1, 30_000, 7):
        conditions = random.choice([None, (14, 41), (37,), (12,), (15,), (38,)])
        price, size = f"{random.randint(14_900, 15_100) / 100}", str(random.randint(1, 500))
        trades.append(Trade(random.choice("ABC"), START + time, price, size, None, conditions))
    builder.feed(payload(trades), 0)
    bars = [json.loads(text, parse_float=Decimal) for text in bar_texts(builder.collect())]
    short: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for bar in bars:
        if bar["ev"] == "100Ms":
            short.setdefault((bar["sym"], bar["s"] // 1000), []).append(bar)
    long = [bar for bar in bars if bar["ev"] == "1000Ms"]
    assert len(long) > 80
    for bar in long:
        parts = short[bar["sym"], bar["s"] // 1000]
        assert bar["o"] == parts[0]["o"]
        assert bar["c"] == parts[-1]["c"]
        assert bar["h"] == max(part["h"] for part in parts)
        assert bar["l"] == min(part["l"] for part in parts)
        # Windows in which no trade may set a price have no bar; their volume is in the longer one.
        assert bar["v"] >= sum(part["v"] for part in parts)
        assert bar["n"] >= sum(part["n"] for part in parts)


def test_every_pair_of_conditions_has_its_rule() -> None:
    numbers = [*CONDITIONS, 6, 99, 255, 4_000_000_000]
    for first in numbers:
        for second in numbers:
            builder = builder_of((100, "A"))
            trades = [
                Trade("A", START + 10, "150", "10"),
                Trade("A", START + 20, "170", "5", None, (first, second)),
                Trade("A", START + 30, "130", "2", None, (second, first)),
            ]
            builder.feed(payload([Trade("A", START - 1, "1"), *trades, Trade("A", START + 100, "1")]), 0)
            assert bar_texts(builder.collect()) == [bar_text(100, "A", START, trades)], (first, second)


def test_no_effect_lets_a_trade_set_open_and_close_but_not_high_and_low() -> None:
    # The builder counts on it.
    assert all(
        effect.high_low or not effect.open_close
        for effect in (effect_of((n,), extended_hours=True) for n in CONDITIONS)
    )


def test_a_window_without_a_price_has_no_bar() -> None:
    builder = builder_of((100, "A"))
    odd_lots = [Trade("A", START + time, "150", "7", None, (37,)) for time in (0, 50, 250)]
    builder.feed(
        payload(
            [
                Trade("A", START - 1, "1"),
                *odd_lots,
                Trade("A", START + 200, "1"),
                Trade("A", START + 300, "1"),
            ]
        ),
        0,
    )
    assert keys(builder.collect()) == [("100Ms", "A", 200)]
    assert builder.counts.bars == 1


def test_the_window_of_the_first_trade_is_not_whole() -> None:
    builder = builder_of((100, "A"), delay_ms=20)
    feed(builder, ("A", 0), ("A", 99), ("A", 120), ("A", 220), ("A", 320), ("A", 999))
    assert keys(builder.collect()) == [("100Ms", "A", 100), ("100Ms", "A", 200), ("100Ms", "A", 300)]


def test_any_trade_tells_from_when_on_windows_are_whole() -> None:
    builder = builder_of((100, "A"), flows="A")
    feed(builder, ("B", -1))
    feed(builder, ("A", 10), ("A", 100))
    assert keys(builder.collect()) == [("100Ms", "A", 0)]


def test_trades_that_nobody_wants_move_nothing() -> None:
    builder = builder_of((100, "A"))
    feed(builder, ("A", -1), ("A", 10), ("B", 5000))
    assert builder.collect() == []
    feed(builder, ("A", 20), ("A", 100))
    assert [json.loads(text)["n"] for text in bar_texts(builder.collect())] == [2]
    assert builder.counts.late_trades == 0


def test_nothing_is_built_of_trades_that_do_not_flow() -> None:
    builder = BarBuilder(delay_ms=0)
    builder.want(100, "A")
    builder.want(100, "*")
    feed(builder, ("A", 0), ("A", 100), ("B", 200), ("A", 300))
    assert builder.collect() == []
    assert builder.counts.trades == 0


@pytest.mark.parametrize("then", [(1000, "A"), (1000, "*")])
def test_who_comes_half_way_gets_the_window_whole_when_its_trades_were_seen(then: tuple[int, str]) -> None:
    builder = builder_of((100, "*"))
    feed(builder, ("A", -1), ("A", 10), ("A", 20), ("A", 500))
    builder.want(*then)
    feed(builder, ("A", 999), ("A", 1000))
    bar = json.loads(bar_texts(builder.collect())[-1])
    assert (bar["ev"], bar["s"], bar["n"]) == ("1000Ms", START, 4)


def test_who_comes_half_way_else_begins_with_the_next_window() -> None:
    builder = builder_of((100, "A"))
    feed(builder, ("A", -1), ("A", 10))
    builder.want(1000, "B")
    feed(builder, ("B", 500), ("B", 1500), ("A", 2000))
    bars = keys(builder.collect())
    assert bars[-1] == ("1000Ms", "B", 1000)
    assert ("1000Ms", "B", 0) not in bars


def test_who_comes_while_several_windows_of_an_interval_are_open_gets_all_of_them() -> None:
    builder = builder_of((100, "A"), delay_ms=20)
    feed(builder, ("A", -100), *(("A", time) for time in range(0, 31)))
    builder.want(1, "A")
    feed(builder, ("A", 60))
    # At 30 those that ended by 10 had closed.
    assert keys(builder.collect()) == [("1Ms", "A", time) for time in range(10, 31)]


def test_memory_for_windows_wanted_half_way_is_bounded_and_what_it_forgot_is_not_whole() -> None:
    builder = builder_of((100, "A"), retained_trades=1024)
    feed(builder, ("A", -1), *(("A", time) for time in range(3000)))
    assert builder.retained_trades == 1024
    builder.want(5000, "A")
    builder.want(1000, "A")
    feed(builder, ("A", 3500), ("A", 9999), ("A", 15_000))
    assert [key for key in keys(builder.collect()) if key[0] != "100Ms"] == [
        ("1000Ms", "A", 2000),
        ("1000Ms", "A", 3000),
        ("1000Ms", "A", 9000),
        ("5000Ms", "A", 5000),
    ]


def test_trades_of_more_than_a_minute_ago_are_forgotten_for_new_ones() -> None:
    builder = builder_of((1000, "A"))
    for second in range(300):
        feed(builder, *(("A", 1000 * second + i) for i in range(20)), clock=1000 * second)
    assert builder.retained_trades <= 2048


@pytest.mark.parametrize(
    "interrupt", [BarBuilder.gap, lambda builder: builder.trades_stopped("*")], ids=["gap", "stopped"]
)
def test_windows_that_miss_trades_are_given_up(interrupt: Callable[[BarBuilder], None]) -> None:
    builder = builder_of((100, "A"), (1000, "A"), (100, "B"))
    feed(builder, ("A", -1), ("A", 10), ("A", 100), ("B", 100))
    assert len(builder.collect()) == 1
    interrupt(builder)
    assert builder.counts.lost_windows == 3
    feed(builder, ("A", 120), ("A", 5000))
    builder.trades_started("*")
    feed(builder, ("A", 5100), ("A", 5150), ("A", 5200), ("B", 5200), ("A", 6000), ("A", 7000))
    assert keys(builder.collect()) == [
        ("100Ms", "A", 5200),
        ("100Ms", "B", 5200),
        ("100Ms", "A", 6000),
        ("1000Ms", "A", 6000),
    ]


def test_a_symbol_that_flows_by_name_survives_the_end_of_all() -> None:
    builder = builder_of((1000, "A"), (1000, "B"))
    feed(builder, ("A", -1), ("A", 10), ("B", 10))
    builder.trades_started("A")
    builder.trades_stopped("*")
    feed(builder, ("A", 20), ("B", 20), ("A", 1000))
    assert [(bar["sym"], bar["n"]) for bar in map(json.loads, bar_texts(builder.collect()))] == [("A", 2)]
    assert builder.counts.lost_windows == 1


def test_nobody_wants_it_any_more() -> None:
    builder = builder_of((100, "A"), (100, "A"))
    feed(builder, ("A", -1), ("A", 10))
    builder.unwant(100, "A")
    assert builder.open_windows == 1
    builder.unwant(100, "A")
    assert builder.symbols == 0
    feed(builder, ("A", 20), ("A", 500))
    builder.advance(10**6)
    assert builder.collect() == []
    assert builder.counts.lost_windows == 0
    with pytest.raises(KeyError, match="nobody wants 100 ms of 'A'"):
        builder.unwant(100, "A")
    with pytest.raises(KeyError):
        builder.unwant(100, "*")


def test_one_bar_for_all_who_want_it_by_name_and_by_wildcard() -> None:
    builder = builder_of((100, "A"), (100, "*"))
    feed(builder, ("A", -1), ("A", 10), ("B", 20), ("A", 100))
    assert keys(builder.collect()) == [("100Ms", "A", 0), ("100Ms", "B", 0)]
    builder.unwant(100, "*")
    assert builder.symbols == 1
    feed(builder, ("A", 200), ("B", 200), ("A", 300))
    assert keys(builder.collect()) == [("100Ms", "A", 100), ("100Ms", "A", 200)]


def test_many_symbols_come_and_go() -> None:
    random = Random(3)
    names = [f"{name:X}" + random.choice(["", ":LONGER-THAN-EIGHT"]) for name in range(5000)]
    builder = builder_of()
    for name in names:
        builder.want(100, name)
    for name in names[::2]:
        builder.unwant(100, name)
    assert builder.symbols == len(names[1::2])
    feed(builder, (names[1], -1), *((name, 0) for name in names), (names[1], 100))
    assert [key[1] for key in keys(builder.collect())] == names[1::2]


def test_intervals_are_limited() -> None:
    builder = builder_of(max_intervals=2)
    builder.want(100, "A")
    builder.want(200, "A")
    builder.want(200, "A")
    with pytest.raises(TooManyIntervalsError, match="'A' is wanted at 2 intervals"):
        builder.want(300, "A")
    builder.want(100, "*")
    builder.want(200, "*")
    with pytest.raises(TooManyIntervalsError):
        builder.want(300, "*")
    with pytest.raises(TooManyIntervalsError):
        builder.want(300, "B")
    builder.want(100, "B")


@pytest.mark.parametrize("interval", [0, -1, 60_001, 2**40])
def test_an_interval_out_of_range_is_refused(interval: int) -> None:
    builder = BarBuilder()
    for call in (builder.want, builder.unwant):
        with pytest.raises(ValueError, match="interval outside 1 to 60000 ms"):
            call(interval, "A")


def test_an_empty_symbol_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        BarBuilder().want(100, "")


@pytest.mark.parametrize("options", [{"delay_ms": -1}, {"delay_ms": MAX_DELAY_MS + 1}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="delay outside 0 to"):
        BarBuilder(**options)


# Time.


def test_the_clock_closes_what_no_trade_does() -> None:
    builder = builder_of((100, "A"), delay_ms=20)
    assert builder.next_advance() is None
    feed(builder, ("A", -100), clock=7000)
    feed(builder, ("A", 30), clock=8000)
    due = builder.next_advance()
    assert due == 8000 + 70 + 20
    builder.advance(due - 1)
    assert builder.collect() == []
    builder.advance(due)
    assert keys(builder.collect()) == [("100Ms", "A", 0)]
    assert builder.next_advance() is None


def test_a_delayed_stream_gives_the_same_bars_as_a_live_one() -> None:
    behind_by = 15 * 60_000
    live, delayed = builder_of((100, "A")), builder_of((100, "A"))
    for time in [-50, 10, 60, 130, 200, 205, 450, 451]:
        for builder, clock in ((live, time), (delayed, time + behind_by)):
            builder.advance(clock)
            feed(builder, ("A", time), clock=clock)
    assert bar_texts(live.collect()) == bar_texts(delayed.collect()) != []
    assert live.counts == delayed.counts


def test_a_trade_within_the_delay_counts_and_a_later_one_is_late() -> None:
    builder = builder_of((100, "A"), delay_ms=20)
    feed(builder, ("A", -100), ("A", 10), ("A", 119), ("A", 99), ("A", 120), ("A", 98))
    assert [json.loads(text)["n"] for text in bar_texts(builder.collect())] == [2]
    assert builder.counts.late_trades == 1


def test_a_long_silence_ends_when_the_trades_say_so() -> None:
    builder = builder_of((100, "A"))
    feed(builder, ("A", -1), ("A", 0))
    builder.advance(3_600_000)
    builder.collect()
    # An hour later by the clock, half an hour by the trades: a slow replay.
    feed(builder, ("A", 1_800_000), ("A", 1_800_050), ("A", 1_800_100), clock=3_600_000)
    assert [json.loads(text)["n"] for text in bar_texts(builder.collect())] == [2]
    assert builder.counts.late_trades == 0


def test_a_clock_that_jumps_back_closes_nothing() -> None:
    builder = builder_of((100, "A"))
    feed(builder, ("A", -1), ("A", 0), clock=10_000)
    builder.advance(5_000)
    assert builder.collect() == []


def test_a_trade_dated_far_ahead_is_passed_over_when_the_next_contradicts_it() -> None:
    builder = builder_of((100, "A"))
    feed(builder, ("A", -1), ("A", 10), ("A", 10**9), ("A", 20), ("A", 100))
    assert [json.loads(text)["n"] for text in bar_texts(builder.collect())] == [2]
    assert (builder.counts.misdated_trades, builder.counts.late_trades) == (1, 0)


def test_a_stream_that_jumps_ahead_loses_nothing() -> None:
    builder = builder_of((100, "A"))
    hour = 3_600_000
    feed(builder, ("A", -1), ("A", 10), ("A", hour), ("A", hour + 10), ("B", hour), ("A", hour + 20))
    assert builder.collect() == []
    feed(builder, ("A", hour + 30), ("A", hour + 100))
    assert [(bar["s"] - START, bar["n"]) for bar in map(json.loads, bar_texts(builder.collect()))] == [
        (0, 1),
        (hour, 4),
    ]
    assert builder.counts.misdated_trades == 0


def test_a_lone_trade_that_nothing_contradicts_counts_after_a_second() -> None:
    builder = builder_of((100, "A"))
    feed(builder, ("A", -1), ("A", 10), clock=0)
    feed(builder, ("A", 50_000), clock=100)
    assert builder.next_advance() == 90
    builder.advance(90)
    assert keys(builder.collect()) == [("100Ms", "A", 0)]
    due = builder.next_advance()
    assert due == 1100
    builder.advance(due)
    builder.advance(due + 100)
    assert keys(builder.collect()) == [("100Ms", "A", 50_000)]


def test_a_stream_that_begins_again_earlier_is_followed() -> None:
    builder = builder_of((100, "A"), (60_000, "A"))
    day = 86_400_000
    feed(builder, ("A", -1), ("A", 10), ("A", 100))
    assert len(builder.collect()) == 1
    feed(builder, *(("A", time - day) for time in range(0, 320, 20)))
    assert builder.counts.restarts == 1
    assert builder.counts.lost_windows == 2
    feed(builder, ("A", 320 - day), ("A", 399 - day), ("A", 400 - day), ("A", 500 - day))
    assert keys(builder.collect()) == [("100Ms", "A", 400 - day)]


def test_an_absurd_first_date_is_got_over() -> None:
    builder = builder_of((100, "A"))
    feed(builder, ("A", 10**12))
    feed(builder, *(("A", 10 * i) for i in range(16)), ("A", 200), ("A", 300))
    assert keys(builder.collect()) == [("100Ms", "A", 200)]


# Messages.


def test_messages_are_cut_between_bars() -> None:
    builder = builder_of((1, "A"), message_bytes=1000)
    feed(builder, ("A", -1), *(("A", time) for time in range(101)))
    messages = builder.collect()
    assert len(messages) > 10
    assert all(len(message) <= 1000 for message in messages)
    assert keys(messages) == [("1Ms", "A", time) for time in range(100)]


def test_bars_of_more_symbols_than_caches_hold() -> None:
    """With so many, memory is fetched ahead: by numbers of symbols, of which some are not there, or not any more."""
    names = [f"S{number}" for number in range(6_000)]
    builder = builder_of(*((100, name) for name in names))
    feed(builder, ("S0", -1))
    feed(builder, *((name, 10) for name in names), ("NOBODYS", 10))
    for name in names[::3]:
        builder.unwant(100, name)
    builder.want(100, "NEW")
    wanted = [name for number, name in enumerate(names) if number % 3]
    feed(builder, *((name, 20) for name in names), ("NEW", 110), *((name, 110) for name in wanted))
    assert keys(builder.collect()) == [("100Ms", name, 0) for name in wanted]
    feed(builder, ("S1", 500))
    assert keys(builder.collect()) == [("100Ms", name, 100) for name in ("NEW", *wanted)]
