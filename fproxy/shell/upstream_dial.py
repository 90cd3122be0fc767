"""Dialing an upstream: name, socket, TLS, WebSocket handshake; and saying in a few words what went wrong."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from picows import WSHandshakeError, WSListener, WSTransport, ws_connect

from fproxy._bounded_reads import READ_BYTES
from fproxy.core.frames import SERVER_NAME
from fproxy.core.redaction import redact
from fproxy.core.upstream_failure import UpstreamFailure
from fproxy.shell.tls import TlsError

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter

READ_BUFFER_BYTES: Final = READ_BYTES * 5 // 4
"""The size that the read buffer starts with. picows doubles it when more than nine tenths of it are filled, which
one read does not do, unless behind the beginning of a frame of more than 128 KiB."""


class HandshakeBrokenOffError(Exception):
    """The server closed the connection before it had answered the handshake."""


async def dial(
    url: str,
    listener: WSListener,
    *,
    ssl_context: ssl.SSLContext | None,
    time_limit: float,
    max_frame_size: int,
    silence: float = 0.0,
) -> WSTransport:
    """Connect to an upstream, and leave nothing open when that fails or is cancelled.

    Args:
        url: a ``ws://`` or ``wss://`` URL; its user and password are not used.
        listener: takes the frames, some of them perhaps before this returns.
        ssl_context: how to verify the server; needed for ``wss://``.
        time_limit: how long all of it may take, in seconds.
        max_frame_size: the largest frame accepted, in bytes.
        silence: after how long without a sign of life the system may give the connection up, in seconds; 0 for never.

    Raises:
        TimeoutError: it took too long.
        HandshakeBrokenOffError: the server closed the connection instead of answering.
        OSError, ssl.SSLError, UnicodeError, picows.WSError: what ``explain`` explains.
    """
    parts = urlsplit(url)
    # The name and password of the URL would be sent along in the Host header.
    parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    async with asyncio.timeout(time_limit):
        default_port = 443 if parts.scheme == "wss" else 80
        sock = await _connect_socket(parts.hostname or "", parts.port or default_port, time_limit, silence)
        # When picows is cancelled during the handshake it leaves its transport open. So it is not
        # cancelled: its socket is shut down, upon which it fails by itself.
        handshake = asyncio.create_task(
            ws_connect(
                lambda *_: listener,
                parts.geturl(),
                ssl_context=ssl_context,
                websocket_handshake_timeout=None,
                logger_name=_PicowsLog(logging.getLogger("fproxy.upstream.wire"), {}),
                # The pings that picows answers itself are kept from the listener, which would miss a
                # burst's end.
                enable_auto_pong=False,
                max_frame_size=max_frame_size,
                # The key must not follow a redirect to another server.
                max_redirects=0,
                read_buffer_init_size=READ_BUFFER_BYTES,
                socket_factory=lambda _: sock,
            )
        )
        try:
            transport, answered_listener = await asyncio.shield(handshake)
        except asyncio.CancelledError:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            await asyncio.wait([handshake])
            if handshake.exception() is None:
                await hang_up(handshake.result()[0])
            raise
    if answered_listener is not listener:
        raise HandshakeBrokenOffError
    return transport


def is_peer(transport: WSTransport) -> bool:
    """Return whether the server at the other end is a role of fproxy's own: its handshake says so in ``Server``."""
    return bool(transport.response.headers.get("Server", "").startswith(SERVER_NAME))


async def hang_up(transport: WSTransport, *, patience: float = 0.0) -> None:
    """Wait for a connection to end by itself, and end it when it does not.

    Args:
        transport: the connection.
        patience: how long to wait, in seconds.
    """
    ended = asyncio.ensure_future(transport.wait_disconnected())
    if patience:
        await asyncio.wait([ended], timeout=patience)
    if not ended.done():
        transport.disconnect(False)
        await asyncio.wait([ended])
    if not ended.cancelled():
        ended.exception()  # Otherwise the loop would complain that nobody looked at it.


def explain(
    error: Exception, *, host: str, time_limit: float, secrets: Iterable[str] = ()
) -> tuple[UpstreamFailure, str]:
    """Say in a few words, for one line of the log, what made ``dial`` fail.

    Args:
        error: what it raised.
        host: the host that was dialed.
        time_limit: how long it had, in seconds.
        secrets: what the server was sent that must not be shown.
    """
    match error:
        case TimeoutError():
            return UpstreamFailure.TIMEOUT, f"no connection within {time_limit:g} s"
        case socket.gaierror():
            return UpstreamFailure.UNRESOLVABLE, f"cannot resolve host {host!r}: {error.strerror}"
        case UnicodeError():
            return UpstreamFailure.UNRESOLVABLE, f"cannot resolve host {host!r}: not a valid host name"
        case ConnectionRefusedError():
            return UpstreamFailure.REFUSED, "connection refused"
        case TlsError():
            return UpstreamFailure.TLS, str(error)
        case ssl.SSLCertVerificationError():
            return UpstreamFailure.TLS, f"certificate not accepted: {redact(error.verify_message, secrets)}"
        case ssl.SSLError():
            reason = (error.reason or error.strerror or "unknown error").replace("_", " ").lower()
            return UpstreamFailure.TLS, f"TLS handshake failed: {redact(reason, secrets)}"
        case WSHandshakeError(response=response) if (
            response is not None and response.status is not HTTPStatus.SWITCHING_PROTOCOLS
        ):
            status = response.status
            return UpstreamFailure.HTTP_STATUS, f"HTTP status {status.value} {status.phrase}"
        case WSHandshakeError():
            return UpstreamFailure.HANDSHAKE, f"not a WebSocket server: {redact(str(error), secrets)}"
        case HandshakeBrokenOffError() | ConnectionError():
            return UpstreamFailure.HANDSHAKE, "connection closed during the handshake"
        case OSError():
            # asyncio puts the address where the system's text would be, and the log line has that already.
            text = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
            return UpstreamFailure.NETWORK, redact(text[:1].lower() + text[1:], secrets)
        case _:
            return UpstreamFailure.INTERNAL, f"unexpected error: {type(error).__name__}"


def _watch_peer(sock: socket.socket, silence: float) -> None:
    """Have the system give a connection up whose other end is gone, as far as it can: no option is needed to go on."""
    if silence <= 0:
        return
    idle, interval = max(1, round(silence / 2)), max(1, round(silence / 8))
    options = (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", idle),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", interval),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
        # RFC 5482: data of ours that stays unacknowledged for so long ends the connection.
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", round(silence * 1000)),
    )
    for level, name, value in options:
        if (option := getattr(socket, name, None)) is not None:
            with suppress(OSError):
                sock.setsockopt(level, option, value)


async def _connect_socket(host: str, port: int, time_limit: float, silence: float) -> socket.socket:
    """Return a socket connected to the first address of ``host`` that takes the connection."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    error: OSError = OSError("the host has no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            _watch_peer(sock, silence)
            # An address that does not answer must leave time for the next one.
            async with asyncio.timeout(time_limit / len(addresses)):
                await loop.sock_connect(sock, address)
        except OSError as this_error:
            sock.close()
            error = this_error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise error


class _PicowsLog(_LoggerAdapter):
    """What picows logs, as debug messages: all that an operator should see is logged here, once."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (logging's own name)
        # Below DEBUG picows logs its handshake, with the secrets that an URL may hold.
        return level >= logging.DEBUG and super().isEnabledFor(logging.DEBUG)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if self.isEnabledFor(level):
            super().log(logging.DEBUG, msg, *args, **kwargs)
