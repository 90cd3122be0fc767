"""The event loop as the connections of clients have it: they are read behind market data, a bounded time in a turn.

An event loop calls back for every connection on which something has come before it turns again: for a thousand of them,
that is a thousand reads during which an upstream waits. Here those of clients are watched by an epoll of their own
(epoll(7)), which the loop watches as one file: in each turn a few of them are read, in turns, and whatever an upstream
has sent meanwhile comes first again.
"""

import asyncio
import select
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, Protocol, cast

from fproxy.shell.turns import Turns

SOON_FOR_A_READ: Final = 4
"""How many callbacks come before something is read again: as many as an accepted connection asks for until it is gone,
so that they do not become more and more."""

MOST_READY: Final = 64
"""How many files are asked for at once which have something to read."""


class HasFile(Protocol):
    """Something with a file, such as a socket."""

    def fileno(self) -> int:
        """Return the number of the file."""


def client_loop(loop: asyncio.AbstractEventLoop) -> "asyncio.AbstractEventLoop":
    """Return the loop as clients' connections should have it: the loop itself where the system has no epoll."""
    if not hasattr(select, "epoll"):
        return loop
    return cast(asyncio.AbstractEventLoop, ClientLoop(loop))


class ClientLoop:
    """An event loop that has readers, and what is to be called soon, in the turns of what is not market data.

    These take turns with each other, and so do all readers. All else is the loop's own, ``add_writer`` too: what is
    written is data.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: Turns | None = None) -> None:
        """Stand in front of a loop.

        Args:
            loop: the event loop.
            turns: when to read and to call back; None for those of the loop.
        """
        self._loop = loop
        self._turns = turns or Turns.of(loop)
        self._epoll = select.epoll()
        self._readers: dict[int, asyncio.Handle] = {}
        # Those that have something to read, in the order of their turns: all of them before any comes again.
        self._ready: deque[int] = deque()
        self._soon: deque[asyncio.Handle] = deque()
        # Those of them that register a reader.
        self._registering: set[asyncio.Handle] = set()
        self._soon_called = 0  # since the last read

    def __getattr__(self, name: str) -> Any:
        """Return what the loop has."""
        return getattr(self._loop, name)

    def call_soon(
        self, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back, in this order. As the method of event loops."""
        handle = asyncio.Handle(callback, arguments, self._loop, context)
        self._soon.append(handle)
        if callback == self.add_reader:
            self._registering.add(handle)
        self._turns.ask(self)
        return handle

    def add_reader(self, file: int | HasFile, callback: Callable[..., object], *arguments: Any) -> None:
        """Call back, in turn, as long as there is something to read. As the method of event loops."""
        number = file if isinstance(file, int) else file.fileno()
        if not self._readers:
            self._loop.add_reader(self._epoll.fileno(), self._turns.begin, self)
        self._readers[number] = asyncio.Handle(callback, arguments, self._loop)
        with suppress(FileExistsError):  # it had a reader before, which is replaced
            self._epoll.register(number, select.EPOLLIN)

    def remove_reader(self, file: int | HasFile) -> bool:
        """Call back no more. Return whether there was a callback. As the method of event loops."""
        number = file if isinstance(file, int) else file.fileno()
        if self._readers.pop(number, None) is None:
            return False
        with suppress(OSError, ValueError):  # it is closed, and so watched no more
            self._epoll.unregister(number)
        if not self._readers:
            self._loop.remove_reader(self._epoll.fileno())
            self._ready.clear()
        return True

    def close(self) -> None:
        """Read nothing any more."""
        if self._readers:
            self._readers.clear()
            self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def step(self) -> bool:
        """Call back once. Return whether there may be more to call. See ``Worker``."""
        handle = self._next()
        if handle is None:
            return False
        handle._run()  # it gives what fails to the loop's exception handler
        # A new connection has its reader registered at once. Whatever came between might close it, and its file
        # would be registered when it is another's already.
        while self._soon and self._soon[0] in self._registering:
            registering = self._soon.popleft()
            self._registering.discard(registering)
            if not registering.cancelled():
                registering._run()
        return True

    def _next(self) -> asyncio.Handle | None:
        """Return what is to be called next, of both kinds in turn; None when there is nothing."""
        if self._soon and self._soon_called < SOON_FOR_A_READ:
            self._soon_called += 1
            return self._soon.popleft()
        self._soon_called = 0
        while True:
            if not self._ready and self._readers:
                self._ready.extend(number for number, _ in self._epoll.poll(0, MOST_READY))
            if not self._ready:
                return self._soon.popleft() if self._soon else None
            reader = self._readers.get(self._ready.popleft())
            if reader is not None:
                return reader
