"""Second and minute bars against an oracle in decimal arithmetic."""

import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.trade_conditions import CONDITIONS, effect_of
from fproxy.simulation.bars import Bars, stock_bar_form

MINUTE = 1_767_623_400_000

Trade = tuple[int, int, int, tuple[int, ...]]  # second of the minute, price units, size units, conditions

trades = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(1, 50_000),
        st.one_of(st.integers(1, 300).map(lambda shares: shares * 1_000_000), st.integers(1, 5_000_000)),
        st.lists(st.sampled_from([*CONDITIONS, 17, 99]), max_size=3).map(tuple),
    ),
    max_size=25,
).map(lambda unsorted: sorted(unsorted, key=lambda trade: trade[0]))


def oracle(
    event_type: str, window: list[Trade], day: list[Trade], start: int, length: int
) -> dict[str, Any] | None:
    """Return the bar of ``window``, whose trades end ``day``."""

    def price(units: int) -> Decimal:
        return Decimal(units).scaleb(-4)

    def total(trades: list[Trade]) -> tuple[Decimal, Decimal, int]:
        counted = [trade for trade in trades if effect_of(trade[3], extended_hours=True).volume]
        volume = sum((Decimal(trade[2]).scaleb(-6) for trade in counted), Decimal(0))
        notional = sum((price(trade[1]) * Decimal(trade[2]).scaleb(-6) for trade in counted), Decimal(0))
        return volume, notional, len(counted)

    def average(notional: Decimal, volume: Decimal, otherwise: Decimal) -> Decimal:
        return (notional / volume).quantize(Decimal("0.0001"), ROUND_HALF_UP) if volume else otherwise

    def decimal(size: Decimal) -> str:
        return f"{int(size)}.0" if size == int(size) else f"{size:.6f}"

    high_low = [price(trade[1]) for trade in window if effect_of(trade[3], extended_hours=True).high_low]
    if not high_low:
        return None
    open_close = [
        price(trade[1]) for trade in window if effect_of(trade[3], extended_hours=True).open_close
    ] or high_low
    volume, notional, count = total(window)
    day_volume, day_notional, _ = total(day)
    return {
        "ev": event_type,
        "sym": "BRK.B",
        "v": int(volume),
        "av": int(day_volume),
        "op": Decimal("497.2"),
        "vw": average(notional, volume, open_close[-1]),
        "o": open_close[0],
        "c": open_close[-1],
        "h": max(high_low),
        "l": min(high_low),
        "a": average(day_notional, day_volume, open_close[-1]),
        "z": int(volume) // count if count else 0,
        "s": start,
        "e": start + length,
        "dv": decimal(volume),
        "dav": decimal(day_volume),
    }


def read(event: str | None) -> dict[str, Any] | None:
    if event is None:
        return None
    decoded: dict[str, Any] = json.loads(event, parse_float=Decimal)
    return decoded


@given(trades)
def test_bars_equal_the_oracle(minute: list[Trade]) -> None:
    bars = Bars(stock_bar_form("BRK.B", 4_972_000))
    for second in range(4):
        window = [trade for trade in minute if trade[0] == second]
        for _, price, size, conditions in window:
            bars.second.add(price, size, effect_of(conditions, extended_hours=True))
        start = MINUTE + second * 1_000
        day = [trade for trade in minute if trade[0] <= second]
        assert read(bars.close_second(start)) == oracle("A", window, day, start, 1_000)
    assert read(bars.close_minute(MINUTE)) == oracle("AM", minute, minute, MINUTE, 60_000)


def test_a_minute_begins_again_and_a_day_goes_on() -> None:
    bars = Bars(stock_bar_form("BRK.B", 4_972_000))
    first: Trade = (0, 100, 1_000_000, ())
    second: Trade = (0, 300, 3_000_000, ())
    for trade in (first, second):
        bars.second.add(trade[1], trade[2], effect_of(trade[3], extended_hours=True))
        bars.close_second(MINUTE)
        day = [first] if trade is first else [first, second]
        assert read(bars.close_minute(MINUTE)) == oracle("AM", [trade], day, MINUTE, 60_000)
    assert bars.close_second(MINUTE) is None
    assert bars.close_minute(MINUTE) is None


@pytest.mark.parametrize("conditions", [(37,), (12, 37), (2,), (15,)])
def test_trades_that_set_no_price_make_no_bar_but_count_in_the_day(conditions: tuple[int, ...]) -> None:
    bars = Bars(stock_bar_form("BRK.B", 4_972_000))
    bars.second.add(100, 7_000_000, effect_of(conditions, extended_hours=True))
    assert bars.close_second(MINUTE) is None
    bars.second.add(100, 1_000_000, effect_of((), extended_hours=True))
    bar = read(bars.close_second(MINUTE + 1_000))
    assert bar is not None
    assert (bar["v"], bar["av"]) == (1, 1 if conditions == (15,) else 8)


def test_extended_hours_trades_make_bars() -> None:
    bars = Bars(stock_bar_form("F", 120_000))
    bars.second.add(120_700, 100_000_000, effect_of((12,), extended_hours=True))
    assert bars.close_second(MINUTE) == (
        '{"ev":"A","sym":"F","v":100,"av":100,"op":12,"vw":12.07,"o":12.07,"c":12.07,"h":12.07,"l":12.07,'
        f'"a":12.07,"z":100,"s":{MINUTE},"e":{MINUTE + 1_000},"dv":"100.0","dav":"100.0"}}'
    )
