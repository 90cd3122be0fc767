"""Closing windows by the clock, when no trade closes them."""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from fproxy._bars import BarBuilder

STALL: Final = 0.002
"""A timer this late, in seconds, shows that the loop was held up: trades may be waiting to be read."""


class BarClosing:
    """Moves a bar builder's time on by the loop's clock.

    While trades are late, because they were missed before, they alone say what time it is.
    """

    def __init__(
        self, builder: BarBuilder, *, trades_are_late: Callable[[], bool], closed: Callable[[], None]
    ) -> None:
        """Prepare; nothing happens before :meth:`prepare`.

        Args:
            builder: builds the bars.
            trades_are_late: returns whether trades that come are late, or may be.
            closed: called when windows may have closed.
        """
        self._builder = builder
        self._trades_are_late = trades_are_late
        self._closed = closed
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None  # for the next window that closes by the clock
        # When that is. The timer need not tell: uvloop's for a time that has passed does not.
        self._due = -math.inf

    def prepare(self) -> None:
        """Go by the clock of the loop that runs now."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Close nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def clock(self) -> int:
        """Return the time by the loop's clock, in milliseconds."""
        return int(self._loop.time() * 1000)

    def set_timer(self) -> None:
        """Have the windows that are open now closed in time."""
        due = self._builder.next_advance()
        timer = self._timer
        if due is None or self._trades_are_late():
            return
        at = (due + 1) / 1000  # the clock is cut to whole milliseconds
        if timer is not None:
            if self._due <= at:
                return  # it will look again
            timer.cancel()
        self._due = at
        self._timer = self._loop.call_at(at, self._close, at)

    def catch_up(self) -> None:
        """Move the time on, unless a timer is about to: else trades may be waiting to be read."""
        if self._timer is None and not self._trades_are_late():
            self._builder.advance(self.clock())
            self._closed()

    def _close(self, due: float) -> None:
        if self._loop.time() - due > STALL:
            # Trades that came in time may be waiting to be read: they come first.
            self._due = self._loop.time() + STALL / 2
            self._timer = self._loop.call_at(self._due, self._close, math.inf)
            return
        self._timer = None
        if self._trades_are_late():
            return
        self._builder.advance(self.clock())
        self._closed()
        self.set_timer()
