"""Listening sockets, and how connections are accepted from them, also when the process may open no more files.

aiofastnet's own server fails at that limit (its accept handler calls a method that sockets do not have, with a
traceback in each turn of the loop), and drops what it has just accepted when it is closed. So connections are accepted
here, and only handed to it.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from fproxy.shell.log_throttle import LogThrottle

logger: Final = logging.getLogger("fproxy.server")

ACCEPTS_PER_TURN: Final = 1
"""How many connections are accepted in one turn of the event loop: a rush of clients must not stall data."""

ACCEPT_QUEUE: Final = 1024
"""How many connections may wait in the kernel to be accepted."""

RETRY_DELAY: Final = 0.25
"""How long accepting rests when the process may open no more files or memory, in seconds."""

_NO_FILES: Final = (errno.EMFILE, errno.ENFILE)
_NO_MEMORY: Final = (errno.ENOBUFS, errno.ENOMEM)
_NO_SUCH_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Listener:
    """Accepts connections on the sockets of one server."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connect: Callable[[socket.socket, str], Coroutine[Any, Any, None] | None],
        *,
        refused: Callable[[], None],
    ) -> None:
        """Prepare to accept.

        Args:
            loop: the event loop.
            connect: takes a connection and the address that it comes from; returns what hands it on, which may take its
                time, or None when it has turned the connection away.
            refused: called for each connection that was refused because the process may open no more files.
        """
        self._loop = loop
        self._connect = connect
        self._refused = refused
        self._sockets: list[socket.socket] = []
        self._accepting = False
        self._resting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        # Given up for a moment at the limit, so that whoever waits can be accepted, and closed.
        self._spare_file: int | None = None
        self._log = LogThrottle(logger, logging.ERROR, 10.0)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets; none after ``close``."""
        return tuple(self._sockets)

    async def open(self, host: str, port: int, *, reuse_port: bool) -> None:
        """Listen on every address that a host stands for; what connects waits until ``accept``.

        Args:
            host: an address of this machine, or a name of it.
            port: the port; 0 lets the system choose a free one.
            reuse_port: whether other processes may listen on the same port, and share its clients.

        Raises:
            OSError: an address is in use or not allowed, or none is this machine's.
        """
        found = await self._loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        missing: OSError | None = None
        try:
            for family, _kind, _protocol, _name, address in dict.fromkeys(found):
                try:
                    self._sockets.append(
                        socket.create_server(
                            address[:2], family=family, backlog=ACCEPT_QUEUE, reuse_port=reuse_port
                        )
                    )
                except OSError as error:
                    if error.errno not in _NO_SUCH_ADDRESS:
                        raise
                    missing = error  # as of ::1, which localhost stands for too, where there is no IPv6
            if missing is not None and not self._sockets:
                raise missing
        except OSError:
            self._close_sockets()
            raise

    def use(self, listening: socket.socket) -> None:
        """Take a socket that listens already, which the listener closes; what connects waits until ``accept``.

        How many may wait is up to who opened it.
        """
        self._sockets.append(listening)

    async def finish(self, grace: float) -> None:
        """Accept no more; return when what has been accepted has been handed on. The sockets stay open.

        Args:
            grace: how long that may take, in seconds: it includes the handshake of TLS.
        """
        self._stop_accepting()
        if self._connecting:
            await asyncio.wait(self._connecting, timeout=grace)

    async def close(self) -> None:
        """Accept no more, close the sockets, and drop what has been accepted and not been handed on."""
        self._stop_accepting()
        self._close_sockets()
        for connecting in tuple(self._connecting):
            connecting.cancel()
        if self._connecting:
            await asyncio.wait(self._connecting)

    def accept(self) -> None:
        """Accept connections from now on."""
        self._accepting = True
        self._open_spare_file()
        for listening in self._sockets:
            listening.setblocking(False)
            self._loop.add_reader(listening.fileno(), self._accept_some, listening)

    def _stop_accepting(self) -> None:
        if not self._accepting:
            return
        self._accepting = False
        for listening in self._sockets:
            self._loop.remove_reader(listening.fileno())
        for timer in self._resting.values():
            timer.cancel()
        self._resting.clear()
        self._close_spare_file()

    def _close_sockets(self) -> None:
        while self._sockets:
            self._sockets.pop().close()

    def _accept_some(self, listening: socket.socket) -> None:
        """Accept what waits, but not more than is good for one turn of the loop."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _NO_FILES:
                    self._refuse_some(listening, error)
                elif error.errno in _NO_MEMORY:
                    self._log.log("Connections wait: %s", error.strerror)
                    self._rest(listening)
                # Any other says that the connection was broken off before it was accepted (accept(2)).
                return
            connection.setblocking(False)
            with contextlib.suppress(OSError):  # it was broken off
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handing_on = self._connect(connection, str(address[0]))
            if handing_on is None:
                continue
            connecting = self._loop.create_task(self._hand_on(connection, handing_on))
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)
            # In case it is cancelled before it begins.
            connecting.add_done_callback(partial(_drop_unbegun, connection, handing_on))

    async def _hand_on(self, connection: socket.socket, handing_on: Coroutine[Any, Any, None]) -> None:
        try:
            await handing_on
        except asyncio.CancelledError:
            connection.close()
            raise
        except Exception as error:
            # It was broken off, or the TLS handshake failed: the client knows.
            logger.debug("A connection failed before it began: %s", error)
            connection.close()

    # At the limit of files.

    def _refuse_some(self, listening: socket.socket, error: OSError) -> None:
        """Close the connections that wait, as there are no files for them: else they would wait, and wake the loop."""
        refused = 0
        self._close_spare_file()
        for _ in range(ACCEPTS_PER_TURN):
            try:
                connection, _address = listening.accept()
            except OSError:
                break
            connection.close()
            refused += 1
            self._refused()
        self._open_spare_file()
        self._log.log("Connections are refused: %s (the limit of files; see --max-clients)", error.strerror)
        if not refused:
            self._rest(listening)

    def _rest(self, listening: socket.socket) -> None:
        """Accept nothing for a moment: what waits would wake the loop in each of its turns."""
        self._loop.remove_reader(listening.fileno())
        self._resting[listening] = self._loop.call_later(RETRY_DELAY, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        self._resting.pop(listening, None)
        if self._spare_file is None:
            self._open_spare_file()
        self._loop.add_reader(listening.fileno(), self._accept_some, listening)

    def _open_spare_file(self) -> None:
        with contextlib.suppress(OSError):
            self._spare_file = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _close_spare_file(self) -> None:
        if self._spare_file is not None:
            os.close(self._spare_file)
            self._spare_file = None


def _drop_unbegun(
    connection: socket.socket, handing_on: Coroutine[Any, Any, None], connecting: "asyncio.Task[None]"
) -> None:
    handing_on.close()
    if connecting.cancelled():
        connection.close()
