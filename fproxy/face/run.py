"""Serve with one role as a program: until SIGINT or SIGTERM, then stop it and exit 0."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, runtime_checkable

from fproxy.face.allocator import give_big_pieces_back
from fproxy.face.event_loop import stop_signals
from fproxy.face.garbage import relax_garbage_collection
from fproxy.face.service_manager import ServiceManager
from fproxy.face.supervisor import ChildFailedError
from fproxy.shell.server import ServerStartError
from fproxy.shell.turns import Turns

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


@runtime_checkable
class EndingRole(Protocol):
    """A role that may come to its end by itself.

    Attributes:
        more_stop_time: how much longer than others it may take to stop, in seconds.
    """

    more_stop_time: float

    async def until_ended(self) -> int:
        """Return the exit status once the role, which has started, has come to its end and is to be stopped."""


async def serve(
    role: Role,
    *,
    stop_at_eof: bool = False,
    on_ready: Callable[[], None] | None = None,
    on_reload: Callable[[], None] | None = None,
    stop_timeout: float = STOP_TIMEOUT,
    until: Callable[[], Awaitable[int]] | None = None,
) -> int:
    """Serve with ``role`` until a signal asks to stop; return the program's exit status.

    The status is 0 after a signal, and 1 when the role cannot start, which is one line in the log.

    Args:
        role: what to start and, in the end, to stop.
        stop_at_eof: stop at the end of standard input too.
        on_ready: called once the role has started.
        on_reload: called at each SIGHUP: read again what can be read again.
        stop_timeout: how long stopping may take, in seconds.
        until: returns, once the role has started and has come to its end by itself, the exit status.
    """
    give_big_pieces_back()
    status = 0
    manager = ServiceManager(os.environ)
    turns = Turns.of(asyncio.get_running_loop())
    with stop_signals(at_eof=stop_at_eof, reload=on_reload) as stopping:
        starting = asyncio.ensure_future(role.start())
        signalled = asyncio.ensure_future(stopping.wait())
        ends: list[asyncio.Future[Any]] = [signalled]
        try:
            await asyncio.wait((starting, signalled), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                relax_garbage_collection(turns)
                manager.ready()
                if on_ready is not None:
                    on_ready()
                if until is not None:
                    ends.append(asyncio.ensure_future(until()))
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if not signalled.done():
                    status = await ends[-1]
        except (ServerStartError, ChildFailedError) as error:
            log.error("%s", error)
            return 1
        finally:
            for task in (starting, *ends):
                task.cancel()
            await asyncio.gather(starting, *ends, return_exceptions=True)
            manager.stopping()
            await _stop(role, stop_timeout)
            manager.stopped()
    return status


async def _stop(role: Role, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await role.stop()
    except TimeoutError:
        log.warning("Not everything had stopped after %g s; exiting all the same", seconds)
