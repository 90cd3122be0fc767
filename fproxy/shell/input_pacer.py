"""What clients send, taken at a pace that leaves time for market data, whatever thousands of them do at
once."""

import asyncio
import time
from collections import deque
from typing import Final, Protocol

BUDGET: Final = 0.002
"""How long clients' input may take in one turn of the event loop, in seconds; its last piece may exceed
that."""

MAX_WAITING_BYTES: Final = 1024 * 1024
"""How much input may wait before clients are not read from any more."""


class InputSource(Protocol):
    """A client, as far as its input goes."""

    def input_received(self, data: bytes) -> None:
        """Take a piece of input. It must not raise."""

    def pause_input(self) -> None:
        """Read no more until ``resume_input``. Pausing twice is fine."""

    def resume_input(self) -> None:
        """Read again, if input was paused."""


class InputPacer:
    """Hands clients' input to them, at once while a turn's budget lasts, and else in order in the turns that
    follow.

    Input that waits is bounded: beyond the limit, a client whose input waits is not read from until it is
    taken.
    """

    __slots__ = ("_budget", "_loop", "_scheduled", "_spent", "_waiting", "_waiting_bytes")

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
        self._waiting: deque[tuple[InputSource, bytes]] = deque()
        self._waiting_bytes = 0

    @property
    def is_late(self) -> bool:
        """Whether input that has come is waiting to be taken."""
        return bool(self._waiting)

    def received(self, source: InputSource, data: bytes) -> None:
        """Hand ``data`` to ``source``, now or soon."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._next_turn)
        if self._waiting or self._spent >= self._budget:
            self._waiting.append((source, data))
            self._waiting_bytes += len(data)
            if self._waiting_bytes > MAX_WAITING_BYTES:
                source.pause_input()
        else:
            self._hand_over(source, data)

    def _hand_over(self, source: InputSource, data: bytes) -> None:
        start = time.perf_counter()
        source.input_received(data)
        self._spent += time.perf_counter() - start

    def _next_turn(self) -> None:
        self._spent = 0.0
        waiting = self._waiting
        while waiting and self._spent < self._budget:
            source, data = waiting.popleft()
            self._waiting_bytes -= len(data)
            self._hand_over(source, data)
            source.resume_input()
        # What was spent in this turn counts until the next one.
        self._scheduled = self._spent > 0.0
        if self._scheduled:
            self._loop.call_soon(self._next_turn)
