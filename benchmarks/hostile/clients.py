"""Clients that behave: they measure how late each event is, and miss none.

How late is from the source's stamp in the event to the time at which the kernel of the client's side had its bytes
(``SO_TIMESTAMPNS``, socket(7)): for how long this process waits for its core does not count.
"""

import asyncio
import re
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from benchmarks.hostile.frames import UPGRADE, FrameParser, masked, request
from benchmarks.hostile.source import SYMBOLS

_EVENT: Final = re.compile(rb'"sym":"S(\d+)","i":(\d+),"t":\d+,"ns":(\d+)')
_DROPPED: Final = re.compile(rb'"status":"dropped"')
_GAP: Final = re.compile(rb'"status":"upstream_(dis|re)connected"')

_SO_TIMESTAMPNS: Final = 35
"""Linux' number for the option and for what comes of it, which the socket module does not name."""

_TIME: Final = struct.Struct("@qq")
_READ_BYTES: Final = 1 << 16


class HealthyClient:
    """A client that reads all that comes.

    Attributes:
        joined: set once it is subscribed.
        latencies: how late events were, in seconds, since the last :meth:`take_latencies`.
        events: how many have come.
        faults: what was wrong with the stream.
        closed: whether the connection is over.
    """

    def __init__(self, key: str, symbols: range) -> None:
        self._loop = asyncio.get_running_loop()
        self.joined = self._loop.create_future()
        self.latencies: list[float] = []
        self.events = 0
        self.faults: list[str] = []
        self.closed = False
        self._key = key
        self._symbols = symbols
        self._next: dict[bytes, int] = {}
        self._parser = FrameParser()
        self._handshake = b""
        self._open = False
        self._socket = socket.socket()

    async def connect(self, port: int) -> None:
        """Connect to a proxy, and ask for the symbols: see ``joined``."""
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._loop.sock_connect(self._socket, ("127.0.0.1", port))
        self._loop.add_reader(self._socket, self._read)
        self._send(UPGRADE)

    def _send(self, data: bytes) -> None:
        """Send what is short enough to be taken at once."""
        with suppress(OSError):  # the connection is over, as the next read says
            self._socket.send(data)

    def _read(self) -> None:
        try:
            data, notes, _, _ = self._socket.recvmsg(_READ_BYTES, socket.CMSG_SPACE(_TIME.size))
        except BlockingIOError:
            return
        except OSError:
            data, notes = b"", []
        if not data:
            self._lost()
        elif self._open:
            self._received(data, _arrival(notes))
        else:
            self._shake_hands(data)

    def _shake_hands(self, data: bytes) -> None:
        self._handshake += data
        head, end, rest = self._handshake.partition(b"\r\n\r\n")
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self.faults.append(f"refused: {head[:40]!r}")
            self._lost()
            return
        self._open = True
        topics = ",".join(f"T.S{symbol}" for symbol in self._symbols)
        self._send(request("auth", self._key) + request("subscribe", topics))
        self._received(rest, time.time_ns())

    def _received(self, data: bytes, now: int) -> None:
        for first_byte, payload in self._parser.feed(data):
            if first_byte == 0x89:
                self._send(masked(payload, 0x8A))
            elif first_byte == 0x88:
                self.faults.append(f"closed: {int.from_bytes(payload[:2])} {payload[2:].decode()}")
            elif b'"ev":"status"' in payload:
                self._take_status(payload)
            else:
                self._take(payload, now)

    def _lost(self) -> None:
        if not any(fault.startswith(("closed", "refused")) for fault in self.faults):
            self.faults.append("the connection broke off")
        self.close()
        if not self.joined.done():
            self.joined.set_exception(ConnectionError(*self.faults))

    def _take_status(self, payload: bytes) -> None:
        if b"subscribed to" in payload and not self.joined.done():
            self.joined.set_result(None)
        if _DROPPED.search(payload):
            self.faults.append("dropped")
        if _GAP.search(payload):
            self._next.clear()  # the source itself was away: what is missing was told

    def _take(self, payload: bytes, now: int) -> None:
        for symbol, number, sent in _EVENT.findall(payload):
            value = int(number)
            if self._next.setdefault(symbol, value) != value:
                self.faults.append(f"S{symbol.decode()}: {value} in place of {self._next[symbol]}")
            self._next[symbol] = value + 1
            self.latencies.append((now - int(sent)) / 1e9)
            self.events += 1

    def take_latencies(self) -> list[float]:
        """Return how late events were since the last call, in seconds."""
        taken, self.latencies = self.latencies, []
        return taken

    def close(self) -> None:
        """Drop the connection."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._socket)
            self._socket.close()


def _arrival(notes: Sequence[tuple[int, int, bytes]]) -> int:
    """Return when the kernel had what was read, in Unix nanoseconds."""
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIME.unpack(data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


async def healthy_clients(port: int, key: str, count: int, *, symbols: int = 5) -> list[HealthyClient]:
    """Return clients of a proxy, subscribed to different symbols.

    Messages of the source that follow each other go to different clients: the kernel joins what waits in a socket, and
    keeps the time of what came last.
    """
    clients = []
    stride = SYMBOLS // symbols
    for number in range(count):
        client = HealthyClient(key, range(number % stride, SYMBOLS, stride))
        await client.connect(port)
        clients.append(client)
        if number % 50 == 49:
            await asyncio.gather(*(client.joined for client in clients[-50:]))
    await asyncio.gather(*(client.joined for client in clients))
    return clients


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of them lies; 0.0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
