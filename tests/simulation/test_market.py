"""The simulated market as its consumers see it: only the bytes of its frames are looked at."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from fproxy.core.trade_conditions import effect_of
from fproxy.simulation.market import MAX_FRAME_EVENTS, Frame, Market
from fproxy.simulation.stock_listings import LISTINGS

START = 1_767_623_397_250  # a quarter into a second, 2,750 ms before a whole minute

Event = dict[str, Any]


def read(frames: Iterable[Frame]) -> list[Event]:
    return [event for frame in frames for event in json.loads(frame.payload, parse_float=Decimal)]


def frames_of(
    *, seed: int = 1, rate: float = 1_000, milliseconds: int = 64_000, symbols: int = 30
) -> list[Frame]:
    return Market(seed=seed, start=START, rate=rate, symbols=symbols).advance(START + milliseconds)


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """Over a minute of a market: a whole minute and 64 seconds, the first of them from its middle."""
    return frames_of()


@pytest.fixture(scope="module")
def events(frames: list[Frame]) -> list[Event]:
    return read(frames)


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert frames_of(milliseconds=2_000) == frames_of(milliseconds=2_000)


@pytest.mark.parametrize("other", [{"seed": 2}, {"rate": 1_001}, {"symbols": 31}])
def test_other_arguments_give_other_bytes(other: dict[str, int]) -> None:
    assert frames_of(milliseconds=2_000) != frames_of(**(other | {"milliseconds": 2_000}))


def test_it_does_not_matter_in_what_steps_it_advances() -> None:
    market = Market(seed=1, start=START, rate=1_000, symbols=30)
    pieces: list[Frame] = []
    for step in itertools.cycle([1, 7, 500, 0, 1_300]):
        if market.now >= START + 5_000:
            break
        pieces += market.advance(min(market.now + step, START + 5_000))
    assert pieces == frames_of(milliseconds=5_000)


def test_it_goes_on_unheard() -> None:
    market = Market(seed=1, start=START, rate=1_000, symbols=30)
    assert market.advance(START + 3_333, render=False) == []
    assert market.advance(START + 5_000) == [
        frame for frame in frames_of(milliseconds=5_000) if frame.time >= START + 3_333
    ]


def test_a_frame_is_an_array_of_as_many_events_as_it_says(frames: list[Frame]) -> None:
    for frame in frames:
        array = json.loads(frame.payload)
        assert isinstance(array, list)
        assert 1 <= len(array) == frame.events <= MAX_FRAME_EVENTS
        assert all(isinstance(event, dict) for event in array)


def test_frames_hold_one_event_to_hundreds() -> None:
    sizes = {frame.events for frame in frames_of(rate=100_000, milliseconds=300)}
    assert MAX_FRAME_EVENTS in sizes
    assert len(sizes) > 20
    assert any(frame.events == 1 for frame in frames_of(rate=500, milliseconds=1_000))


def test_events_are_in_order_of_time_and_a_frame_has_the_time_of_its_events(frames: list[Frame]) -> None:
    assert [frame.time for frame in frames] == sorted(frame.time for frame in frames)
    for frame in frames:
        for event in json.loads(frame.payload):
            match event["ev"]:
                case "A" | "AM":
                    assert event["e"] == frame.time
                case "LULD":
                    assert event["t"] // 1_000_000 == frame.time
                case _:
                    assert event["t"] == frame.time


def test_the_rate_is_kept_over_every_twenty_milliseconds() -> None:
    market = Market(seed=3, start=START, rate=12_345, symbols=30)
    total = 0
    for turn in range(1, 200):
        total += sum(event["ev"] not in ("A", "AM") for event in read(market.advance(START + turn * 20)))
        assert abs(total - turn * 246.9) <= 1


def test_a_slow_market_still_trades() -> None:
    # One event every ten seconds on average.
    assert len(
        [event for event in read(frames_of(rate=0.1, milliseconds=600_000)) if event["ev"] not in ("A", "AM")]
    ) in (59, 60)


def test_mostly_quotes_then_trades_and_a_few_others(events: list[Event]) -> None:
    counts = Counter(event["ev"] for event in events)
    assert set(counts) == {"T", "Q", "A", "AM", "LULD", "FMV"}
    assert 2 < counts["Q"] / counts["T"] < 6
    assert 0 < counts["LULD"] < counts["FMV"] < counts["T"] / 10


def test_activity_is_skewed_and_reaches_every_instrument() -> None:
    counts = Counter(
        event.get("sym", event.get("T"))
        for event in read(frames_of(rate=100_000, milliseconds=990, symbols=465))
    )
    assert set(counts) == {listing.symbol for listing in LISTINGS}
    assert counts["SPY"] > 20 * counts["DIA"]
    assert sum(count for _, count in counts.most_common(46)) > 0.4 * counts.total()


def test_the_instruments_are_hundreds_of_real_tickers_of_every_shape() -> None:
    symbols = Market(seed=1, start=START, rate=1).symbols
    assert 300 <= len(symbols) == len(set(symbols))
    assert {"AAPL", "MSFT", "TSLA", "NVDA", "SPY", "BRK.B", "BACpL", "F", "ATHR"} <= set(symbols)


def test_trades_have_the_live_form(events: list[Event]) -> None:
    trades = [event for event in events if event["ev"] == "T"]
    required = {"ev", "sym", "i", "x", "p", "s", "t", "pt", "q", "z", "ds"}
    for trade in trades:
        reported_off_exchange = {"trfi", "trft"} if trade["x"] == 4 else set()
        assert set(trade) - {"c"} == required | reported_off_exchange
        assert trade["i"].isdecimal()
        assert trade["s"] == int(Decimal(trade["ds"]))
        assert Decimal(trade["ds"]) > 0
        assert trade["p"] > 0
        assert 0 <= trade["t"] - trade["pt"] <= 60
        assert trade["z"] in (1, 2, 3)
        assert trade.get("c") != []
    assert any(trade["s"] == 0 for trade in trades)
    assert {decimals(trade["p"]) for trade in trades} >= {1, 2, 3, 4}


def decimals(price: Decimal | int) -> int:
    exponent = Decimal(price).as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def test_trades_below_a_round_lot_say_so(events: list[Event]) -> None:
    smallest_lot = {"SPY": 40, "TSLA": 40, "NVDA": 100, "F": 100}
    for trade in events:
        if trade["ev"] == "T" and trade["sym"] in smallest_lot:
            assert (37 in trade.get("c", [])) == (Decimal(trade["ds"]) < smallest_lot[trade["sym"]])


def test_conditions_come_as_often_as_in_the_market(events: list[Event]) -> None:
    trades = [event for event in events if event["ev"] == "T"]
    counts = Counter(condition for trade in trades for condition in trade.get("c", []))
    assert 0.35 < counts[37] / len(trades) < 0.55
    assert 0.03 < counts[12] / len(trades) < 0.12
    assert {2, 10, 14, 15, 16, 41, 52, 53} <= set(counts)


def test_quotes_have_the_live_form(events: list[Event]) -> None:
    for quote in events:
        if quote["ev"] == "Q":
            assert set(quote) - {"c"} == {
                "ev",
                "sym",
                "i",
                "bx",
                "ax",
                "bp",
                "ap",
                "bs",
                "as",
                "t",
                "pt",
                "q",
                "z",
            }
            assert 0 < quote["bp"] < quote["ap"]
            assert quote["bs"] > 0
            assert quote["as"] > 0
            assert quote["i"] == [604]


def test_limits_and_fair_values_have_the_live_form(frames: list[Frame], events: list[Event]) -> None:
    texts = b"".join(frame.payload for frame in frames)
    assert b'{"ev":"LULD","h":' in texts
    for event in events:
        if event["ev"] == "LULD":
            assert list(event) == ["ev", "h", "l", "i", "z", "T", "t", "q"]
            assert event["l"] < event["h"]
        elif event["ev"] == "FMV":
            assert list(event) == ["ev", "fmv", "sym", "t"]
            assert event["fmv"] > 0


def test_keys_come_in_several_orders(events: list[Event]) -> None:
    orders = defaultdict(set)
    for event in events:
        orders[event["ev"]].add(
            tuple(key for key in event if key in ("ev", "sym", "t", "x", "bx", "ax", "bp", "p", "s", "z"))
        )
    assert len(orders["Q"]) == len(orders["T"]) == 3
    assert any(order[-1] == "ev" for order in orders["T"])


def test_sequence_numbers_grow_for_each_symbol_and_type(events: list[Event]) -> None:
    last: dict[tuple[str, str], int] = {}
    for event in events:
        if event["ev"] in ("T", "Q"):
            key = event["ev"], event["sym"]
            assert event["q"] > last.get(key, 0)
            last[key] = event["q"]


def test_prices_walk_without_running_away() -> None:
    market = Market(seed=5, start=START, rate=1_000_000, symbols=1)
    first = LISTINGS[0].price
    bids = [event["bp"] * 10_000 for event in read(market.advance(START + 100)) if event["ev"] == "Q"]
    assert len(set(bids)) > 50
    assert all(first / 2 <= bid <= first * 2 for bid in bids)


def expected_bars(trades: list[Event], event_type: str, length: int, until: int) -> list[Event]:
    """Build the bars of all windows that end by ``until`` from ``T`` events, in decimal arithmetic."""
    windows: dict[tuple[int, str], list[Event]] = defaultdict(list)
    for trade in trades:
        windows[trade["t"] // length * length, trade["sym"]].append(trade)
    days: dict[str, list[Event]] = defaultdict(list)
    opening = {
        listing.symbol: Decimal(listing.price).scaleb(-4).quantize(Decimal("0.01")) for listing in LISTINGS
    }
    bars = []

    def total(some: list[Event]) -> tuple[Decimal, Decimal, int]:
        counted = [trade for trade in some if effect_of(trade.get("c", []), extended_hours=True).volume]
        sizes = [Decimal(trade["ds"]) for trade in counted]
        return (
            sum(sizes, Decimal(0)),
            sum((t["p"] * s for t, s in zip(counted, sizes, strict=True)), Decimal(0)),
            len(counted),
        )

    def decimal(size: Decimal) -> str:
        return f"{int(size)}.0" if size == int(size) else f"{size:.6f}"

    for start, symbol in sorted(windows):
        if start + length > until:
            continue
        window = windows[start, symbol]
        day = days[symbol]
        day += window
        high_low = [
            trade["p"] for trade in window if effect_of(trade.get("c", []), extended_hours=True).high_low
        ]
        if not high_low:
            continue
        open_close = [
            t["p"] for t in window if effect_of(t.get("c", []), extended_hours=True).open_close
        ] or high_low
        volume, notional, count = total(window)
        day_volume, day_notional, _ = total(day)
        bars.append(
            {
                "ev": event_type,
                "sym": symbol,
                "v": int(volume),
                "av": int(day_volume),
                "op": opening[symbol],
                "vw": (notional / volume).quantize(Decimal("0.0001"), ROUND_HALF_UP),
                "o": open_close[0],
                "c": open_close[-1],
                "h": max(high_low),
                "l": min(high_low),
                "a": (day_notional / day_volume).quantize(Decimal("0.0001"), ROUND_HALF_UP),
                "z": int(volume) // count,
                "s": start,
                "e": start + length,
                "dv": decimal(volume),
                "dav": decimal(day_volume),
            }
        )
    return bars


@pytest.mark.parametrize(("event_type", "length", "least"), [("A", 1_000, 1_000), ("AM", 60_000, 30)])
def test_bars_equal_an_oracle_on_the_same_trades(
    events: list[Event], event_type: str, length: int, least: int
) -> None:
    trades = [event for event in events if event["ev"] == "T"]
    bars = [event for event in events if event["ev"] == event_type]
    # The window that ends last is closed by whatever happens at or after its end.
    until = START + 64_000 - 1
    expected = expected_bars(trades, event_type, length, until)
    assert len(expected) >= least
    assert sorted(bars, key=lambda bar: (bar["s"], bar["sym"])) == expected
    # Conditions matter here: a builder that counts every trade fails.
    unconditional = [{key: value for key, value in trade.items() if key != "c"} for trade in trades]
    assert expected_bars(unconditional, event_type, length, until) != expected


def test_bars_come_after_the_trades_of_their_window_and_before_later_ones(events: list[Event]) -> None:
    clock = 0
    for event in events:
        if event["ev"] in ("A", "AM"):
            assert clock < event["e"]
            clock = max(clock, event["e"] - 1)
        elif event["ev"] != "LULD":
            assert event["t"] >= clock
            clock = event["t"]


def test_a_skip_closes_the_open_windows_and_leaves_out_the_rest() -> None:
    market = Market(seed=1, start=START, rate=4_000, symbols=30)
    trades = [event for event in read(market.advance(START + 500)) if event["ev"] == "T"]
    bars = read(market.skip(START + 3_600_000))
    assert market.now == START + 3_600_000
    assert {bar["ev"] for bar in bars} == {"A", "AM"}
    assert {bar["sym"] for bar in bars} <= {trade["sym"] for trade in trades}
    assert {bar["e"] for bar in bars if bar["ev"] == "A"} == {START // 1_000 * 1_000 + 1_000}
    assert {bar["e"] for bar in bars if bar["ev"] == "AM"} == {START // 60_000 * 60_000 + 60_000}
    later = read(market.advance(market.now + 2_000))
    assert min(event["s"] for event in later if event["ev"] == "A") == (START + 3_600_000) // 1_000 * 1_000


def test_a_skip_within_a_second_and_one_into_the_past() -> None:
    market = Market(seed=1, start=START, rate=4_000, symbols=30)
    assert market.skip(START - 1) == []
    assert market.now == START
    assert market.skip(START + 5) == []
    assert market.now == START + 5


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Market(seed=1, start=START, rate=rate)


@pytest.mark.parametrize("symbols", [0, -1, len(LISTINGS) + 1])
def test_a_number_of_symbols_out_of_range_is_refused(symbols: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and {len(LISTINGS)}"):
        Market(seed=1, start=START, rate=1, symbols=symbols)
