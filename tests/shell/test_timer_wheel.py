"""Timeouts on one timer: none too early, none lost, whatever they do to each other."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from fproxy.shell.timer_wheel import NO_TICK, TimerWheel
from fproxy.shell.turn_budget import TurnBudget
from fproxy.shell.turns import Turns

RESOLUTION = 0.005


class Item:
    def __init__(self, then: Callable[["Item"], None] = lambda item: None) -> None:
        self.timer_tick = NO_TICK
        self.expired_at: list[float] = []
        self.expired = asyncio.Event()
        self.then = then

    def timer_expired(self) -> None:
        assert self.timer_tick == NO_TICK
        self.expired_at.append(asyncio.get_running_loop().time())
        self.expired.set()
        self.then(self)


def wheel() -> TimerWheel:
    return TimerWheel(asyncio.get_running_loop(), RESOLUTION)


async def wait(*items: Item) -> None:
    async with asyncio.timeout(10):
        for item in items:
            await item.expired.wait()


async def test_items_expire_in_order_and_not_early() -> None:
    timers, loop = wheel(), asyncio.get_running_loop()
    delays = [0.05, 0.0, 0.02, 0.02]
    items = [Item() for _ in delays]
    due = []
    for item, delay in zip(items, delays, strict=True):
        due.append(loop.time() + delay)
        timers.schedule(item, delay)
    await wait(*items)
    for item, time in zip(items, due, strict=True):
        assert len(item.expired_at) == 1
        assert item.expired_at[0] >= time
    assert items[1].expired_at[0] <= items[2].expired_at[0] <= items[0].expired_at[0]


async def test_a_cancelled_item_does_not_expire() -> None:
    timers, cancelled, last = wheel(), Item(), Item()
    timers.schedule(cancelled, 0.0)
    timers.schedule(last, 0.02)
    timers.cancel(cancelled)
    timers.cancel(cancelled)
    await wait(last)
    assert not cancelled.expired_at


async def test_scheduling_again_moves_the_timeout() -> None:
    timers, moved, last = wheel(), Item(), Item()
    timers.schedule(moved, 0.0)
    timers.schedule(moved, 3600.0)
    timers.schedule(last, 0.02)
    await wait(last)
    assert not moved.expired_at
    timers.schedule(moved, 0.0)
    await wait(moved)
    timers.close()


async def test_an_item_may_set_its_next_timeout() -> None:
    timers = wheel()
    item = Item(lambda item: timers.schedule(item, 0.0) if len(item.expired_at) < 3 else done.set())
    done = asyncio.Event()
    timers.schedule(item, 0.0)
    async with asyncio.timeout(10):
        await done.wait()
    assert len(item.expired_at) == 3


async def test_an_item_may_cancel_another_that_is_due() -> None:
    timers = wheel()
    items: list[Item] = []

    def cancel_the_other(item: Item) -> None:
        for other in items:
            if other is not item:
                timers.cancel(other)

    items += [Item(cancel_the_other), Item(cancel_the_other)]
    last = Item()
    for item in items:
        timers.schedule(item, 0.0)
    assert items[0].timer_tick == items[1].timer_tick
    timers.schedule(last, 0.02)
    await wait(last)
    assert sum(len(item.expired_at) for item in items) == 1


async def test_a_failing_item_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def fail(item: Item) -> None:
        raise RuntimeError("a defect")

    timers, failing, other = wheel(), Item(fail), Item()
    timers.schedule(failing, 0.0)
    timers.schedule(other, 0.0)
    await wait(failing, other)
    assert "a defect" in caplog.text


async def test_a_closed_wheel_forgets_everything_and_can_be_used_again() -> None:
    timers, forgotten, later = wheel(), Item(), Item()
    timers.schedule(forgotten, 0.0)
    timers.close()
    assert forgotten.timer_tick == NO_TICK
    timers.schedule(later, 0.01)
    await wait(later)
    assert not forgotten.expired_at


async def test_very_many_timeouts_at_once_are_spread_over_turns_of_the_loop() -> None:
    now = 0.0

    def handling(item: Item) -> None:
        nonlocal now
        now += 0.001  # what handling one takes

    loop = asyncio.get_running_loop()
    turns = Turns(loop, budget=TurnBudget(0.001, share=0.0), clock=lambda: now)
    timers = TimerWheel(loop, RESOLUTION, turns)
    items = [Item(handling) for _ in range(50)]
    for item in items:
        timers.schedule(item, 0.0)
    seen = [0]
    async with asyncio.timeout(10):
        while seen[-1] < len(items):
            await asyncio.sleep(0)
            seen.append(sum(len(item.expired_at) for item in items))
    assert max(after - before for before, after in pairwise(seen)) == 1
    timers.close()
