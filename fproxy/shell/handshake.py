"""The opening handshake of one client: from the bytes of its HTTP request to the bytes of the response.

Not a socket in here: ``Handshake`` takes what was read and says what to write. It lives only as long as the
handshake, because a request and its parser weigh more than all else that the server keeps for a client.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from websockets.http11 import Request
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

from fproxy.core.client_address import TrustedProxies
from fproxy.core.frames import SERVER_NAME
from fproxy.core.loopback import is_loopback_origin
from fproxy.core.proxy_protocol import ProxyProtocolError, is_header, parse_header
from fproxy.shell.endpoint import Endpoint

MAX_REQUEST_BYTES: Final = 16 * 1024
"""The longest request accepted, in bytes: a browser's with its cookies is a quarter of that."""

FOREIGN_PAGE: Final = (
    "Any key will do here, so web pages of other hosts are refused; set FPROXY_CLIENT_KEYS to let them in.\n"
)
"""What a web page is told that is refused for its origin."""

NOT_A_WEBSOCKET: Final = (
    "This is fproxy's WebSocket port for market data: clients connect to ws://{host}{path}\n"
    "What flows, and to whom, is on the page of the admin port: http://127.0.0.1:8764/ unless --admin-port says else.\n"
)
"""What a request is told that does not ask for a WebSocket, as a browser's whose address bar names this port."""

UNLISTED_PAGE: Final = "This page's origin is not among those that may connect (FPROXY_ALLOWED_ORIGINS).\n"
"""What a web page is told whose origin is not listed, where some are."""

ANY_ORIGIN: Final = "*"
"""Among the origins that are let in: every page."""

STRANGE_PROXY: Final = "it sent a PROXY header, and FPROXY_TRUSTED_PROXIES does not name it"
"""What the log says of a reverse proxy whose word is not taken."""

MISPLACED_HEADER: Final = "it passed on a PROXY header where only its client's own can stand"
"""What the log says of one whose word is taken, but that has had its say, or would have had it in front of TLS."""

_END_OF_REQUEST: Final = b"\r\n\r\n"

# websockets' own log holds every header and message at debug level, clients' keys among them.
quiet_logger: Final = logging.getLogger("fproxy.server.websocket")
quiet_logger.setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a handshake ended.

    Attributes:
        response: the bytes to answer with; empty when what came was not HTTP.
        accepted: whether the connection is a WebSocket connection now; else it is to be closed.
        endpoint: what is served on the path that was asked for, when it was accepted.
        rest: what the client sent behind its request.
        refused_origin: the origin for which it was refused; None when it was not for that.
        forwarded: the client's address as a trusted reverse proxy has named it; None when none has.
        proxy_error: what is wrong with how a reverse proxy began; empty when nothing is.
    """

    response: bytes
    accepted: bool
    endpoint: Endpoint | None = None
    rest: bytes = b""
    refused_origin: str | None = None
    forwarded: str | None = None
    proxy_error: str = ""

    @property
    def is_malformed(self) -> bool:
        """Whether what came was no HTTP request, or one that no client would send."""
        return not self.response or self.response.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))


class Handshake:
    """The opening handshake of one client that is not over yet."""

    __slots__ = (
        "_allowed_origins",
        "_endpoints",
        "_forwarded",
        "_local_pages_only",
        "_protocol",
        "_proxies",
        "_proxy_header",
        "_received",
        "_tail",
    )

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        *,
        local_pages_only: bool = False,
        allowed_origins: Collection[str] = (),
        proxies: TrustedProxies | None = None,
        forwarded: str | None = None,
        after_tls: bool = False,
    ) -> None:
        """Prepare a handshake.

        Args:
            endpoints: what is served, by its path.
            local_pages_only: refuse web pages of other machines. Browsers let every page connect to whatever the
                browser can reach, and say which page it is in ``Origin`` (RFC 6455, section 10.2); other clients
                send none.
            allowed_origins: the origins of pages that are let in, in lower case, and no others; ``*`` for all; empty
                for what ``local_pages_only`` says.
            proxies: the trusted reverse proxies, when the connection comes from one: whose it is, is then said by a
                header of the PROXY protocol before the request, or by X-Forwarded-For in it.
            forwarded: the client's address where such a header has said it already.
            after_tls: whether a header would have come before TLS: in here it would be the client's own.
        """
        self._local_pages_only = local_pages_only
        self._endpoints = endpoints
        self._protocol = ServerProtocol(logger=quiet_logger)
        self._received = 0
        self._tail = b""
        self._allowed_origins = allowed_origins
        self._proxies = proxies
        self._forwarded = forwarded
        # What may be the beginning of a header of the PROXY protocol; None when that has been read, or none may come.
        self._proxy_header: bytes | None = None if proxies is None or after_tls else b""

    def received(self, data: bytes) -> Outcome | None:
        """Take what was read next. Return how the handshake ended, or None when it goes on."""
        if self._proxy_header is not None:
            try:
                header = parse_header(self._proxy_header + data)
            except ProxyProtocolError as error:
                return Outcome(b"", accepted=False, proxy_error=f"it sent {error}")
            if header is None:
                self._proxy_header += data
                return None
            data = (self._proxy_header + data)[header.size :]
            self._proxy_header = None
            self._forwarded = header.address
        elif not self._received and is_header(data):
            wrong = STRANGE_PROXY if self._proxies is None else MISPLACED_HEADER
            return Outcome(b"", accepted=False, proxy_error=wrong)
        # The request is cut off at its end: the parser would go on to read frames, but is dropped now.
        seen = self._tail + data
        end = seen.find(_END_OF_REQUEST)
        size = len(data) if end < 0 else end + len(_END_OF_REQUEST) - len(self._tail)
        head, rest = data[:size], data[size:]
        self._tail = seen[1 - len(_END_OF_REQUEST) :]
        self._received += len(head)
        if self._received > MAX_REQUEST_BYTES:
            text = f"The request is longer than {MAX_REQUEST_BYTES} bytes.\n"
            return self._rejected(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
        self._protocol.receive_data(head)
        for request in self._protocol.events_received():
            if isinstance(request, Request):
                return self._answered(request, rest)
        if self._protocol.close_expected():
            return Outcome(self._response(), accepted=False)
        return None

    def close(self) -> None:
        """Let go of the handshake, over or not."""
        release(self._protocol)

    def _answered(self, request: Request, rest: bytes) -> Outcome:
        if self._proxies is not None and (self._forwarded is None or self._proxies.trust(self._forwarded)):
            named = self._proxies.forwarded_for(request.headers.get_all("X-Forwarded-For"))
            self._forwarded = named or self._forwarded
        return replace(self._answer_to(request, rest), forwarded=self._forwarded)

    def _answer_to(self, request: Request, rest: bytes) -> Outcome:
        for origin in request.headers.get_all("Origin"):
            if not self._is_allowed(origin):
                text = UNLISTED_PAGE if self._allowed_origins else FOREIGN_PAGE
                return replace(self._rejected(HTTPStatus.FORBIDDEN, text), refused_origin=origin)
        path = request.path.partition("?")[0].rstrip("/") or "/"
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            *others, last = self._endpoints
            served = " or ".join(filter(None, (", ".join(others), last)))
            return self._rejected(
                HTTPStatus.NOT_FOUND, f"Nothing is served here; WebSocket clients connect to {served}\n"
            )
        response = self._protocol.accept(request)
        if response.status_code == HTTPStatus.UPGRADE_REQUIRED:
            return self._told_what_this_is(request)
        response.headers["Server"] = SERVER_NAME  # so that our own roles know that they may come back at once
        self._protocol.send_response(response)
        accepted = response.status_code == HTTPStatus.SWITCHING_PROTOCOLS
        return Outcome(self._response(), accepted, endpoint=endpoint if accepted else None, rest=rest)

    def _is_allowed(self, origin: str) -> bool:
        if self._allowed_origins:
            return ANY_ORIGIN in self._allowed_origins or origin.lower() in self._allowed_origins
        return not self._local_pages_only or is_loopback_origin(origin)

    def _told_what_this_is(self, request: Request) -> Outcome:
        host = next(iter(request.headers.get_all("Host")), "HOST:PORT")
        text = NOT_A_WEBSOCKET.format(host=host, path=next(iter(self._endpoints)))
        response = self._protocol.reject(HTTPStatus.UPGRADE_REQUIRED, text)
        response.headers["Upgrade"] = "websocket"  # RFC 9110, section 15.5.22
        self._protocol.send_response(response)
        return Outcome(self._response(), accepted=False)

    def _rejected(self, status: HTTPStatus, text: str) -> Outcome:
        self._protocol.send_response(self._protocol.reject(status, text))
        return Outcome(self._response(), accepted=False)

    def _response(self) -> bytes:
        return b"".join(self._protocol.data_to_send())


def release(protocol: Protocol) -> None:
    """Let go of all that the parser of a protocol holds, now that it is not used any more.

    A protocol and its suspended parser refer to each other, and so do a protocol and the exceptions that it keeps, by
    the frames of their tracebacks. Left to themselves they would stay until a garbage collection, and strangers could
    make that a long one by sending what is no WebSocket.
    """
    protocol.parser.close()
    for kept in (protocol.parser_exc, protocol.handshake_exc):
        error: BaseException | None = kept
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__
