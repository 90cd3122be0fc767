"""Taking what an upstream answers in steps: the answers to thousands of topics may come in one read."""

import asyncio
from collections.abc import Callable
from typing import Final

from fproxy._message_reader import MessageReader
from fproxy.shell.turns import Turns
from fproxy.shell.work_steps import Steps, WorkSteps

AT_ONCE: Final = 50
"""How many status events are taken as they come, in one turn of the loop, and in one step of those that wait: well
under a millisecond's work. What came behind them waits for all: in steps of ten it waited three times as long."""


class UpstreamAnswers:
    """The status events of one connection, in their order among its messages.

    When there are many, the rest waits, and so do the messages behind them, which are read from the socket no further:
    what comes behind an answer is handed on behind it, while other work has its turns.

    Attributes:
        waiting: whether some wait.
    """

    __slots__ = (
        "__weakref__",
        "_left",
        "_next",
        "_pause",
        "_reader",
        "_statuses",
        "_steps",
        "_take",
        "_turns",
        "waiting",
    )

    def __init__(
        self,
        steps: WorkSteps,
        take: Callable[[list[bytes]], None],
        *,
        pause: Callable[[], None],
    ) -> None:
        """Begin with none.

        Args:
            steps: carries out what is long.
            take: gets status events, in order.
            pause: called when ``waiting`` has changed: as long as it is true, nothing more is to be read.
        """
        self.waiting = False
        self._take = take
        self._pause = pause
        self._reader: MessageReader
        self._steps = steps
        self._turns = Turns.of(asyncio.get_running_loop())
        self._left = AT_ONCE
        self._statuses: list[bytes] = []
        self._next = 0  # of the statuses, the first that has still to be taken

    def prepare(self, reader: MessageReader) -> None:
        """Prepare for what a reader brings: it is to call :meth:`came`."""
        self._reader = reader

    def came(self, statuses: list[bytes]) -> None:
        """The status events of one message have come."""
        if self.waiting:
            self._statuses, self._next = statuses, 0  # those of the message before have been taken
            return
        if self._left == AT_ONCE:
            asyncio.get_running_loop().call_soon(self._renew)
        if len(statuses) <= self._left:
            self._left -= len(statuses)
            with self._turns.aside():
                self._take(statuses)
            return
        self._statuses, self._next, self._left = statuses, self._left, 0
        self.waiting = self._reader.holding = True
        self._pause()
        with self._turns.aside():
            self._take(statuses[: self._next])
        self._steps.add(self, self._take_all_in_steps())

    def take_all(self) -> None:
        """Take at once what waits."""
        while self.waiting and self._take_some():
            pass
        self._release()

    def drop(self) -> None:
        """Forget what waits."""
        self._statuses, self._next = [], 0
        self._release()

    def _renew(self) -> None:
        self._left = AT_ONCE

    def _take_all_in_steps(self) -> Steps:
        while self.waiting and self._take_some():
            yield None
        self._release()

    def _take_some(self) -> bool:
        """Take some status events, or hand on the next message; return whether there was anything."""
        begin, end = self._next, self._next + AT_ONCE
        if begin >= len(self._statuses):
            return self._reader.take_held()
        self._next = end
        self._take(self._statuses[begin:end])
        return True

    def _release(self) -> None:
        if self.waiting:
            self.waiting = False
            self._reader.release()
            self._pause()
