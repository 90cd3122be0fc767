"""Noticing that the other end of a connection is gone though nobody said so, such as after a cable was pulled."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from picows import WSTransport

LOOKS: Final = 10
"""How often to look while a silence lasts that is just too long."""

PING_AFTER: Final = 0.4
DEAD_AFTER: Final = 0.8
"""Parts of the longest silence after which to ping, and to give up: the looks in between make up for the rest."""

_LAST_DATA_RECEIVED: Final = struct.Struct("<I")
_LAST_DATA_RECEIVED_AT: Final = 52
"""Where Linux' ``tcp_info`` has ``tcpi_last_data_recv``: milliseconds since the last byte of data came
(include/uapi/linux/tcp.h)."""


class SilenceWatch:
    """Watches one connection: pings it when it falls silent, and says so when it stays silent.

    Silence counts from the last byte that came, of a message half read too, where the system tells (Linux does); else
    from the last frame. It is noticed within the time given, by a timer of a tenth of it: messages cost nothing.
    """

    __slots__ = (
        "_heard",
        "_last_heard",
        "_last_mark",
        "_limit",
        "_loop",
        "_pinged",
        "_silent",
        "_socket",
        "_timer",
        "_transport",
    )

    def __init__(
        self,
        transport: WSTransport,
        limit: float,
        *,
        heard: Callable[[], int],
        silent: Callable[[], None],
    ) -> None:
        """Begin to watch.

        Args:
            transport: the connection.
            limit: the longest silence, in seconds.
            heard: returns a number that grows whenever something comes.
            silent: called once when the silence has lasted too long.
        """
        self._transport = transport
        self._limit = limit
        self._heard = heard
        self._silent = silent
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = transport.underlying_transport.get_extra_info("socket")
        self._last_mark = heard()
        self._last_heard = self._loop.time()
        self._pinged = False
        self._timer = self._loop.call_later(limit / LOOKS, self._look)

    def hear(self) -> None:
        """Something has come that ``heard`` does not count."""
        self._last_heard = self._loop.time()
        self._pinged = False

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _look(self) -> None:
        mark = self._heard()
        if mark != self._last_mark:
            self._last_mark = mark
            self.hear()
        silence = self._loop.time() - self._last_heard
        if silence >= PING_AFTER * self._limit:
            silence = min(silence, self._silence_of_socket())
        if silence >= DEAD_AFTER * self._limit:
            self._silent()
            return
        if silence < PING_AFTER * self._limit:
            self._pinged = False
        elif not self._pinged:
            self._pinged = True
            self._transport.send_ping()
        self._timer = self._loop.call_later(self._limit / LOOKS, self._look)

    def _silence_of_socket(self) -> float:
        """Return for how many seconds no byte has come, as far as the system tells."""
        if self._socket is None or not hasattr(socket, "TCP_INFO"):
            return float("inf")
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            (milliseconds,) = _LAST_DATA_RECEIVED.unpack_from(info, _LAST_DATA_RECEIVED_AT)
        except (OSError, struct.error):
            return float("inf")
        return float(milliseconds) / 1000
