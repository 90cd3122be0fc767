"""Timeouts for thousands of connections on one timer: coarse, and next to nothing to set, move or cancel."""

import asyncio
import logging
import math
from typing import Final, Protocol

from fproxy.shell.turns import Turns

logger: Final = logging.getLogger("fproxy.server")

NO_TICK: Final = -1
"""The ``timer_tick`` of an item that has no timeout."""


class TimedItem(Protocol):
    """What can have a timeout: one at a time."""

    timer_tick: int
    """Kept by the wheel: when the item expires, in ticks of the wheel, or ``NO_TICK``."""

    def timer_expired(self) -> None:
        """The time is over. The item has no timeout now, and may set another."""


class TimerWheel:
    """A set of timeouts that share one timer of the event loop, which runs only while there are any.

    A timeout comes no earlier than asked for and up to two resolutions later; of very many at once, some later still:
    they are handled in turns.
    """

    __slots__ = ("_buckets", "_handle", "_loop", "_resolution", "_turns")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, resolution: float, turns: Turns | None = None
    ) -> None:
        """Prepare a wheel.

        Args:
            loop: the event loop to run on.
            resolution: the length of a tick, in seconds.
            turns: when what is due is handled; None for the turns of the loop.
        """
        self._loop = loop
        self._turns = turns or Turns.of(loop)
        self._resolution = resolution
        self._buckets: dict[int, set[TimedItem]] = {}
        self._handle: asyncio.TimerHandle | None = None

    def schedule(self, item: TimedItem, delay: float) -> None:
        """Let ``item`` expire ``delay`` seconds from now, instead of when it was to expire before."""
        self.cancel(item)
        tick = math.floor((self._loop.time() + delay) / self._resolution) + 1
        item.timer_tick = tick
        self._buckets.setdefault(tick, set()).add(item)
        self._run()

    def cancel(self, item: TimedItem) -> None:
        """Let ``item`` not expire, if it was to."""
        bucket = self._buckets.get(item.timer_tick)
        if bucket is not None:
            bucket.discard(item)
            if not bucket:
                del self._buckets[item.timer_tick]
        item.timer_tick = NO_TICK

    def close(self) -> None:
        """Forget every timeout."""
        for bucket in self._buckets.values():
            for item in bucket:
                item.timer_tick = NO_TICK
        self._buckets.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def step(self) -> bool:
        """Let one of those expire that are due. Return whether there may be more. See ``Worker``."""
        tick = min(self._buckets, default=None)
        if tick is None:
            return False
        if tick * self._resolution > self._loop.time():
            self._run()
            return False
        item = next(iter(self._buckets[tick]))
        self.cancel(item)
        try:
            item.timer_expired()
        except Exception:
            logger.exception("a timeout could not be handled")
        return True

    def _run(self) -> None:
        if self._handle is None:
            self._handle = self._loop.call_later(self._resolution, self._look)

    def _look(self) -> None:
        self._handle = None
        self._turns.begin(self)
