"""A type of which the vendor sends few symbols: the demand against an upstream that counts along."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fproxy.core.demand import Demand
from fproxy.core.demand_changes import Changes
from fproxy.core.market import MARKETS, EventType, Market
from fproxy.core.symbol_limits import SymbolLimits

LIMIT = 3
LINGER = 10.0
MARKET = Market(
    name="tulips",
    event_types={
        "T": EventType(name="T"),
        "Q": EventType(name="Q", has_wildcard=False, in_everything=False, max_symbols=LIMIT),
    },
)
TOPICS = [*(f"Q.{symbol}" for symbol in "ABCDEF"), *(f"T.{symbol}" for symbol in "ABCDEF"), "T.*"]


def demand_of(*topics: str) -> Demand:
    demand = Demand(linger=LINGER, market=MARKET)
    for topic in topics:
        demand.acquire(topic)
    return demand


def test_one_more_than_the_limit_is_refused_with_a_reason() -> None:
    demand = demand_of("Q.A", "Q.B", "Q.C")
    assert demand.refusal_of_more("Q.D") == (
        "too many symbols: the vendor sends Q of at most 3 tulips a connection"
    )
    assert demand.refusal_of_more("Q.A") is None
    assert demand.refusal_of_more("T.D") is None
    demand.release("Q.B", 0.0)
    assert demand.refusal_of_more("Q.D") is None


def test_what_lingers_longest_makes_room_before_anything_is_asked_for() -> None:
    demand = demand_of("Q.A", "Q.B", "Q.C")
    demand.changes(0.0)
    demand.release("Q.B", 1.0)
    demand.release("Q.A", 2.0)
    demand.acquire("Q.D")
    assert demand.changes(3.0) == Changes(("Q.D",), (), make_room=("Q.B",))
    assert demand.active == {"Q.A", "Q.C", "Q.D"}
    assert demand.deadline() == 12.0
    assert demand.drops == 1


def test_what_has_lingered_enough_goes_first_too() -> None:
    demand = demand_of("Q.A", "Q.B", "Q.C", "T.A")
    demand.changes(0.0)
    demand.release("Q.A", 1.0)
    demand.release("T.A", 1.0)
    demand.acquire("Q.D")
    assert demand.changes(11.0) == Changes(("Q.D",), ("T.A",), make_room=("Q.A",))


def test_a_topic_that_lingers_is_taken_up_again_rather_than_dropped() -> None:
    demand = demand_of("Q.A", "Q.B", "Q.C")
    demand.changes(0.0)
    demand.release("Q.A", 1.0)
    demand.release("Q.B", 2.0)
    demand.acquire("Q.A")
    demand.acquire("Q.D")
    assert demand.changes(3.0) == Changes(("Q.D",), (), make_room=("Q.B",))


def test_a_topic_that_lingers_and_was_refused_makes_no_room() -> None:
    demand = demand_of("Q.A", "Q.B", "Q.C")
    demand.changes(0.0)
    demand.release("Q.A", 1.0)
    demand.refuse(["Q.A"], "no")
    demand.acquire("Q.D")
    assert demand.changes(3.0) == Changes(("Q.D",), ())


@pytest.mark.parametrize("market", MARKETS.values(), ids=lambda market: market.name)
def test_only_quotes_of_options_are_limited(market: Market) -> None:
    limits = SymbolLimits(market)
    limited = {name: limits.limit(name) for name in market.event_types}
    assert {name for name, limit in limited.items() if limit} == (
        {"Q"} if market.name == "options" else set()
    )
    assert limited.get("Q") == (1_000 if market.name == "options" else None)


class LimitedDemand(RuleBasedStateMachine):
    """The upstream takes each request as it comes, and never gets one that it would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.demand = Demand(linger=LINGER, market=MARKET)
        self.holders: dict[str, int] = {}
        self.upstream: list[str] = []

    def quotes(self) -> set[str]:
        return {topic for topic in self.holders if topic.startswith("Q.")}

    @rule(topic=st.sampled_from(TOPICS))
    def acquire(self, topic: str) -> None:
        refused = topic.startswith("Q.") and topic not in self.holders and len(self.quotes()) >= LIMIT
        assert (self.demand.refusal_of_more(topic) is not None) == refused
        if not refused:
            self.demand.acquire(topic)
            self.holders[topic] = self.holders.get(topic, 0) + 1

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        topic = data.draw(st.sampled_from(sorted(self.holders)))
        self.demand.release(topic, self.now)
        self.holders[topic] -= 1
        if not self.holders[topic]:
            del self.holders[topic]

    @rule(seconds=st.sampled_from([0.5, 5.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def lose_connection(self) -> None:
        self.demand.reset()
        self.upstream.clear()

    @rule()
    def apply_changes(self) -> None:
        changes = self.demand.changes(self.now)
        assert all(topic.startswith("Q.") for topic in changes.make_room)
        assert not any(topic.startswith("Q.") for topic in changes.unsubscribe)
        for topic in changes.make_room:
            self.upstream.remove(topic)
        for topic in changes.subscribe:
            assert topic not in self.upstream
            self.upstream.append(topic)
            assert sum(one.startswith("Q.") for one in self.upstream) <= LIMIT
        for topic in changes.unsubscribe:
            self.upstream.remove(topic)
        for topic in self.holders:
            assert topic in self.upstream or (topic.startswith("T.") and "T.*" in self.upstream)

    @invariant()
    def the_books_agree(self) -> None:
        assert self.demand.active == set(self.upstream)


TestLimitedDemand = LimitedDemand.TestCase
TestLimitedDemand.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
