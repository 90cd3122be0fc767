"""The garbage collector never has very much to look through at once."""

import asyncio
import gc
from collections import deque
from collections.abc import Iterator

import pytest

from fproxy.face.garbage import STEPS_BETWEEN, relax_garbage_collection
from fproxy.shell.turns import Turns

IN_A_STEP = 100


@pytest.fixture
def usual_again() -> Iterator[None]:
    thresholds = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


class Replacing:
    """A worker that makes as many objects as it lets go, as clients of very many topics do who come and go."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.done = asyncio.Event()
        self.most_young = 0
        self.kept = deque([] for _ in range(IN_A_STEP))

    def step(self) -> bool:
        for _ in range(IN_A_STEP):
            self.kept.popleft()
        self.kept.extend([] for _ in range(IN_A_STEP))
        self.most_young = max(self.most_young, len(gc.get_objects(generation=0)))
        self.left -= 1
        if not self.left:
            self.done.set()
        return self.left > 0


@pytest.mark.usefixtures("usual_again")
async def test_what_many_steps_make_is_looked_through_little_by_little() -> None:
    turns = Turns(asyncio.get_running_loop())
    relax_garbage_collection(turns)
    gc.set_threshold(0)  # as if as many went as came, from then on
    worker = Replacing(20 * STEPS_BETWEEN)
    worker.kept.extend([] for _ in range(20 * STEPS_BETWEEN * IN_A_STEP))
    gc.collect()
    turns.ask(worker)
    async with asyncio.timeout(20):
        await worker.done.wait()
    assert worker.most_young < 2 * STEPS_BETWEEN * IN_A_STEP
