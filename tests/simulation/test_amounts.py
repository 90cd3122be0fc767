"""Exact integers against exact decimals."""

import json
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.simulation.amounts import PRICE_UNITS, SIZE_UNITS, average_price, decimal_size_text, price_text

prices = st.integers(1, 10**11)
sizes = st.integers(1, 10**13)


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (2_978_450, "297.845"),
        (120_000, "12"),
        (1, "0.0001"),
        (10_000, "1"),
        (4_521, "0.4521"),
        (100_100, "10.01"),
    ],
)
def test_a_price_is_written_as_short_as_json_allows(price: int, text: str) -> None:
    assert price_text(price) == text


@given(prices)
def test_a_price_reads_back_exactly_and_no_shorter_number_does(price: int) -> None:
    text = price_text(price)
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == Decimal(price) / PRICE_UNITS
    assert text == repr(price / PRICE_UNITS).removesuffix(".0") or "e" in repr(price / PRICE_UNITS)


@pytest.mark.parametrize(
    ("size", "text"),
    [(40_000_000, "40.0"), (250_000, "0.250000"), (1, "0.000001"), (4_332_125_038_360, "4332125.038360")],
)
def test_a_decimal_size_has_one_decimal_or_six(size: int, text: str) -> None:
    assert decimal_size_text(size) == text


@given(sizes)
def test_a_decimal_size_reads_back_exactly(size: int) -> None:
    assert Decimal(decimal_size_text(size)) == Decimal(size) / SIZE_UNITS


@given(st.lists(st.tuples(prices, sizes), min_size=1, max_size=20))
def test_an_average_price_is_rounded_half_up(trades: list[tuple[int, int]]) -> None:
    notional = sum(price * size for price, size in trades)
    size = sum(size for _, size in trades)
    exact = Decimal(notional) / Decimal(size)
    if abs(exact % 1 - Decimal("0.5")) > Decimal("1e-9"):  # nearer to the half, 28 digits do not decide
        assert average_price(notional, size) == exact.to_integral_value(ROUND_HALF_UP)


def test_an_exact_half_is_rounded_up() -> None:
    assert average_price(3, 2) == 2
    assert average_price(5, 2) == 3
