"""Steps in the turns of the event loop: whose turn it is, how many there are in one, and that none is forgotten."""

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest
import uvloop

from fproxy.shell.turn_budget import TurnBudget
from fproxy.shell.turns import Turns


class Clock:
    """A clock that a step moves on by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """A worker with a number of steps, each of which takes a second."""

    def __init__(self, log: list[str], name: str, count: int, clock: Clock) -> None:
        self.log, self.name, self.left, self.clock = log, name, count, clock
        self.also: Callable[[], None] = lambda: None

    def step(self) -> bool:
        if not self.left:
            return False
        self.left -= 1
        self.log.append(self.name)
        self.clock.now += 1.0
        self.also()
        return self.left > 0


async def a_turn() -> None:
    await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def turns_of(clock: Clock, seconds: float) -> Turns:
    return Turns(asyncio.get_running_loop(), budget=TurnBudget(seconds, share=0.0), clock=clock)


async def test_workers_share_the_time_of_a_turn_a_step_each(clock: Clock) -> None:
    log: list[str] = []
    turns = turns_of(clock, 3.0)
    for name in "abc":
        turns.ask(Counting(log, name, 3, clock))
    assert log == [], "not at once"
    for expected in ("abc", "abcabc", "abcabcabc"):
        await a_turn()
        assert "".join(log) == expected


async def test_one_whose_turn_has_come_begins_at_once_unless_others_wait(clock: Clock) -> None:
    log: list[str] = []
    turns = turns_of(clock, 1.0)
    turns.begin(Counting(log, "a", 2, clock))
    assert log == ["a"]
    turns.begin(Counting(log, "b", 1, clock))
    assert log == ["a"], "it is a's turn"
    for _ in range(3):
        await a_turn()
    assert log == ["a", "a", "b"]


async def test_a_step_may_ask_for_others_and_for_itself_once_each(clock: Clock) -> None:
    log: list[str] = []
    turns = turns_of(clock, 10.0)
    asking, other = Counting(log, "a", 2, clock), Counting(log, "b", 1, clock)

    def ask() -> None:
        for worker in (asking, other, other):
            turns.ask(worker)
            turns.begin(worker)

    asking.also = ask
    turns.begin(asking)
    assert log == ["a", "a", "b"] or log == ["a", "b", "a"]


async def test_there_is_time_only_within_a_turn_and_until_it_is_over(clock: Clock) -> None:
    log: list[str] = []
    turns = turns_of(clock, 1.5)
    left: list[bool] = []
    worker = Counting(log, "a", 2, clock)
    worker.also = lambda: left.append(turns.time_is_left)
    assert not turns.time_is_left
    turns.begin(worker)
    assert left == [True, False]
    assert not turns.time_is_left


async def test_there_is_no_more_time_because_another_program_had_the_core(clock: Clock) -> None:
    log: list[str] = []
    worked = Clock()
    turns = Turns(
        asyncio.get_running_loop(), budget=TurnBudget(1.0, most=10.0, share=1.0), clock=clock, worked=worked
    )
    turns.ask(Counting(log, "a", 20, clock))
    await a_turn()
    clock.now += 5.0
    await a_turn()
    assert len(log) == 2
    clock.now += 5.0
    worked.now += 5.0
    await a_turn()
    assert len(log) == 2 + 5


async def test_what_is_done_aside_gives_the_workers_no_more_time(clock: Clock) -> None:
    log: list[str] = []
    turns = Turns(
        asyncio.get_running_loop(),
        budget=TurnBudget(1.0, most=10.0, share=1.0),
        clock=clock,
        worked=clock,
    )
    turns.ask(Counting(log, "a", 20, clock))
    await a_turn()
    with turns.aside():
        clock.now += 5.0
    await a_turn()
    assert len(log) == 2
    clock.now += 3.0
    with turns.aside():
        clock.now += 5.0
    await a_turn()
    assert len(log) == 2 + 3


async def test_after_every_so_many_steps_of_all_workers_there_is_tidied(clock: Clock) -> None:
    log: list[str] = []
    turns = turns_of(clock, 1.0)
    turns.after_every(3, lambda: log.append("-"))
    for name in "ab":
        turns.ask(Counting(log, name, 4, clock))
    for _ in range(8):
        await a_turn()
    assert "".join(log) == "aba-bab-ab"
    turns.after_every(3, None)
    turns.ask(Counting(log, "c", 3, clock))
    for _ in range(3):
        await a_turn()
    assert "".join(log) == "aba-bab-abccc"


async def test_a_step_that_fails_costs_the_others_nothing(clock: Clock) -> None:
    class Failing:
        def step(self) -> bool:
            raise RuntimeError("a defect")

    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(str(context["exception"]))
    )
    log: list[str] = []
    turns = turns_of(clock, 1.0)
    turns.ask(Failing())
    turns.ask(Counting(log, "a", 1, clock))
    for _ in range(3):
        await a_turn()
    assert (told, log) == (["a defect"], ["a"])


def test_the_longer_all_else_takes_the_more_time_there_is_and_ones_own_does_not_count() -> None:
    budget = TurnBudget(0.001, most=0.01, share=0.5)
    budget.rested(10.0)
    allowed = []
    now = 10.0
    for others, own in ((0.0, 0.5), (0.0, 0.5), (0.008, 0.5), (0.1, 0.5), (0.001, 0.0)):
        now += others
        budget.begin(now)
        allowed.append(budget.allowed)
        now += own
        budget.end(now)
    assert allowed == pytest.approx([0.001, 0.001, 0.004, 0.01, 0.001])


def test_all_of_a_loop_share_its_turns_and_neither_outlives_them() -> None:
    for new_loop in (asyncio.new_event_loop, uvloop.new_event_loop):
        loop, other = new_loop(), new_loop()
        assert Turns.of(loop) is not Turns.of(other)
        turns = Turns.of(loop)
        assert Turns.of(loop) is turns
        loop.close()
        other.close()
        forgotten = weakref.ref(turns)
        del turns, loop, other
        gc.collect()
        assert forgotten() is None
