"""Whether what waits to be sent goes out, however slowly: what tells a slow peer from a dead one."""

import asyncio
import socket
import struct
import sys
from typing import Final

_TCP_INFO_BYTES_ACKED: Final = 120
"""The offset of ``tcpi_bytes_acked`` in Linux' ``struct tcp_info``: a stable interface since 4.1."""

_COUNTER: Final = struct.Struct("=Q")


class DeliveryProgress:
    """Looks at one connection now and then, and tells whether its peer reads.

    On Linux, TCP says how much the peer has acknowledged. Elsewhere only a shrinking buffer counts as
    progress, so that a peer that reads more slowly than it is written to seems to have stopped.
    """

    __slots__ = ("_acknowledged", "_transport", "_waiting")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        """Take the first look at the connection of ``transport``."""
        self._transport = transport
        self._waiting = transport.get_write_buffer_size()
        self._acknowledged = self._look_at_acknowledged()

    def made(self) -> bool:
        """Look again. Return whether some of what was waiting at the last look has gone out since."""
        waiting, self._waiting = self._waiting, self._transport.get_write_buffer_size()
        acknowledged, self._acknowledged = self._acknowledged, self._look_at_acknowledged()
        return waiting > 0 and (self._waiting < waiting or self._acknowledged > acknowledged)

    def _look_at_acknowledged(self) -> int:
        connection = self._transport.get_extra_info("socket")
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
