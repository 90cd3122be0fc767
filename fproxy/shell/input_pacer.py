"""What clients send, taken at a pace that leaves time for market data, whatever thousands of them do at
once."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

BUDGET: Final = 0.002
"""How long clients' input may take in one turn of the event loop, in seconds; its last step may exceed
that."""

MAX_WAITING_BYTES: Final = 1024 * 1024
"""How much input may wait before clients are not read from any more."""


class InputSource(Protocol):
    """A client, as far as its input goes."""

    def input_received(self, data: bytes) -> Iterator[None]:
        """Take a piece of input, in steps. Neither this nor a step may raise."""

    def pause_input(self) -> None:
        """Read no more until ``resume_input``. Pausing twice is fine."""

    def resume_input(self) -> None:
        """Read again, if input was paused."""


class InputPacer:
    """Lets clients take their input: at once while a turn's budget lasts, and else in the turns that follow.

    All input is taken in the order in which it came, and no piece before the one ahead of it has been taken
    to its last step. Input that waits is bounded: beyond the limit, a client whose input waits is not read
    from.
    """

    __slots__ = ("_budget", "_loop", "_scheduled", "_spent", "_unfinished", "_waiting", "_waiting_bytes")

    def __init__(self, loop: asyncio.AbstractEventLoop, budget: float = BUDGET) -> None:
        """Prepare a pacer.

        Args:
            loop: the event loop whose turns count.
            budget: how long input may take in one turn, in seconds.
        """
        self._loop = loop
        self._budget = budget
        self._spent = 0.0
        self._scheduled = False
        self._unfinished: Iterator[None] | None = None
        self._waiting: deque[tuple[InputSource, bytes]] = deque()
        self._waiting_bytes = 0

    @property
    def is_late(self) -> bool:
        """Whether input that has come is not taken yet."""
        return self._unfinished is not None or bool(self._waiting)

    def received(self, source: InputSource, data: bytes) -> bool:
        """Let ``source`` take ``data``. Return whether it does so now; else it will soon."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._next_turn)
        if self.is_late or self._spent >= self._budget:
            self._waiting.append((source, data))
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MAX_WAITING_BYTES:
                source.pause_input()
            return False
        self._take(source.input_received(data))
        return True

    def _take(self, steps: Iterator[None]) -> None:
        """Go on with a piece of input until it is taken or the budget is spent."""
        start, left = time.perf_counter(), self._budget - self._spent
        self._unfinished = steps
        for _ in steps:
            if time.perf_counter() - start >= left:
                break
        else:
            self._unfinished = None
        self._spent += time.perf_counter() - start

    def _next_turn(self) -> None:
        self._spent = 0.0
        if self._unfinished is not None:
            self._take(self._unfinished)
        while self._waiting and self._spent < self._budget:
            source, data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._take(source.input_received(data))
            source.resume_input()
        # What was spent in this turn counts until the next one.
        self._scheduled = self._spent > 0.0
        if self._scheduled:
            self._loop.call_soon(self._next_turn)
