"""How a client's connection ends: what it is told, what it may still read, and how long it is waited for."""

import asyncio
from collections.abc import Callable
from typing import Final

from websockets.frames import CloseCode

from fproxy.shell.delivery import DeliveryProgress

MAX_CLOSE_REASON_BYTES: Final = 123
"""What a close frame holds beside its code (RFC 6455, section 5.5)."""

PROTOCOL_ERRORS: Final = frozenset(
    (CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_DATA, CloseCode.MESSAGE_TOO_BIG)
)
"""What a connection is closed with for what it sent (RFC 6455, section 7.4.1)."""

DRAIN_TIMEOUTS: Final = 6
"""How many close timeouts a client that goes on reading gets to read what is left for it."""


def fitting_reason(reason: str) -> str:
    """Return ``reason``, cut to what a close frame holds."""
    return reason.encode()[:MAX_CLOSE_REASON_BYTES].decode("utf-8", "ignore")


def end_output(transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, *, peer_is_done: bool) -> None:
    """End a connection behind what its transport has waiting.

    Args:
        transport: the connection.
        loop: the event loop.
        peer_is_done: whether the peer sends no more. While it does, closing would destroy what it has not read yet:
            the kernel answers what comes then with a reset.
    """
    if peer_is_done or not transport.can_write_eof():
        # With TLS the peer has a last word, which a transport that is paused would wait for in vain.
        transport.resume_reading()
        transport.close()
    else:
        # From the loop, after the role's client_left: whoever still has the old write has none to use by then.
        loop.call_soon(_write_eof, transport)


def _write_eof(transport: asyncio.Transport) -> None:
    try:
        transport.write_eof()
    except OSError:
        transport.abort()  # the peer has reset the connection, which the transport has yet to notice


class Draining:
    """A connection that is closing, and is given time as long as its client reads what is left for it."""

    __slots__ = ("_deadline", "_loop", "_progress")

    def __init__(
        self,
        transport: asyncio.Transport,
        unsent: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
        close_timeout: float,
    ) -> None:
        """Begin to watch.

        Args:
            transport: the connection.
            unsent: returns how many bytes wait to be sent.
            loop: the event loop.
            close_timeout: how long closing may take without any progress, in seconds.
        """
        self._loop = loop
        self._deadline = loop.time() + DRAIN_TIMEOUTS * close_timeout
        self._progress = DeliveryProgress(transport, unsent)

    def deserves_time(self) -> bool:
        """Return whether to wait another close timeout: some of what was left has gone out since the last one."""
        return self._progress.made() and self._loop.time() < self._deadline
