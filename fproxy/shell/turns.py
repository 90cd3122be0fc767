"""Turns of the event loop, as all that is not market data has them: it is done in steps, a bounded time of a turn."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol
from weakref import WeakValueDictionary

from fproxy.shell.turn_budget import TurnBudget


class Worker(Protocol):
    """Something that has work to do, now and then."""

    def step(self) -> bool:
        """Do a step of the work, if there is any. Return whether there may be more. It must not raise."""


class Turns:
    """Has workers do their steps, each in its turn, while the time lasts that a turn of the loop has for all of them.

    So data that has just come waits for that time, and for the rest of one step.
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_budget",
        "_clock",
        "_end",
        "_loop",
        "_scheduled",
        "_steps",
        "_steps_between",
        "_tidy",
        "_worked",
        "_workers",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        budget: TurnBudget | None = None,
        clock: Callable[[], float] = time.perf_counter,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        """Begin without any worker.

        Args:
            loop: the event loop whose turns count.
            budget: how long steps may take in one turn; None for the usual one.
            clock: the time, in seconds: what data waits for.
            worked: for how long this thread has worked, in seconds: what the share of a turn goes by. When another
                program had the core meanwhile, market data has taken none of that time.
        """
        self._loop = loop
        self._budget = budget or TurnBudget()
        self._clock = clock
        self._worked = worked
        # Those who have work, in the order of their turns, and the same as a set.
        self._workers: deque[Worker] = deque()
        self._asked: set[Worker] = set()
        self._scheduled = False
        # What is done after every so many steps, and how many there were since.
        self._tidy: Callable[[], object] | None = None
        self._steps_between = self._steps = 0
        self._end: float | None = None  # of the time in the present turn; None outside of it

    @staticmethod
    def of(loop: asyncio.AbstractEventLoop) -> "Turns":
        """Return those of an event loop, which whoever works in it shares: as long as any of them keeps it."""
        turns = _OF_LOOP.get(loop)
        if turns is None:
            turns = _OF_LOOP[loop] = Turns(loop)
        return turns

    @property
    def time_is_left(self) -> bool:
        """Whether this is within a step, and another may follow it in this turn."""
        return self._end is not None and self._clock() < self._end

    def after_every(self, steps: int, tidy: Callable[[], object] | None) -> None:
        """Have something done after every so many steps, all workers' together, instead of what was before.

        Args:
            steps: how many.
            tidy: clears away what steps leave behind; it must not raise. None for nothing.
        """
        self._tidy = tidy
        self._steps_between = steps
        self._steps = 0

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Do something outside of a step that is not market data either: it gives the workers no more time."""
        began = self._worked()
        try:
            yield
        finally:
            self._budget.lapse(self._worked() - began)

    def ask(self, worker: Worker) -> None:
        """Have a worker do steps until it has no more to do: soon, but not at once. Asking twice is asking once."""
        if worker in self._asked:
            return
        self._asked.add(worker)
        self._workers.append(worker)
        if not self._scheduled and self._end is None:
            self._budget.rested(self._worked())
            self._schedule()

    def begin(self, worker: Worker) -> None:
        """Have a worker do steps as its turn has come: at once, unless others are waiting for theirs."""
        if self._workers or self._end is not None:
            self.ask(worker)
            return
        self._asked.add(worker)
        self._workers.append(worker)
        self._budget.rested(self._worked())
        self._work()

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        self._work()

    def _work(self) -> None:
        self._budget.begin(self._worked())
        self._end = self._clock() + self._budget.allowed
        try:
            while self._workers:
                worker = self._workers.popleft()
                self._asked.discard(worker)
                if worker.step() and worker not in self._asked:
                    self._asked.add(worker)
                    self._workers.append(worker)
                self._steps += 1
                if self._clock() >= self._end:
                    break
            if self._tidy is not None and self._steps >= self._steps_between:
                self._steps = 0
                self._tidy()
        finally:
            self._budget.end(self._worked())
            self._end = None
            if self._workers and not self._scheduled:
                self._schedule()


_OF_LOOP: Final[WeakValueDictionary[asyncio.AbstractEventLoop, Turns]] = WeakValueDictionary()
