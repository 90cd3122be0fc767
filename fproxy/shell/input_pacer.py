"""What clients send, taken at a pace that leaves time for market data, whatever thousands of them do at
once."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from fproxy.shell.turn_budget import LEAST, TurnBudget

SLICE: Final = 0.0005
"""How long one client's input may take before it is another's turn, in seconds; its last step may exceed that."""


class InputSource(Protocol):
    """A client, as far as its input goes."""

    def input_received(self, data: bytes) -> Iterator[None]:
        """Take a piece of input, in steps. Neither this nor a step may raise."""

    def pause_input(self) -> None:
        """Read no more until ``resume_input``."""

    def resume_input(self) -> None:
        """Read again."""


@dataclass(slots=True)
class _Waiting:
    """What of a client's input is not taken yet.

    Attributes:
        pieces: what has come behind the piece that is being taken: what was read already when it had to wait.
        steps: the rest of that piece; None between two pieces.
    """

    pieces: deque[bytes] = field(default_factory=deque)
    steps: Iterator[None] | None = None


class InputPacer:
    """Lets clients take their input: at once while a turn's budget lasts, and else in the turns that follow.

    Each client's input is taken in the order in which it came. Clients whose input waits take turns, a slice of time
    each: so one that asks for much holds up nobody who asks for little. A client whose input waits is not read from:
    reading takes time too, and what is not read stays in the kernel, which has the client wait.
    """

    __slots__ = ("_budget", "_clock", "_loop", "_scheduled", "_spent", "_turns", "_waiting")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        budget: TurnBudget | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare a pacer.

        Args:
            loop: the event loop whose turns count.
            budget: how long input may take in one turn; None for the usual one.
            clock: the time, in seconds.
        """
        self._loop = loop
        self._budget = budget or TurnBudget(LEAST / 2)
        self._clock = clock
        self._spent = 0.0
        self._scheduled = False
        self._waiting: dict[InputSource, _Waiting] = {}
        self._turns: deque[InputSource] = deque()  # those of them, in the order of their turns

    def received(self, source: InputSource, data: bytes) -> None:
        """Let ``source`` take ``data``: now, or soon."""
        if not self._scheduled:
            self._scheduled = True
            self._budget.begin(self._clock())
            self._loop.call_soon(self._next_turn)
        waiting = self._waiting.get(source)
        if waiting is not None:
            waiting.pieces.append(data)
        elif self._waiting or self._spent >= self._budget.allowed:
            self._wait(source, _Waiting(deque([data])))
        else:
            steps = source.input_received(data)
            if not self._take(steps, self._budget.allowed - self._spent):
                self._wait(source, _Waiting(steps=steps))

    def _wait(self, source: InputSource, waiting: _Waiting) -> None:
        self._waiting[source] = waiting
        self._turns.append(source)
        source.pause_input()

    def _take(self, steps: Iterator[None], limit: float) -> bool:
        """Go on with a piece of input for a time, in seconds. Return whether it is taken."""
        start = self._clock()
        taken = True
        for _ in steps:
            if self._clock() - start >= limit:
                taken = False
                break
        self._spent += self._clock() - start
        return taken

    def _next_turn(self) -> None:
        self._spent = 0.0
        self._budget.turn(self._clock())
        while self._turns and self._spent < self._budget.allowed:
            source = self._turns.popleft()
            waiting = self._waiting[source]
            if waiting.steps is None:
                waiting.steps = source.input_received(waiting.pieces.popleft())
            if self._take(waiting.steps, min(SLICE, self._budget.allowed - self._spent)):
                waiting.steps = None
            if waiting.steps is not None or waiting.pieces:
                self._turns.append(source)
            else:
                del self._waiting[source]
                source.resume_input()
        # What was spent in this turn counts until the next one.
        self._scheduled = self._spent > 0.0
        if self._scheduled:
            self._loop.call_soon(self._next_turn)
