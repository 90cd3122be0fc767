"""Delays between attempts to connect, with chance and clock in the test's hands."""

import random

import pytest

from fproxy.core.backoff import Backoff


def lowest(low: float, high: float) -> float:
    assert low <= high
    return low


def highest(low: float, high: float) -> float:
    assert low <= high
    return high


def test_the_longest_delays_double_up_to_the_maximum() -> None:
    backoff = Backoff(uniform=highest)
    assert [backoff.failed(0.0) for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_the_shortest_delay_is_always_the_initial_one() -> None:
    backoff = Backoff(uniform=lowest)
    assert [backoff.failed(0.0) for _ in range(5)] == [1.0] * 5


def test_the_first_delay_is_exact_and_the_later_ones_are_spread() -> None:
    delays = []
    for seed in range(200):
        backoff = Backoff(uniform=random.Random(seed).uniform)
        assert backoff.failed(0.0) == 1.0
        backoff.failed(0.0)
        backoff.failed(0.0)
        delays.append(backoff.failed(0.0))
    assert all(1.0 <= delay <= 8.0 for delay in delays)
    assert min(delays) < 2.0
    assert max(delays) > 7.0


def test_a_connection_that_lasted_starts_the_delays_anew() -> None:
    backoff = Backoff(uniform=highest, stable_after=10.0)
    assert [backoff.failed(0.0) for _ in range(3)] == [1.0, 2.0, 4.0]
    backoff.connected(100.0)
    assert backoff.failed(110.0) == 1.0


def test_a_connection_that_did_not_last_counts_as_a_failure() -> None:
    backoff = Backoff(uniform=highest, stable_after=10.0)
    assert [backoff.failed(0.0) for _ in range(3)] == [1.0, 2.0, 4.0]
    backoff.connected(100.0)
    assert backoff.failed(109.9) == 8.0
    # The connection of then says nothing about the next attempt.
    assert backoff.failed(200.0) == 16.0


@pytest.mark.parametrize(("uniform", "delay"), [(lowest, 60.0), (highest, 120.0)])
def test_being_turned_away_waits_long(uniform: object, delay: float) -> None:
    assert Backoff(refused=60.0, uniform=uniform).failed(0.0, refused=True) == delay  # type: ignore[arg-type]


def test_hours_of_failures_overflow_nothing() -> None:
    backoff = Backoff(uniform=highest)
    assert [backoff.failed(0.0) for _ in range(20_000)][-1] == 30.0


def test_a_maximum_below_the_initial_delay_is_taken_as_it() -> None:
    backoff = Backoff(initial=5.0, maximum=1.0, uniform=highest)
    assert [backoff.failed(0.0) for _ in range(3)] == [5.0] * 3


@pytest.mark.parametrize("name", ["initial", "maximum", "factor", "refused", "stable_after"])
@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_wrong_setting_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Backoff(**{name: value})
