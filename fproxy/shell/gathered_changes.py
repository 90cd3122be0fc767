"""When to say upstream what has changed in the demand: at once, or gathered while more is changing."""

import asyncio
from collections.abc import Callable
from typing import Final

from fproxy.shell.turns import Turns

INTERVAL: Final = 0.005
"""For how long after a request the next one may be put off, in seconds."""

MOST_PUT_OFF: Final = 40
"""For how many turns of the loop it may be."""


class GatheredChanges:
    """Calls back when changes are to be said: in the next turn of the loop, once for all changes of this one.

    When that was short ago, it is put off as long as each turn brings a change: clients ask for much in small steps,
    one in a turn, each of which would be a request of its own.
    """

    __slots__ = ("_handle", "_is_changing", "_loop", "_put_off", "_said", "_say", "_turns")

    def __init__(self, loop: asyncio.AbstractEventLoop, say: Callable[[], None]) -> None:
        """Begin without a change.

        Args:
            loop: the event loop.
            say: called when changes are to be said.
        """
        self._loop = loop
        self._turns = Turns.of(loop)
        self._say = say
        self._handle: asyncio.Handle | None = None
        self._said = -INTERVAL
        self._put_off = 0
        self._is_changing = False

    def changed(self) -> None:
        """Something has changed."""
        self._is_changing = True
        if self._handle is None:
            self._handle = self._loop.call_soon(self._say_or_put_off)

    def go_on(self) -> None:
        """More has changed than was said: the rest is not put off."""
        self._said = -INTERVAL
        self.changed()

    def cancel(self) -> None:
        """Say nothing of what has changed so far."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _say_or_put_off(self) -> None:
        is_changing, self._is_changing = self._is_changing, False
        now = self._loop.time()
        if is_changing and self._put_off < MOST_PUT_OFF and now < self._said + INTERVAL:
            self._put_off += 1
            self._handle = self._loop.call_soon(self._say_or_put_off)
            return
        self._handle = None
        self._put_off = 0
        self._said = now
        with self._turns.aside():
            self._say()
