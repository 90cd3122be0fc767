"""Run one role as a program: until SIGINT or SIGTERM, then stop it and exit 0."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, Protocol

from fproxy.shell.server import ServerStartError

log = logging.getLogger(__name__)

STOP_TIMEOUT: Final = 5.0
"""Seconds that a role may take to stop before the program exits without it."""


class Role(Protocol):
    """A program of the package: something that serves from ``start`` to ``stop``."""

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            ServerStartError: it cannot listen.
        """

    async def stop(self) -> None:
        """Stop accepting clients, send what is waiting, close every connection."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes event loops: uvloop's where it runs, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run ``main`` on a new event loop and return its result, the program's exit status."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)


@contextlib.contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Give an event that the first SIGINT or SIGTERM sets; the second one ends the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)

    def received(number: int) -> None:
        if stopping.is_set():
            print("Stopped at once, at the second signal.", file=sys.stderr, flush=True)
            os._exit(128 + number)
        stopping.set()

    for number in handled:
        try:
            loop.add_signal_handler(number, received, number)
        except NotImplementedError:  # Windows' loops: Ctrl-C raises KeyboardInterrupt there.
            signal.signal(number, lambda caught, _frame: loop.call_soon_threadsafe(received, caught))
    try:
        yield stopping
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in handled:
                loop.remove_signal_handler(number)


async def serve(role: Role) -> int:
    """Serve with ``role`` until a signal asks to stop; return the program's exit status.

    The status is 0 after a signal, and 1 when the role cannot listen, which is one line in the log.
    """
    with stop_signals() as stopping:
        starting = asyncio.ensure_future(role.start())
        signalled = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait((starting, signalled), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                await signalled
        except ServerStartError as error:
            log.error("%s", error)
            return 1
        finally:
            for task in (starting, signalled):
                task.cancel()
            await asyncio.gather(starting, signalled, return_exceptions=True)
            await _stop(role)
    return 0


async def _stop(role: Role) -> None:
    try:
        await asyncio.wait_for(role.stop(), STOP_TIMEOUT)
    except TimeoutError:
        log.warning("Not everything had stopped after %g s; exiting all the same", STOP_TIMEOUT)
