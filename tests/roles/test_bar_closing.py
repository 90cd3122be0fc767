"""Windows close by the clock, and late where the machine is busy, but they do close."""

import asyncio
from typing import Any, cast

import pytest
import uvloop

from fproxy.roles.bar_closing import BarClosing


class Builder:
    """Has one window after the other, each of which ends at a time of the clock's, in milliseconds."""

    def __init__(self, *ends: int) -> None:
        self.ends = list(ends)

    def next_advance(self) -> int | None:
        return self.ends[0] if self.ends else None

    def advance(self, now: int) -> None:
        self.ends = [end for end in self.ends if end > now]


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_window_whose_end_has_passed_is_asked_for_again_and_again_until_it_closes(new_loop: Any) -> None:
    """As by trades that come before the timer has its turn."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        now = int(loop.time() * 1000)
        builder, closed = Builder(now - 50, now + 5), asyncio.Event()
        closing = BarClosing(
            cast(Any, builder),
            trades_are_late=lambda: False,
            closed=lambda: None if builder.ends else closed.set(),
        )
        closing.prepare()
        for _ in range(3):
            closing.set_timer()
        builder.ends.insert(0, now - 100)  # a trade opens an earlier one
        closing.set_timer()
        async with asyncio.timeout(20):
            await closed.wait()
        closing.stop()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())
