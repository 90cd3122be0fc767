"""Connections that begin with a TLS handshake: limited, and told apart by address, before it."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

import aiofastnet

from fproxy.core.proxy_protocol import MAX_V2_BYTES, ProxyProtocolError, parse_header
from fproxy.shell.admission import REFUSALS
from fproxy.shell.client import Client
from fproxy.shell.peer import Arrival
from fproxy.shell.shared_state import SharedState

logger: Final = logging.getLogger("fproxy.server")


class Handshaking:
    """A connection that is not secure yet."""

    __slots__ = ("aborted", "task")

    def __init__(self) -> None:
        """Begin before its task has."""
        self.aborted = False
        self.task: asyncio.Task[Any] | None = None

    def abort(self) -> None:
        """End at once."""
        self.aborted = True
        if self.task is not None:
            self.task.cancel()


class TlsHandshakes:
    """Makes clients of the connections whose handshake succeeds.

    What comes from a trusted proxy may begin with a header of the PROXY protocol, in front of the handshake.

    Attributes:
        context: the certificates; may be replaced, for the connections that follow.
    """

    def __init__(self, shared: SharedState, context: ssl.SSLContext) -> None:
        """Prepare.

        Args:
            shared: what the clients of the server share.
            context: the certificates.
        """
        self.context = context
        self._shared = shared
        self._handler_before = shared.loop.get_exception_handler()
        shared.loop.set_exception_handler(self._exception_in_loop)

    def close(self) -> None:
        """Leave the loop as it was; no handshake is under way any more."""
        self._shared.loop.set_exception_handler(self._handler_before)

    def begin(self, connection: socket.socket, host: str) -> Coroutine[Any, Any, None] | None:
        """Take in a connection from an address.

        Returns:
            what does the handshake, and makes a client of the connection or closes it; None when the connection was
            turned away, and is closed.
        """
        handshaking = Handshaking()
        admission = self._shared.admission
        reason = admission.arrived(handshaking, host)
        if reason is None:
            return self._secure(handshaking, connection, host)
        self._turn_away(host, reason)
        admission.left(handshaking)
        connection.close()
        return None

    async def _secure(self, handshaking: Handshaking, connection: socket.socket, host: str) -> None:
        shared, handed_over = self._shared, False
        handshaking.task = asyncio.current_task()
        try:
            if handshaking.aborted:
                return
            async with asyncio.timeout(shared.limits.handshake_timeout):
                forwarded = None
                if shared.admission.trusted_proxies.trust(host):
                    forwarded = await self._read_header(connection)
                if forwarded is not None:
                    reason = shared.admission.identified(handshaking, forwarded)
                    if reason is not None:
                        self._turn_away(forwarded, reason)
                        return
                arrival = Arrival(handshaking, host, forwarded)
                await aiofastnet.connect_accepted_socket(
                    shared.reading,
                    lambda: Client(shared, arrival),
                    connection,
                    ssl=self.context,
                    ssl_handshake_timeout=shared.limits.handshake_timeout,
                )
                handed_over = True
        except (OSError, ProxyProtocolError, TimeoutError) as error:
            shared.metrics.tls_failures.inc()
            if isinstance(error, ConnectionError):  # as of whoever only looks whether somebody listens
                logger.debug("%s went away before its TLS handshake was over", host)
            else:
                shared.tls_log.log("%s dropped: its TLS handshake failed: %s", host, _explained(error))
        finally:
            shared.admission.left(handshaking)
            if not handed_over:
                connection.close()

    async def _read_header(self, connection: socket.socket) -> str | None:
        """Read the header of the PROXY protocol that a connection may begin with, and nothing else of it."""
        data = b""
        while True:
            await self._readable(connection)
            with suppress(BlockingIOError):
                seen = connection.recv(MAX_V2_BYTES, socket.MSG_PEEK)
                if not seen:
                    raise ConnectionResetError("the connection was closed")
                header = parse_header(data + seen)
                if header is not None:
                    if header.size:
                        connection.recv(header.size - len(data))
                    return header.address
                data += connection.recv(len(seen))  # as long as the header is not whole, all belongs to it

    async def _readable(self, connection: socket.socket) -> None:
        loop = self._shared.reading
        ready = loop.create_future()

        def is_readable() -> None:
            if not ready.done():
                ready.set_result(None)

        loop.add_reader(connection, is_readable)
        try:
            await ready
        finally:
            loop.remove_reader(connection)

    def _turn_away(self, host: str, reason: str) -> None:
        self._shared.admission.refused(reason, "%s turned away: %s", host, REFUSALS[reason].log_text)

    def _exception_in_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Pass over what the library says of a handshake that was broken off: the class of an exception, not one.

        The loop's own handler fails on that with a long traceback, which strangers could cause at will.
        """
        if isinstance(context.get("exception"), type):
            logger.debug("%s", context.get("message"))
        elif self._handler_before is not None:
            self._handler_before(loop, context)
        else:
            loop.default_exception_handler(context)


def _explained(error: Exception) -> str:
    """Return in a few words what made a handshake fail; the texts of the libraries hold nothing that the peer sent."""
    match error:
        case TimeoutError():
            return "it took too long"
        case ssl.SSLError():
            return (error.reason or "unknown reason").replace("_", " ").lower()
        case OSError():
            return "the connection was closed"
        case _:
            return str(error)
