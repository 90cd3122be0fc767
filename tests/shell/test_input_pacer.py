"""Input at a bounded pace: all of it, in order, with other work in between."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import pairwise

from fproxy.shell.input_pacer import InputPacer
from fproxy.shell.turn_budget import TurnBudget
from fproxy.shell.turns import Turns


class Source:
    def __init__(self, log: list[tuple[str, bytes]], name: str) -> None:
        self.log, self.name = log, name
        self.paused = False

    def input_received(self, data: bytes) -> Iterator[None]:
        self.log.append((self.name, data))
        yield

    def pause_input(self) -> None:
        self.paused = True

    def resume_input(self) -> None:
        self.paused = False


class Step:
    """A worker with one step."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def step(self) -> bool:
        self._callback()
        return False


def a_step_in_a_turn() -> InputPacer:
    """A pacer in whose turns there is time for one step."""
    return InputPacer(Turns(asyncio.get_running_loop(), budget=TurnBudget(1e-12, share=0.0)))


async def turns_until_taken(*sources: Source) -> int:
    """Let the loop turn until nothing of what they sent waits; return how often it did."""
    turns = 0
    async with asyncio.timeout(10):
        while any(source.paused for source in sources):
            turns += 1
            await asyncio.sleep(0)
    return turns


async def test_within_the_budget_input_is_handed_over_at_once() -> None:
    log: list[tuple[str, bytes]] = []
    turns = Turns(asyncio.get_running_loop(), budget=TurnBudget(3600.0))
    pacer = InputPacer(turns)
    source = Source(log, "a")
    turns.begin(Step(lambda: pacer.received(source, b"1")))
    assert log == [("a", b"1")]
    assert not source.paused


async def test_beyond_the_budget_input_waits_for_the_next_turns_and_keeps_its_order() -> None:
    log: list[tuple[str, bytes]] = []
    # Any piece of input exhausts this budget.
    pacer = a_step_in_a_turn()
    sources = [Source(log, name) for name in "abc"]
    expected = [(source.name, b"%d" % number) for number in range(4) for source in sources]
    for number in range(4):
        for source in sources:
            pacer.received(source, b"%d" % number)
    assert log == expected[:1]
    seen = [1]
    while any(source.paused for source in sources):
        await asyncio.sleep(0)
        seen.append(len(log))
    assert log == expected
    # One piece a turn: other callbacks of the loop ran in between.
    assert all(later - earlier <= 1 for earlier, later in pairwise(seen))
    await asyncio.sleep(0)
    pacer.received(sources[0], b"again")
    assert log[-1] == ("a", b"again")


async def test_a_long_piece_of_input_is_taken_in_steps_and_finished_before_the_next() -> None:
    class Steps(Source):
        def input_received(self, data: bytes) -> Iterator[None]:
            for step in data:
                self.log.append((self.name, bytes([step])))
                yield

    log: list[tuple[str, bytes]] = []
    pacer = a_step_in_a_turn()
    source = Steps(log, "a")
    assert not source.paused
    pacer.received(source, b"12345")
    assert source.paused
    pacer.received(source, b"6")
    assert await turns_until_taken(source) >= 5
    assert log == [("a", bytes([step])) for step in b"123456"]


async def test_who_asks_for_little_does_not_wait_for_who_asks_for_much() -> None:
    class Steps(Source):
        def input_received(self, data: bytes) -> Iterator[None]:
            for step in data:
                self.log.append((self.name, bytes([step])))
                yield

    log: list[tuple[str, bytes]] = []
    pacer = a_step_in_a_turn()
    greedy, modest = Steps(log, "greedy"), Steps(log, "modest")
    pacer.received(greedy, bytes(1_000))
    for _ in range(3):
        pacer.received(greedy, bytes(1_000))
    pacer.received(modest, b"123")
    while ("modest", b"3") not in log:  # noqa: ASYNC110 - one turn at a time
        await asyncio.sleep(0)
    assert sum(name == "greedy" for name, _ in log) <= 5, "in turns, a step each"
    await turns_until_taken(greedy, modest)
    assert len(log) == 4_003


async def test_a_source_is_not_read_from_while_its_input_waits() -> None:
    log: list[tuple[str, bytes]] = []
    pacer = a_step_in_a_turn()
    sources = [Source(log, str(number)) for number in range(4)]
    for source in sources:
        pacer.received(source, b"x")
    assert all(source.paused for source in sources)
    await turns_until_taken(*sources)
    assert len(log) == 4
