"""Work in steps: its budget, its fairness, its order, and what a failure costs."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from fproxy.shell.turn_budget import TurnBudget
from fproxy.shell.turns import Turns
from fproxy.shell.work_steps import WorkSteps


class Clock:
    """A clock that a step moves on by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def steps_by(clock: Clock, budget: TurnBudget | None = None) -> WorkSteps:
    loop = asyncio.get_running_loop()
    return WorkSteps(loop, Turns(loop, budget=budget, clock=clock))


def counting(log: list[str], name: str, count: int, clock: Clock, takes: float = 0.0) -> Iterator[None]:
    for number in range(count):
        log.append(f"{name}{number}")
        clock.now += takes
        yield


async def turns_until(condition: object, limit: int = 1_000) -> int:
    """Let the loop turn until a condition holds; return how many turns it took."""
    assert callable(condition)
    for turn in range(limit):
        if condition():
            return turn
        await asyncio.sleep(0)
    raise AssertionError("it never came")


async def test_owners_take_turns_and_each_owners_work_is_done_in_order() -> None:
    log: list[str] = []
    clock = Clock()
    steps = steps_by(clock)
    steps.add("one", counting(log, "a", 3, clock))
    steps.add("one", counting(log, "b", 1, clock))
    last = steps.add("other", counting(log, "c", 2, clock))
    assert log == [], "nothing is done before the next turn"
    await turns_until(lambda: last.done and len(log) == 6)
    assert log == ["a0", "c0", "a1", "c1", "a2", "b0"]


async def test_a_turn_of_the_loop_is_held_up_for_no_longer_than_the_budget() -> None:
    log: list[str] = []
    clock = Clock()
    steps = steps_by(clock, TurnBudget(2.0))
    work = steps.add("one", counting(log, "a", 10, clock, takes=1.0))
    seen = []
    while not work.done:
        await asyncio.sleep(0)
        seen.append(len(log))
    assert seen[0] == 2
    assert all(after - before <= 2 for before, after in pairwise(seen))


async def test_one_with_much_work_does_not_hold_up_another() -> None:
    log: list[str] = []
    clock = Clock()
    steps = steps_by(clock, TurnBudget(1.0))
    much = steps.add("much", counting(log, "m", 1_000, clock, takes=1.0))
    little = steps.add("little", counting(log, "l", 1, clock))
    await turns_until(lambda: little.done)
    assert len(log) < 10
    much.cancel()


async def test_cancelled_work_does_no_further_step_and_others_go_on() -> None:
    log: list[str] = []
    clock = Clock()
    steps = steps_by(clock)
    cancelled = steps.add("one", counting(log, "a", 5, clock))
    after = steps.add("one", counting(log, "b", 1, clock))
    cancelled.cancel()
    await turns_until(lambda: after.done)
    assert log == ["b0"]


async def test_work_that_fails_is_logged_and_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def failing() -> Iterator[None]:
        yield
        raise RuntimeError("a defect")

    log: list[str] = []
    clock = Clock()
    steps = steps_by(clock)
    failed = steps.add("one", failing())
    after = steps.add("one", counting(log, "b", 2, clock))
    await turns_until(lambda: after.done)
    assert failed.done
    assert log == ["b0", "b1"]
    assert "a defect" in caplog.text


async def test_work_may_rest_while_others_go_on() -> None:
    def resting() -> Iterator[float | None]:
        log.append("before")
        yield 0.01
        log.append("after")

    log: list[str] = []
    clock = Clock()
    steps = steps_by(clock)
    rested = steps.add("one", resting())
    other = steps.add("other", counting(log, "o", 3, clock))
    await turns_until(lambda: other.done)
    assert log == ["before", "o0", "o1", "o2"]
    async with asyncio.timeout(10):
        while not rested.done:  # noqa: ASYNC110 (nothing to wait on)
            await asyncio.sleep(0.001)
    assert log[-1] == "after"
