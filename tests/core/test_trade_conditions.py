"""The SIPs' rules, spelled out once more in the tests so that a slip in the table shows."""

import itertools

import pytest

from fproxy.core.trade_conditions import CONDITIONS, ConditionEffect, effect_of

EVERYTHING = ConditionEffect(high_low=True, open_close=True, volume=True)
VOLUME_ONLY = ConditionEffect(high_low=False, open_close=False, volume=True)
NO_OPEN_CLOSE = ConditionEffect(high_low=True, open_close=False, volume=True)
PRICES_ONLY = ConditionEffect(high_low=True, open_close=True, volume=False)
NOTHING = ConditionEffect(high_low=False, open_close=False, volume=False)

RULES = {
    EVERYTHING: {0, 1, 3, 4, 8, 9, 11, 14, 23, 25, 27, 28, 30, 34, 36, 41},
    VOLUME_ONLY: {2, 7, 12, 13, 20, 21, 37, 52, 53},
    NO_OPEN_CLOSE: {5, 10, 22, 29, 33},
    PRICES_ONLY: {38},
    NOTHING: {15, 16},
}


def test_the_table_holds_these_conditions_and_no_others() -> None:
    assert set(CONDITIONS) == set().union(*RULES.values())
    assert sum(map(len, RULES.values())) == len(CONDITIONS)


@pytest.mark.parametrize(
    ("effect", "number"), [(effect, n) for effect, ns in RULES.items() for n in sorted(ns)]
)
def test_one_condition_has_its_own_effect(effect: ConditionEffect, number: int) -> None:
    assert effect_of([number], extended_hours=False) == effect
    assert effect_of([number], extended_hours=True) == (EVERYTHING if number == 12 else effect)


def test_no_condition_allows_everything() -> None:
    assert effect_of([], extended_hours=False) == EVERYTHING


@pytest.mark.parametrize("number", [-1, 6, 17, 99, 233, 10**9])
def test_an_unlisted_condition_allows_everything(number: int) -> None:
    assert number not in CONDITIONS
    assert effect_of([number], extended_hours=False) == EVERYTHING


@pytest.mark.parametrize("extended_hours", [False, True])
def test_every_condition_must_allow(extended_hours: bool) -> None:
    for first, second in itertools.product(CONDITIONS, repeat=2):
        one = effect_of([first], extended_hours=extended_hours)
        two = effect_of([second], extended_hours=extended_hours)
        both = effect_of(iter((first, second)), extended_hours=extended_hours)
        assert both == ConditionEffect(*(a and b for a, b in zip(one, two, strict=True)))


def test_in_extended_hours_the_other_conditions_still_forbid() -> None:
    assert effect_of([12, 37], extended_hours=True) == VOLUME_ONLY
    assert effect_of([12, 14, 41], extended_hours=True) == EVERYTHING
    assert effect_of([12, 14, 41], extended_hours=False) == VOLUME_ONLY
