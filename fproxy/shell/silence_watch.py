"""Noticing that the other end of a connection is gone though nobody said so, such as after a cable was pulled."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final

from picows import WSTransport

LOOKS: Final = 10
"""How often to look while a silence lasts that is just too long."""

PING_AFTER: Final = 0.4
ANSWER_WITHIN: Final = 0.3
"""Parts of the longest silence: after how much to ping, and how long to wait for the answer.

The looks in between make up for the rest.
"""

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
        "_held",
        "_last_heard",
        "_last_mark",
        "_limit",
        "_loop",
        "_pinged_at",
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
        self._held = False
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = transport.underlying_transport.get_extra_info("socket")
        self._last_mark = heard()
        self._last_heard = self._loop.time()
        self._pinged_at: float | None = None
        self._timer = self._loop.call_later(limit / LOOKS, self._look)

    def hear(self) -> None:
        """Something has come that ``heard`` does not count."""
        self._last_heard = self._loop.time()
        self._pinged_at = None

    def hold(self, holding: bool) -> None:
        """Nothing is read for now, or it is again: what is not read is no silence."""
        self._held = holding
        self.hear()

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _look(self) -> None:
        mark = self._heard()
        if mark != self._last_mark or self._held:
            self._last_mark = mark
            self.hear()
        now = self._loop.time()
        silence = now - self._last_heard
        if silence >= PING_AFTER * self._limit:
            silence = min(silence, self._silence_of_socket())
        if silence < PING_AFTER * self._limit:
            self._pinged_at = None
        elif self._pinged_at is None:
            # However late this look is: the other end must have its time to answer, which it had no reason to before.
            self._pinged_at = now
            self._transport.send_ping()
        elif now - self._pinged_at >= ANSWER_WITHIN * self._limit:
            self._silent()
            return
        self._timer = self._loop.call_later(self._limit / LOOKS, self._look)

    def _silence_of_socket(self) -> float:
        """Return for how many seconds no byte has come, as far as the system tells."""
        if self._socket is None or sys.platform != "linux":  # elsewhere it is laid out otherwise
            return float("inf")
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            (milliseconds,) = _LAST_DATA_RECEIVED.unpack_from(info, _LAST_DATA_RECEIVED_AT)
        except (OSError, struct.error):
            return float("inf")
        return float(milliseconds) / 1000
