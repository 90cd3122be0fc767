"""Demand, by example and against a model that looks at everything each time."""

import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fproxy.core import demand as demand_module
from fproxy.core.demand import MAX_ASKS, MAX_DROPS, Demand
from fproxy.core.demand_changes import Changes
from fproxy.core.market import MARKETS
from fproxy.core.spread import PARTS
from fproxy.core.topic_queue import IN_A_BUCKET

NOTHING = Changes((), ())


def said(demand: Demand, now: float) -> list[Changes]:
    """Return all that is to be said upstream now, however many pieces it comes in."""
    pieces = [demand.changes(now)]
    while not pieces[-1].are_all:
        pieces.append(demand.changes(now))
    return pieces


def test_the_first_holder_subscribes_and_the_others_cost_nothing() -> None:
    demand = Demand()
    demand.acquire("T.AAPL")
    demand.acquire("T.AAPL")
    assert demand.changes(0.0) == Changes(("T.AAPL",), ())
    demand.acquire("T.AAPL")
    assert demand.changes(0.0) == NOTHING
    assert demand.count("T.AAPL") == 3
    assert len(demand) == 1
    assert "T.AAPL" in demand


def test_the_last_release_unsubscribes_after_the_linger() -> None:
    demand = Demand(linger=30.0)
    demand.acquire("T.AAPL")
    demand.acquire("T.AAPL")
    demand.changes(0.0)
    demand.release("T.AAPL", 1.0)
    assert demand.deadline() is None
    demand.release("T.AAPL", 2.0)
    assert demand.deadline() == 32.0
    assert demand.changes(31.9) == NOTHING
    assert demand.active == {"T.AAPL"}
    assert demand.changes(32.0) == Changes((), ("T.AAPL",))
    assert demand.active == frozenset()
    assert demand.deadline() is None


def test_coming_back_within_the_linger_costs_nothing() -> None:
    demand = Demand(linger=30.0)
    demand.acquire("T.AAPL")
    demand.changes(0.0)
    demand.release("T.AAPL", 1.0)
    demand.acquire("T.AAPL")
    assert demand.deadline() is None
    assert demand.changes(100.0) == NOTHING
    assert demand.active == {"T.AAPL"}


def test_without_a_linger_a_topic_goes_with_its_last_holder() -> None:
    demand = Demand(linger=0.0)
    demand.acquire("T.AAPL")
    demand.changes(5.0)
    demand.release("T.AAPL", 5.0)
    assert demand.changes(5.0) == Changes((), ("T.AAPL",))


def test_what_was_never_said_upstream_is_forgotten_at_once() -> None:
    demand = Demand()
    demand.acquire("T.AAPL")
    demand.release("T.AAPL", 0.0)
    assert demand.deadline() is None
    assert demand.changes(100.0) == NOTHING


def test_a_wildcard_covers_what_is_wanted_in_the_same_breath_and_later() -> None:
    demand = Demand()
    demand.acquire("T.AAPL")
    demand.acquire("T.*")
    demand.acquire("Q.AAPL")
    assert demand.changes(0.0) == Changes(("T.*", "Q.AAPL"), ())
    demand.acquire("T.MSFT")
    assert demand.changes(0.0) == NOTHING


def test_what_a_wildcard_covered_is_asked_for_when_the_wildcard_goes() -> None:
    demand = Demand(linger=10.0)
    for topic in ("T.*", "T.AAPL", "T.MSFT", "T.IBM"):
        demand.acquire(topic)
    demand.changes(0.0)
    demand.release("T.IBM", 0.0)
    demand.release("T.*", 0.0)
    assert demand.changes(9.0) == NOTHING
    assert demand.changes(10.0) == Changes(("T.AAPL", "T.MSFT"), ("T.*",))


def test_a_topic_that_was_active_before_its_wildcard_stays_until_nobody_wants_it() -> None:
    demand = Demand(linger=10.0)
    demand.acquire("T.AAPL")
    demand.changes(0.0)
    demand.acquire("T.*")
    assert demand.changes(0.0) == Changes(("T.*",), ())
    demand.release("T.*", 0.0)
    assert demand.changes(10.0) == Changes((), ("T.*",))
    assert demand.active == {"T.AAPL"}


def test_a_lingering_wildcard_still_covers() -> None:
    demand = Demand(linger=10.0)
    demand.acquire("100Ms.*")
    demand.changes(0.0)
    demand.release("100Ms.*", 0.0)
    demand.acquire("100Ms.AAPL")
    assert demand.changes(5.0) == NOTHING
    assert demand.changes(10.0) == Changes(("100Ms.AAPL",), ("100Ms.*",))


def test_wildcards_are_asked_for_first() -> None:
    demand = Demand(linger=10.0)
    demand.acquire("T.*")
    demand.acquire("T.AAPL")
    demand.changes(0.0)
    demand.release("T.*", 0.0)
    demand.acquire("Q.AAPL")
    demand.acquire("A.*")
    assert demand.changes(10.0) == Changes(("A.*", "T.AAPL", "Q.AAPL"), ("T.*",))


def test_the_wildcard_of_one_type_covers_no_other() -> None:
    demand = Demand()
    demand.acquire("A.*")
    demand.acquire("AM.AAPL")
    assert demand.changes(0.0) == Changes(("A.*", "AM.AAPL"), ())


def test_after_a_lost_connection_all_that_is_wanted_is_asked_for_again() -> None:
    demand = Demand(linger=10.0)
    for topic in ("T.AAPL", "Q.IBM", "T.MSFT", "Q.*"):
        demand.acquire(topic)
    demand.changes(0.0)
    demand.release("T.MSFT", 1.0)
    demand.reset()
    assert demand.active == frozenset()
    assert demand.deadline() is None
    assert demand.changes(2.0) == Changes(("Q.*", "T.AAPL"), ())


def test_a_refused_topic_is_not_asked_for_again() -> None:
    demand = Demand(linger=10.0)
    demand.acquire("NOI.AAPL")
    demand.changes(0.0)
    demand.refuse(["NOI.AAPL"], "not authorized")
    demand.acquire("NOI.AAPL")
    assert demand.changes(0.0) == NOTHING
    assert demand.refusal("NOI.AAPL") == "not authorized"
    assert demand.active == frozenset()


def test_a_refusal_is_forgotten_with_the_linger_and_needs_no_unsubscribe() -> None:
    demand = Demand(linger=10.0)
    demand.acquire("NOI.AAPL")
    demand.changes(0.0)
    demand.refuse(["NOI.AAPL"], "not authorized")
    demand.release("NOI.AAPL", 0.0)
    demand.acquire("NOI.AAPL")
    assert demand.changes(5.0) == NOTHING
    demand.release("NOI.AAPL", 5.0)
    assert demand.changes(15.0) == NOTHING
    assert demand.refusal("NOI.AAPL") is None
    demand.acquire("NOI.AAPL")
    assert demand.changes(15.0) == Changes(("NOI.AAPL",), ())


def test_what_was_refused_for_want_of_room_is_asked_for_whenever_somebody_wants_it() -> None:
    """Others behind the same upstream may have made room meanwhile, which nobody says."""
    demand = Demand(linger=10.0, market=MARKETS["options"])
    too_many = "too many symbols: the vendor sends Q of at most 1000 options a connection: Q.O:SPY"
    for _ in range(2):  # two who want it, and then one of them once more
        demand.acquire("Q.O:SPY")
        assert demand.changes(0.0) == Changes(("Q.O:SPY",), ())
        demand.refuse(["Q.O:SPY"], too_many)
        assert demand.refusal("Q.O:SPY") == too_many
        assert demand.changes(0.0) == NOTHING
    for _ in range(2):
        demand.release("Q.O:SPY", 1.0)
    assert demand.deadline() is None
    demand.acquire("Q.O:SPY")
    assert demand.changes(1.0) == Changes(("Q.O:SPY",), ())
    assert demand.refusal("Q.O:SPY") is None


def test_a_refusal_is_forgotten_with_the_connection() -> None:
    demand = Demand()
    demand.acquire("NOI.AAPL")
    demand.changes(0.0)
    demand.refuse(["NOI.AAPL"], "not authorized")
    demand.reset()
    assert demand.refusal("NOI.AAPL") is None
    assert demand.changes(0.0) == Changes(("NOI.AAPL",), ())


def test_what_a_refused_wildcard_covered_is_asked_for() -> None:
    demand = Demand()
    demand.acquire("T.*")
    demand.acquire("T.AAPL")
    demand.changes(0.0)
    demand.refuse(["T.*"], "not authorized")
    assert demand.changes(0.0) == Changes(("T.AAPL",), ())


def test_the_refusal_of_a_topic_that_is_not_active_means_nothing() -> None:
    demand = Demand()
    demand.refuse(["T.AAPL"], "not authorized")
    assert demand.refusal("T.AAPL") is None
    demand.acquire("T.AAPL")
    assert demand.changes(0.0) == Changes(("T.AAPL",), ())


def test_a_release_too_many_is_an_error() -> None:
    demand = Demand()
    with pytest.raises(ValueError, match=r"T\.AAPL"):
        demand.release("T.AAPL", 0.0)
    demand.acquire("T.AAPL")
    demand.release("T.AAPL", 0.0)
    with pytest.raises(ValueError, match=r"T\.AAPL"):
        demand.release("T.AAPL", 0.0)


def test_a_negative_linger_is_an_error() -> None:
    with pytest.raises(ValueError, match="-1"):
        Demand(linger=-1.0)


def test_a_clock_that_steps_back_delays_an_unsubscribe_and_breaks_nothing() -> None:
    demand = Demand(linger=10.0)
    for topic in ("T.A", "T.B"):
        demand.acquire(topic)
    demand.changes(0.0)
    demand.release("T.A", 100.0)
    demand.release("T.B", 50.0)
    assert demand.changes(109.0) == NOTHING
    assert demand.changes(110.0) == Changes((), ("T.A", "T.B"))


SYMBOLS = ("A", "B", "C", "BRK.B")
TOPICS = [f"{kind}.{symbol}" for kind in ("T", "100Ms") for symbol in (*SYMBOLS, "*")]
topics = st.sampled_from(TOPICS)


def covers(wildcard: str, topic: str) -> bool:
    return wildcard.endswith(".*") and topic.split(".", 1)[0] == wildcard.split(".", 1)[0]


class DemandAgainstModel(RuleBasedStateMachine):
    """The model keeps what an upstream would: what it was asked for. It derives all else by looking at everything."""

    at_once = MAX_ASKS

    def __init__(self) -> None:
        super().__init__()
        demand_module.MAX_ASKS = self.at_once  # type: ignore[misc]
        self.now = 0.0
        self.demand = Demand(linger=10.0)
        self.holders: dict[str, int] = {}
        self.released: dict[str, float] = {}
        self.upstream: set[str] = set()
        self.refused: set[str] = set()

    def lingers(self, topic: str) -> bool:
        return topic in self.released and self.now < self.released[topic] + 10.0

    @rule(topic=topics)
    def acquire(self, topic: str) -> None:
        self.demand.acquire(topic)
        self.holders[topic] = self.holders.get(topic, 0) + 1
        self.released.pop(topic, None)

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        topic = data.draw(st.sampled_from(sorted(self.holders)))
        self.demand.release(topic, self.now)
        self.holders[topic] -= 1
        if not self.holders[topic]:
            del self.holders[topic]
            if topic in self.upstream | self.refused:
                self.released[topic] = self.now

    @rule(seconds=st.sampled_from([0.0, 0.5, 5.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def lose_connection(self) -> None:
        self.demand.reset()
        self.upstream.clear()
        self.refused.clear()
        self.released.clear()

    @precondition(lambda self: self.upstream)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        topic = data.draw(st.sampled_from(sorted(self.upstream)))
        self.demand.refuse([topic], "no")
        self.upstream.remove(topic)
        self.refused.add(topic)

    def teardown(self) -> None:
        demand_module.MAX_ASKS = MAX_ASKS  # type: ignore[misc]

    @rule()
    def apply_a_piece(self) -> None:
        before = set(self.upstream)
        changes = self.demand.changes(self.now)
        assert len(set(changes.subscribe)) == len(changes.subscribe)
        # What goes may have been covering what is still to be asked for.
        assert changes.are_all or not changes.given_up
        # Only what is wanted, not active and not covered is asked for.
        for topic in changes.subscribe:
            assert topic in self.holders
            assert topic not in self.upstream | self.refused
            self.upstream.add(topic)
        staying = self.upstream - set(changes.unsubscribe)
        for topic in changes.subscribe:
            assert not any(covers(other, topic) for other in staying if other != topic)
        # Nobody has missed anything on the way: all is there before anything goes.
        for topic in changes.unsubscribe:
            assert topic in before
            assert topic not in self.holders
            assert not self.lingers(topic)
            self.upstream.remove(topic)
            self.released.pop(topic, None)
            self.check_all_wanted_is_there()
        assert changes.are_all is not self.demand.has_more
        if changes.are_all:
            self.refused -= {t for t in self.refused if t not in self.holders and not self.lingers(t)}

    @rule()
    def apply_changes(self) -> None:
        self.apply_a_piece()
        while self.demand.has_more:
            self.apply_a_piece()
        # And nothing stays that nobody wants.
        assert all(topic in self.holders or self.lingers(topic) for topic in self.upstream)
        self.check_all_wanted_is_there()
        assert self.demand.changes(self.now) == NOTHING

    def check_all_wanted_is_there(self) -> None:
        for topic in self.holders:
            assert (
                topic in self.upstream
                or topic in self.refused
                or any(covers(other, topic) for other in self.upstream)
            )

    @invariant()
    def the_books_agree(self) -> None:
        assert self.demand.active == self.upstream
        assert {t for t in TOPICS if t in self.demand} == set(self.holders)
        assert all(self.demand.count(t) == self.holders.get(t, 0) for t in TOPICS)
        waiting = [self.released[t] + 10.0 for t in self.upstream | self.refused if t in self.released]
        assert self.demand.deadline() == min(waiting, default=None)


class PiecemealDemandAgainstModel(DemandAgainstModel):
    """The same where each topic is asked for by itself."""

    at_once = 1


TestDemandAgainstModel = DemandAgainstModel.TestCase
TestPiecemealDemandAgainstModel = PiecemealDemandAgainstModel.TestCase
TestDemandAgainstModel.settings = TestPiecemealDemandAgainstModel.settings = settings(max_examples=60)


@given(st.lists(topics, max_size=20))
def test_the_same_calls_give_the_same_changes(acquired: list[str]) -> None:
    def changes() -> Changes:
        demand = Demand()
        for topic in acquired:
            demand.acquire(topic)
        return demand.changes(0.0)

    assert changes() == changes()


def storm(size: int) -> Callable[[], None]:
    """Single subscriptions, each said upstream at once, then their ends in turn: the worst case for a scan."""

    def run() -> None:
        demand = Demand(linger=1.0)
        names = [f"T.S{number}" for number in range(size)]
        for name in names:
            demand.acquire(name)
            assert demand.changes(0.0).subscribe == (name,)
        for index, name in enumerate(names):
            demand.release(name, float(index))
        for index, name in enumerate(names):
            assert demand.deadline() == index + 1.0
            assert demand.changes(index + 1.0).unsubscribe == (name,)

    return run


def test_a_storm_of_single_subscriptions_is_linear() -> None:
    def cost(run: Callable[[], None]) -> float:
        def once() -> float:
            start = time.process_time()
            run()
            return time.process_time() - start

        return min(once() for _ in range(3))

    # Eight times the topics: linear costs 8 times as much, quadratic 64 times.
    assert cost(storm(16_000)) < 24 * cost(storm(2_000))


def test_topics_that_linger_no_more_are_dropped_a_bounded_number_at_a_time() -> None:
    demand = Demand(linger=1.0)
    topics = [f"T.S{number}" for number in range(4 * MAX_DROPS + 1)]
    for topic in topics:
        demand.acquire(topic)
    said(demand, 0.0)
    for topic in topics:
        demand.release(topic, 0.0)
    dropped: list[str] = []
    calls = 0
    while (deadline := demand.deadline()) is not None and deadline <= 1.0:
        changes = demand.changes(1.0)
        assert not changes.subscribe
        assert len(changes.unsubscribe) <= MAX_DROPS
        dropped += changes.unsubscribe
        calls += 1
    assert dropped == topics
    assert calls == 5
    assert not demand.active


def test_after_a_lost_connection_a_bounded_number_is_asked_for_at_a_time_and_wildcards_first() -> None:
    demand = Demand(linger=1.0)
    topics = [f"T.S{number}" for number in range(5 * MAX_ASKS)]
    for topic in (*topics, "Q.*", "Q.COVERED"):
        demand.acquire(topic)
    said(demand, 0.0)
    demand.reset()
    assert demand.active == frozenset()
    first = demand.changes(1.0)
    assert first.subscribe[0] == "Q.*"
    # Meanwhile clients come and go.
    gone, came = next(topic for topic in topics if topic not in first.subscribe), "T.NEW"
    demand.release(gone, 1.0)
    demand.acquire(came)
    pieces = [first, *said(demand, 1.0)]
    assert len(pieces) >= 5
    assert all(len(piece.subscribe) <= MAX_ASKS for piece in pieces)
    asked = [topic for piece in pieces for topic in piece.subscribe]
    assert len(set(asked)) == len(asked)
    assert set(asked) == {"Q.*", came, *topics} - {gone}
    assert [piece.are_all for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_to_lose_a_connection_costs_the_same_however_many_topics_there_are() -> None:
    """What it had is left over in parts, none of which is long, and nothing is gone through."""

    def steps(size: int) -> int:
        demand = Demand()
        for number in range(size):
            demand.acquire(f"T.S{number}")
        said(demand, 0.0)
        demand.confirm((f"T.S{number}" for number in range(size)), 1)
        calls = 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(count)
        try:
            demand.reset(is_recoverable=True)
        finally:
            sys.setprofile(None)
        assert max(map(len, demand.leftovers)) <= max(2 * size / PARTS, IN_A_BUCKET)
        return calls

    assert steps(30_000) < 2 * steps(300)


def test_a_wildcard_goes_when_all_that_it_covered_has_been_asked_for_in_pieces() -> None:
    demand = Demand(linger=1.0)
    demand.acquire("T.*")
    demand.changes(0.0)
    topics = [f"T.S{number}" for number in range(2 * MAX_DROPS + 1)]
    for topic in topics:
        demand.acquire(topic)
    said(demand, 0.0)
    demand.release("T.*", 0.0)
    asked: list[str] = []
    for _ in range(2):
        changes = demand.changes(1.0)
        assert not changes.unsubscribe
        assert len(changes.subscribe) == MAX_DROPS
        asked += changes.subscribe
    demand.release(topics[-1], 1.0)  # what nobody wants any more need not be asked for
    changes = demand.changes(1.0)
    assert changes.unsubscribe == ("T.*",)
    assert asked == topics[:-1]
    assert demand.active == set(asked)


def test_a_wildcard_that_is_wanted_again_in_between_stays_and_covers_the_rest() -> None:
    demand = Demand(linger=1.0)
    demand.acquire("T.*")
    demand.changes(0.0)
    topics = [f"T.S{number}" for number in range(MAX_DROPS + 5)]
    for topic in topics:
        demand.acquire(topic)
    said(demand, 0.0)
    demand.release("T.*", 0.0)
    demand.changes(1.0)
    demand.acquire("T.*")
    assert demand.changes(2.0) == Changes((), ())
    assert demand.active == {"T.*", *topics[:MAX_DROPS]}
    demand.release("T.*", 2.0)
    assert demand.changes(3.0) == Changes(tuple(topics[MAX_DROPS:]), ("T.*",))


def test_a_topic_flows_from_its_acknowledgement_on_and_across_what_is_recovered() -> None:
    demand = Demand(linger=0.0)
    for topic in ("T.A", "T.B"):
        demand.acquire(topic)
    demand.changes(0.0)
    assert demand.flows_since("T.A") is None
    demand.confirm(["T.A", "T.B", "T.X"], 100)
    assert [demand.flows_since(topic) for topic in ("T.A", "T.X")] == [100, None]
    demand.reset(is_recoverable=True)
    demand.release("T.B", 0.0)
    demand.acquire("T.B")
    demand.changes(1.0)
    demand.recovering(is_complete=True, all_of=[])
    demand.confirm(["T.A", "T.B"], 200)
    assert [demand.flows_since(topic) for topic in ("T.A", "T.B")] == [100, 200], (
        "one was given up in between"
    )
    demand.reset(is_recoverable=True)
    demand.changes(2.0)
    demand.recovering(is_complete=False, all_of=["Q"])
    demand.confirm(["T.A"], 300)
    assert [demand.flows_since(topic) for topic in ("T.A", "Q.A")] == [300, 0]
    demand.reset()
    assert demand.flows_since("T.A") is demand.flows_since("Q.A") is None


def test_what_a_wildcard_covers_flows_as_long_as_the_wildcard_did() -> None:
    demand = Demand(linger=0.0)
    demand.acquire("T.*")
    demand.acquire("T.A")
    demand.changes(0.0)
    demand.confirm(["T.*"], 100)
    assert demand.flows_since("T.A") == 100
    demand.release("T.*", 1.0)
    assert demand.changes(1.0).subscribe == ("T.A",)
    assert demand.flows_since("T.A") == 100
    assert demand.drops == 1


def test_what_the_upstream_has_brought_of_before_counts_as_flowing() -> None:
    demand = Demand()
    demand.acquire("A.A", since=40)
    assert demand.awaits_past("A.A")
    changes = demand.changes(0.0)
    demand.asked_since(changes.since)
    demand.confirm(["A.A"], 100)
    assert demand.awaits_past("A.A")
    demand.replayed(["A.A"], is_complete=True, now=700)
    assert not demand.awaits_past("A.A")
    assert demand.flows_since("A.A") == 40
