"""Timeouts for thousands of connections on one timer: coarse, and next to nothing to set, move or cancel."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Final, Protocol

from fproxy.shell.turn_budget import LEAST

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

    A timeout comes no earlier than asked for and up to two resolutions later; of very many at once, some later still.
    """

    __slots__ = ("_buckets", "_clock", "_handle", "_loop", "_resolution")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolution: float,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare a wheel.

        Args:
            loop: the event loop to run on.
            resolution: the length of a tick, in seconds.
            clock: measures how long handling what is due takes, in seconds.
        """
        self._loop = loop
        self._clock = clock
        self._resolution = resolution
        self._buckets: dict[int, set[TimedItem]] = {}
        self._handle: asyncio.TimerHandle | None = None

    def schedule(self, item: TimedItem, delay: float) -> None:
        """Let ``item`` expire ``delay`` seconds from now, instead of when it was to expire before."""
        self.cancel(item)
        tick = math.floor((self._loop.time() + delay) / self._resolution) + 1
        item.timer_tick = tick
        self._buckets.setdefault(tick, set()).add(item)
        if self._handle is None:
            self._handle = self._loop.call_later(self._resolution, self._turn)

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

    def _turn(self) -> None:
        """Let expire what is due, as far as the time of a turn of the loop goes: thousands may have come at once."""
        self._handle = None
        now = math.floor(self._loop.time() / self._resolution)
        end = self._clock() + LEAST
        for tick in sorted(tick for tick in self._buckets if tick <= now):
            # What one item does may cancel or move others of the same bucket, so look again after each.
            while bucket := self._buckets.get(tick):
                item = next(iter(bucket))
                self.cancel(item)
                try:
                    item.timer_expired()
                except Exception:
                    logger.exception("a timeout could not be handled")
                if self._clock() >= end:
                    self._run_again(0.0)
                    return
        if self._buckets:
            self._run_again(self._resolution)

    def _run_again(self, delay: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_later(delay, self._turn)
