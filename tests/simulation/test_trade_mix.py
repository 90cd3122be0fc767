"""The kinds of trades, and how often they come up."""

import json
from collections import Counter

from fproxy.core.trade_conditions import CONDITIONS, effect_of
from fproxy.simulation.trade_mix import TRADE_KINDS


def test_there_are_as_many_kinds_as_ten_bits_choose_from() -> None:
    assert len(TRADE_KINDS) == 1024


def test_a_kind_agrees_with_its_conditions() -> None:
    for kind in TRADE_KINDS:
        assert json.loads(f'{{"x":1{kind.field}}}').get("c", []) == list(kind.conditions)
        assert kind.is_odd_lot == (37 in kind.conditions)
        assert kind.effect == effect_of(kind.conditions, extended_hours=True)


def test_about_half_of_all_trades_are_odd_lots_and_a_third_have_no_condition() -> None:
    counts = Counter(condition for kind in TRADE_KINDS for condition in kind.conditions)
    assert 0.35 < counts[37] / 1024 < 0.6
    assert 0.35 < counts[14] / 1024 < 0.6
    assert 0.02 < counts[12] / 1024 < 0.15
    assert 0.2 < sum(not kind.conditions for kind in TRADE_KINDS) / 1024 < 0.4


def test_every_kind_of_effect_comes_up() -> None:
    assert {kind.effect for kind in TRADE_KINDS} == {
        (True, True, True),
        (True, False, True),
        (False, False, True),
        (False, False, False),
    }
    assert any(condition not in CONDITIONS for kind in TRADE_KINDS for condition in kind.conditions)
