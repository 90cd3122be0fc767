"""The HTTP server for operators: on the event loop of the role, and too small to disturb it.

aiohttp speaks HTTP. What is here keeps it small: few connections, each with little time to ask, no request bodies,
and no page for a web site that pretends to be this host. Long answers are made in steps.
"""

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from fproxy.shell.server import ServerStartError, listen_error_text

logger: Final = logging.getLogger("fproxy.admin")

MAX_CONNECTIONS: Final = 64
"""How many connections there may be at once; one more costs the one that has been quiet for longest."""

REQUEST_TIMEOUT: Final = 10.0
"""How long a connection may take to ask for something, in seconds."""

SENT_TIMEOUT: Final = 10.0
"""How long a reader may take for one piece of an endless answer, in seconds."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain", ""})


class _LimitedServer(web.Server):
    """aiohttp's server, with limits on connections."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(
            handler, access_log=None, keepalive_timeout=15.0, max_line_size=4096, max_field_size=4096
        )
        self._waiting: dict[RequestHandler, asyncio.TimerHandle] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        loop = asyncio.get_running_loop()
        self._waiting[handler] = loop.call_later(REQUEST_TIMEOUT, transport.abort)
        if len(self.connections) > MAX_CONNECTIONS:
            # Whoever has not asked for anything yet, the oldest first; else the newest itself.
            victim = next(iter(self._waiting))
            if victim.transport is not None:
                victim.transport.abort()

    def asked(self, handler: RequestHandler) -> None:
        """A connection has asked for something."""
        timer = self._waiting.pop(handler, None)
        if timer is not None:
            timer.cancel()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        self.asked(handler)
        super().connection_lost(handler, exc)


class AdminServer:
    """Serves pages by their path, at a TCP port or a Unix socket, from ``start`` to ``stop``."""

    def __init__(self, pages: Mapping[str, Handler], *, host: str = "127.0.0.1") -> None:
        """Prepare a server.

        Args:
            pages: what to serve, by path; each gets GET requests only, without a body.
            host: the address to listen on, and besides addresses and ``localhost`` the only name to answer to.
        """
        self._pages = pages
        self._host = host
        self._server: _LimitedServer | None = None
        self._listener: asyncio.Server | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port that it listens on, once it does."""
        return self._port

    async def start(self, port: int) -> None:
        """Listen on a port of the host; 0 lets the system choose a free one.

        Raises:
            ServerStartError: the port is in use or not allowed, or the host is not one of this machine's.
        """
        self._server = _LimitedServer(self._answer)
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(self._server, self._host, port, backlog=MAX_CONNECTIONS)
        except OSError as error:
            raise ServerStartError(f"admin: {listen_error_text(self._host, port, error)}") from error
        self._port = self._listener.sockets[0].getsockname()[1]

    async def start_unix(self, path: Path) -> None:
        """Listen on a Unix socket, for a process of the same user.

        Raises:
            ServerStartError: the socket cannot be made there.
        """
        self._server = _LimitedServer(self._answer)
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_unix_server(self._server, str(path), backlog=MAX_CONNECTIONS)
        except OSError as error:
            raise ServerStartError(f"admin: cannot listen on {path}: {error.strerror}") from error

    async def stop(self) -> None:
        """Close every connection, and stop. Stopping twice is fine."""
        listener, server = self._listener, self._server
        self._listener = self._server = None
        if listener is None or server is None:
            return
        listener.close()
        await server.shutdown(0.5)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._server is not None
        self._server.asked(request.protocol)
        if not self._is_own_name(request.host):
            return text_response(f"this host does not answer to the name {request.host[:64]!r}\n", status=403)
        if request.method not in ("GET", "HEAD"):
            return text_response("only GET is served here\n", status=405, headers={"Allow": "GET, HEAD"})
        page = self._pages.get(request.path)
        if page is None:
            served = "".join(f"{path}\n" for path in sorted(self._pages))
            return text_response(f"there is no page {request.path[:64]!r}; there are:\n{served}", status=404)
        return await page(request)

    def _is_own_name(self, host: str) -> bool:
        """Return whether a request was meant for this server: a web site may give its own name this address."""
        name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
        if name.lower() in _LOCAL_NAMES or name == self._host:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def text_response(
    text: str,
    *,
    status: int = 200,
    content_type: str = "text/plain",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return an answer that nobody is to keep: what is true now need not be true in a second."""
    return web.Response(
        text=text,
        status=status,
        content_type=content_type,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
    )


async def event_stream(request: web.BaseRequest, messages: AsyncIterator[bytes]) -> web.StreamResponse:
    """Answer with server-sent events (WHATWG HTML, section 9.2) until there are no more or the reader goes.

    Args:
        request: what is answered.
        messages: the events as they are to be sent, each with its blank line.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    try:
        async for message in messages:
            async with asyncio.timeout(SENT_TIMEOUT):
                await response.write(message)
    except (TimeoutError, ConnectionError):
        logger.debug("a reader of events is gone, or too slow")
    return response
