"""Serve with one role as a program: until SIGINT or SIGTERM, then stop it and exit 0."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from fproxy.face.event_loop import stop_signals
from fproxy.face.garbage import relax_garbage_collection
from fproxy.face.supervisor import ChildFailedError
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
            ChildFailedError: it consists of processes, and one of them could not start.
        """

    async def stop(self) -> None:
        """Stop accepting clients, send what is waiting, close every connection."""


class ListeningRole(Role, Protocol):
    """A role that listens on one port."""

    @property
    def port(self) -> int:
        """The port that clients connect to, once the role has started."""


async def serve(
    role: Role,
    *,
    stop_at_eof: bool = False,
    on_ready: Callable[[], None] | None = None,
    on_reload: Callable[[], None] | None = None,
    stop_timeout: float = STOP_TIMEOUT,
) -> int:
    """Serve with ``role`` until a signal asks to stop; return the program's exit status.

    The status is 0 after a signal, and 1 when the role cannot start, which is one line in the log.

    Args:
        role: what to start and, in the end, to stop.
        stop_at_eof: stop at the end of standard input too.
        on_ready: called once the role has started.
        on_reload: called at each SIGHUP: read again what can be read again.
        stop_timeout: how long stopping may take, in seconds.
    """
    with stop_signals(at_eof=stop_at_eof, reload=on_reload) as stopping:
        starting = asyncio.ensure_future(role.start())
        signalled = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait((starting, signalled), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                relax_garbage_collection()
                if on_ready is not None:
                    on_ready()
                await signalled
        except (ServerStartError, ChildFailedError) as error:
            log.error("%s", error)
            return 1
        finally:
            for task in (starting, signalled):
                task.cancel()
            await asyncio.gather(starting, signalled, return_exceptions=True)
            await _stop(role, stop_timeout)
    return 0


async def _stop(role: Role, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await role.stop()
    except TimeoutError:
        log.warning("Not everything had stopped after %g s; exiting all the same", seconds)
