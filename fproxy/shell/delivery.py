"""Whether what waits to be sent goes out, however slowly, and up to when a peer has got everything."""

import asyncio
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from typing import Final

if sys.platform == "linux":
    import fcntl
    import termios

_TCP_INFO_BYTES_ACKED: Final = 120
"""The offset of ``tcpi_bytes_acked`` in Linux' ``struct tcp_info``: a stable interface since 4.1."""

_COUNTER: Final = struct.Struct("=Q")


class DeliveryProgress:
    """Looks at one connection now and then, and tells whether its peer reads.

    On Linux, TCP says how much the peer has acknowledged. Elsewhere only a shrinking buffer counts as
    progress, so that a peer that reads more slowly than it is written to seems to have stopped.
    """

    __slots__ = ("_acknowledged", "_transport", "_unsent", "_waiting")

    def __init__(self, transport: asyncio.BaseTransport, unsent: Callable[[], int]) -> None:
        """Take the first look at a connection.

        Args:
            transport: the connection.
            unsent: returns how many bytes wait to be sent.
        """
        self._transport = transport
        self._unsent = unsent
        self._waiting = unsent()
        self._acknowledged = _acknowledged_of(transport)

    def made(self) -> bool:
        """Look again. Return whether some of what was waiting at the last look has gone out since."""
        waiting, self._waiting = self._waiting, self._unsent()
        acknowledged, self._acknowledged = self._acknowledged, _acknowledged_of(self._transport)
        return waiting > 0 and (self._waiting < waiting or self._acknowledged > acknowledged)


def _acknowledged_of(transport: asyncio.BaseTransport) -> int:
    connection = transport.get_extra_info("socket")
    return 0 if connection is None else acknowledged_bytes(connection)


def acknowledged_bytes(connection: socket.socket) -> int:
    """Return how many bytes the peer of a TCP connection has acknowledged; 0 where that is not told."""
    if sys.platform != "linux":
        return 0
    size = _TCP_INFO_BYTES_ACKED + _COUNTER.size
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    except OSError:
        return 0
    count: int = _COUNTER.unpack_from(info, _TCP_INFO_BYTES_ACKED)[0] if len(info) == size else 0
    return count


class DeliveryLog:
    """Remembers up to when a connection's peer has acknowledged all that was written.

    Each look notes how much has been written so far; what the peer has acknowledged later tells which of these notes
    are delivered. So the answer is never too late, and too early by one look at most. On systems that do not tell what
    was acknowledged it is the time of the beginning.
    """

    __slots__ = ("_delivered_at", "_pending", "_transport", "_unsent")

    def __init__(self, transport: asyncio.BaseTransport, unsent: Callable[[], int], *, now: int) -> None:
        """Begin to watch.

        Args:
            transport: the connection.
            unsent: returns how many bytes wait to be sent.
            now: a time before which everything is delivered, in Unix milliseconds.
        """
        self._transport = transport
        self._unsent = unsent
        self._delivered_at = now
        # When there was a look, and how many bytes had been written then, as far as they are not acknowledged yet.
        self._pending: deque[tuple[int, int]] = deque()

    def look(self, now: int) -> None:
        """Note how much has been written at a time, in Unix milliseconds; to be called now and then."""
        connection = self._transport.get_extra_info("socket")
        if connection is None or not (acknowledged := acknowledged_bytes(connection)):
            return
        waiting = unacknowledged_bytes(connection) + self._unsent()
        self._pending.append((now, acknowledged + waiting))
        self._settle(acknowledged)

    def delivered_at(self) -> int:
        """Return a time, in Unix milliseconds: all that was written before it is acknowledged."""
        self._settle(_acknowledged_of(self._transport))
        return self._delivered_at

    def _settle(self, acknowledged: int) -> None:
        while self._pending and self._pending[0][1] <= acknowledged:
            self._delivered_at = self._pending.popleft()[0]


def unacknowledged_bytes(connection: socket.socket) -> int:
    """Return how many bytes of a TCP connection its peer has still to acknowledge; 0 where that is not told."""
    if sys.platform != "linux":
        return 0
    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))  # SIOCOUTQ, tcp(7)
    except OSError:
        return 0
    count: int = struct.unpack("i", answer)[0]
    return count
