"""Serve with one role as a program: until SIGINT or SIGTERM, then stop it and exit 0."""

import asyncio
import logging
from typing import Final, Protocol

from fproxy.face.event_loop import stop_signals
from fproxy.shell.server import ServerStartError

log = logging.getLogger(__name__)

STOP_TIMEOUT: Final = 8.0
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


async def serve(role: Role, *, stop_at_eof: bool = False) -> int:
    """Serve with ``role`` until a signal asks to stop; return the program's exit status.

    The status is 0 after a signal, and 1 when the role cannot listen, which is one line in the log.

    Args:
        role: what to start and, in the end, to stop.
        stop_at_eof: stop at the end of standard input too.
    """
    with stop_signals(at_eof=stop_at_eof) as stopping:
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
