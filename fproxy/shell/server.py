"""The client-facing server: accepts connections, and closes them when it stops."""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import aiofastnet
from websockets.frames import CloseCode

from fproxy._socket_writer import BacklogPool
from fproxy.core.client_key import ClientKey
from fproxy.core.client_keys import ClientKeys
from fproxy.metrics import Metrics
from fproxy.shell.admission import Admission
from fproxy.shell.client import Client
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.client_loop import ClientLoop, client_loop
from fproxy.shell.connection_limits import ConnectionLimits
from fproxy.shell.endpoint import Endpoint, by_path
from fproxy.shell.input_pacer import InputPacer
from fproxy.shell.key_holders import KeyHolders
from fproxy.shell.lag_watch import LagWatch
from fproxy.shell.listener import Listener
from fproxy.shell.memory_limit import default_backlog
from fproxy.shell.shared_state import SharedState
from fproxy.shell.timer_wheel import TimerWheel
from fproxy.shell.tls_handshake import TlsHandshakes
from fproxy.shell.turns import Turns
from fproxy.shell.work_steps import Steps

logger: Final = logging.getLogger("fproxy.server")

RESERVED_FILES: Final = 64
"""How many of the files that the process may open are left for all else than clients."""


MOST_TOGETHER: Final = 64
"""How many clients are let go at once: another process then notes in one go what they leave behind."""

TOGETHER: Final = 0.05
"""The time of a drain within which clients count as let go at once, in seconds."""

HANDSHAKE_GRACE: Final = 2.0
"""How long connections may still take to shake hands when another process has taken over, in seconds."""

HANDSHAKE_LOOK: Final = 0.02
"""How long between looks at whether they have, in seconds."""

CLOSE_REASONS: Final[Mapping[int, str]] = {
    CloseCode.SERVICE_RESTART: "service restart",
    CloseCode.GOING_AWAY: "going away",
}
"""The close codes with which a server may let its clients go (RFC 6455, section 7.4.1, and its registry).

The official clients come back by themselves after 1012; the Python one takes 1001 for a normal end, and does not.
"""


def _nothing() -> None:
    pass


async def _at_once() -> None:
    pass


class ServerStartError(Exception):
    """The server cannot listen; the message says where, and why not."""


class ClientServer:
    """A server for clients, on behalf of a role.

    Attributes:
        host: the address that it listens on.
        backlog: what waits to be sent to its clients.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        keys: ClientKeys,
        metrics: Metrics,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: ClientLimits | None = None,
        max_clients: int | None = None,
        connection_limits: ConnectionLimits | None = None,
        reuse_port: bool = False,
        listening: socket.socket | None = None,
        ssl_context: ssl.SSLContext | None = None,
        close_code: int = CloseCode.SERVICE_RESTART,
        drain: float = 0.0,
    ) -> None:
        """Prepare a server.

        Args:
            endpoints: what is served on each path.
            keys: the keys to accept.
            metrics: where to count.
            host: the address to listen on.
            port: the port; 0 lets the system choose a free one.
            limits: what clients may do.
            max_clients: how many connections to keep at once; None for as many as the process may open files
                for, which is the most in any case.
            connection_limits: what else limits who may connect.
            reuse_port: whether other processes may listen on the same port, and share its clients.
            listening: a socket that listens already, to be used instead of ``host`` and ``port``; the server closes it.
            ssl_context: for ``wss://``; None for ``ws://``.
            close_code: how clients are let go when the server stops: one of ``CLOSE_REASONS``.
            drain: over how long they are let go, in seconds.

        Raises:
            ValueError: there is no endpoint, or two have the same path.
        """
        self.host = host
        self._port = port
        self._endpoints = by_path(endpoints)
        self._keys = keys
        self._metrics = metrics
        self._limits = limits or ClientLimits()
        self.backlog = BacklogPool(max_bytes=self._limits.max_backlog or default_backlog())
        metrics.watch_backlog(self.backlog)
        self._max_clients = max_clients
        self._connection_limits = connection_limits or ConnectionLimits()
        self._reuse_port = reuse_port
        self._listening = listening
        self._ssl_context = ssl_context
        self._close_code = close_code
        self._drain = drain
        self._listener: Listener | None = None
        self._handshakes: TlsHandshakes | None = None
        self._shared: SharedState | None = None
        self._lag_watch: LagWatch | None = None

    @property
    def port(self) -> int:
        """The port that the server listens on, once it does."""
        return self._port

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """What is served."""
        return tuple(self._endpoints.values())

    @property
    def clients(self) -> Iterator[Client]:
        """Those who have authenticated and are not closing."""
        shared = self._shared
        return (client for client in tuple(shared.clients if shared else ()) if client.authenticated)

    @property
    def connections(self) -> int:
        """How many connections there are, those in a handshake included."""
        return len(self._shared.clients) if self._shared else 0

    def duplicate_listening(self) -> socket.socket:
        """Return a duplicate of the listening socket, for another process; the caller closes it.

        Raises:
            ServerStartError: the server listens on several addresses, and so with several sockets, or not at all; or
                the process may open no more files.
        """
        sockets = self._listener.sockets if self._listener is not None else ()
        if len(sockets) != 1:
            raise ServerStartError(f"the server listens with {len(sockets)} sockets; one can be handed over")
        try:
            return socket.socket(fileno=os.dup(sockets[0].fileno()))
        except OSError as error:
            raise ServerStartError(f"the listening socket cannot be duplicated: {error.strerror}") from error

    async def start(self, before_accepting: Callable[[], Awaitable[None]] = _at_once) -> None:
        """Start to accept clients.

        Args:
            before_accepting: awaited when clients may connect, and wait, as nobody is accepted yet.

        Raises:
            ServerStartError: the port is in use or not allowed, or the host is not one of this machine's.
        """
        loop = asyncio.get_running_loop()
        reading = client_loop(loop)
        limits = self._limits
        max_clients = _affordable_clients(self._max_clients)
        shared = SharedState(
            loop=loop,
            reading=reading,
            keys=self._keys,
            holders=KeyHolders(self._keys, self._metrics, self._limits.max_connections_per_key),
            metrics=self._metrics,
            limits=limits,
            endpoints=self._endpoints,
            max_clients=max_clients,
            connection_limits=self._connection_limits,
            admission=Admission(
                self._connection_limits, max_clients=max_clients, metrics=self._metrics, clock=loop.time
            ),
            timers=TimerWheel(loop, _resolution(limits)),
            pacer=InputPacer(Turns.of(loop)),
            backlog=self.backlog,
        )
        shared.empty.set()
        handshakes = None if self._ssl_context is None else TlsHandshakes(shared, self._ssl_context)
        listener = Listener(
            reading,
            partial(_connect, shared) if handshakes is None else handshakes.begin,
            refused=self._metrics.refused_connections.labels("files").inc,
        )
        try:
            if self._listening is not None:
                listener.use(self._listening)
            else:
                await listener.open(self.host, self._port, reuse_port=self._reuse_port)
        except OSError as error:
            raise ServerStartError(listen_error_text(self.host, self._port, error)) from error
        self._listener = listener
        self._handshakes = handshakes
        self._shared = shared
        self._lag_watch = LagWatch(loop, self.backlog, max_lag=limits.max_lag)
        for listening in listener.sockets:
            self._port = listening.getsockname()[1]
        await before_accepting()
        listener.accept()

    def replace_tls(self, context: ssl.SSLContext) -> None:
        """Show these certificates to the connections that follow. The server must have begun with some."""
        self._ssl_context = context
        if self._handshakes is not None:
            self._handshakes.context = context

    def replace_keys(self, named: Iterable[ClientKey]) -> Steps:
        """Accept these named keys from now on, in place of those before.

        Returns:
            The work of applying that to the clients that are there: those whose key is gone are closed, from the others
            what their key does not allow any more is taken. Nobody else notices.
        """
        if self._shared is not None:
            return self._shared.holders.replace(named)
        self._keys.replace(named)
        return iter(())

    async def stop(
        self,
        timeout: float = 5.0,  # noqa: ASYNC109
        flush: Callable[[], None] = _nothing,
        before_close: Callable[[Sequence[Client]], Awaitable[None]] | None = None,
    ) -> None:
        """Stop accepting, let the clients go, and drop those that are slow about it.

        The clients are let go one after the other, spread over the time to drain, and served until then. The close
        code tells them whether to come back: see ``CLOSE_REASONS``. Nothing of the server runs afterwards. Stopping
        a server that does not run does nothing.

        Args:
            timeout: how long the last clients may take to read what was sent to them and to close, in seconds.
            flush: sends clients what is pending; it is called before any of them is let go.
            before_close: awaited for some clients before they are let go, when another process serves the port now.
                Connections in their handshake get the time for it then: whoever comes just now must not be refused.
        """
        shared, listener = self._shared, self._listener
        if shared is None or listener is None:
            return
        self._shared = self._listener = None
        if before_close is not None:
            await listener.finish(HANDSHAKE_GRACE)
            await _until_established(shared)
        shared.accepting = False
        await listener.close()
        if self._handshakes is not None:
            self._handshakes.close()
        reason = CLOSE_REASONS[self._close_code]
        loop = asyncio.get_running_loop()
        began, leaving = loop.time(), tuple(shared.clients)
        for number, together in _in_groups(leaving, self._drain):
            wait = began + self._drain * number / len(leaving) - loop.time()
            if wait > 0:
                with suppress(TimeoutError):  # no client left is the end of it
                    await asyncio.wait_for(shared.empty.wait(), wait)
            if before_close is not None:
                await before_close(together)
            flush()
            for client in together:
                client.close(self._close_code, reason)
        try:
            async with asyncio.timeout(timeout):
                await shared.empty.wait()
        except TimeoutError:
            logger.info("dropping %d clients that did not close in time", len(shared.clients))
            for client in tuple(shared.clients):
                client.abort()
            await shared.empty.wait()
        shared.timers.close()
        if isinstance(shared.reading, ClientLoop):
            shared.reading.close()
        if self._lag_watch is not None:
            self._lag_watch.stop()


async def _connect(shared: SharedState, connection: socket.socket, host: str) -> None:
    """Make a client of a connection that was accepted."""
    await aiofastnet.connect_accepted_socket(shared.reading, lambda: Client(shared), connection)


def _in_groups(leaving: Sequence[Client], drain: float) -> Iterator[tuple[int, Sequence[Client]]]:
    """Give clients in groups of those that are let go together, each with the number of its first.

    Args:
        leaving: the clients.
        drain: over how long they are let go, in seconds: a group's share of that is at most ``TOGETHER``.
    """
    size = MOST_TOGETHER if not drain else max(1, min(MOST_TOGETHER, int(len(leaving) * TOGETHER / drain)))
    for first in range(0, len(leaving), size):
        yield first, leaving[first : first + size]


async def _until_established(shared: SharedState) -> None:
    """Wait until the connections that have been accepted have shaken hands, but not for long."""
    end = shared.loop.time() + HANDSHAKE_GRACE
    while shared.loop.time() < end and not all(client.established for client in shared.clients):  # noqa: ASYNC110
        await asyncio.sleep(HANDSHAKE_LOOK)


def _resolution(limits: ClientLimits) -> float:
    times = (limits.handshake_timeout, limits.auth_timeout, limits.ping_timeout, limits.close_timeout)
    return min(0.25, max(0.001, min(times) / 8))


def _affordable_clients(wanted: int | None) -> int:
    """Return how many connections to keep: as many as wanted, but fewer than the files the process may open.

    Without files left, connections could not even be turned away: they would wake the event loop without end.
    """
    affordable = max(1, _max_open_files() - RESERVED_FILES)
    if wanted is None:
        return affordable
    if wanted > affordable:
        logger.warning("Serving at most %d clients: the process may not open more files", affordable)
    return min(wanted, affordable)


def _max_open_files() -> int:
    try:
        import resource
    except ImportError:
        return 8192
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def listen_error_text(host: str, port: int, error: OSError) -> str:
    """Return why a server cannot listen: a sentence about what ``error`` says of its host and port."""
    if isinstance(error, socket.gaierror):
        return f"cannot listen on {host}: not an address or a name of this machine"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not allowed to this user"
    if error.errno is None or error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {host}: not an address of this machine"
    return f"cannot listen on port {port} of {host}: {error.strerror}"
