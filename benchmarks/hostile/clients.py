"""Clients that behave: they measure how late each event is, and miss none."""

import asyncio
import re
import time
from typing import Final

from benchmarks.hostile.frames import UPGRADE, FrameParser, masked, request

_EVENT: Final = re.compile(rb'"sym":"S(\d+)","i":(\d+),"t":\d+,"ns":(\d+)')
_DROPPED: Final = re.compile(rb'"status":"dropped"')
_GAP: Final = re.compile(rb'"status":"upstream_(dis|re)connected"')


class HealthyClient(asyncio.Protocol):
    """A client that reads all that comes.

    Attributes:
        joined: set once it is subscribed.
        latencies: how late events were, in seconds, since the last :meth:`take_latencies`.
        events: how many have come.
        faults: what was wrong with the stream.
        closed: whether the connection is over.
    """

    def __init__(self, key: str, symbols: range) -> None:
        self.joined = asyncio.get_running_loop().create_future()
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
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.write(UPGRADE)

    def data_received(self, data: bytes) -> None:
        if not self._open:
            self._handshake += data
            head, end, data = self._handshake.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.faults.append(f"refused: {head[:40]!r}")
                self._transport.abort()
                return
            self._open = True
            topics = ",".join(f"T.S{symbol}" for symbol in self._symbols)
            self._transport.write(request("auth", self._key) + request("subscribe", topics))
        now = time.perf_counter_ns()
        for first_byte, payload in self._parser.feed(data):
            if first_byte == 0x89:
                self._transport.write(masked(payload, 0x8A))
            elif first_byte == 0x88:
                self.faults.append(f"closed: {int.from_bytes(payload[:2])} {payload[2:].decode()}")
            elif b'"ev":"status"' in payload:
                self._take_status(payload)
            else:
                self._take(payload, now)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
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
        self._transport.abort()


async def healthy_clients(port: int, key: str, count: int, *, symbols: int = 5) -> list[HealthyClient]:
    """Return clients of a proxy, subscribed to different ranges of symbols."""
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(count):
        first = number * symbols % 200
        _, client = await loop.create_connection(
            lambda first=first: HealthyClient(key, range(first, first + symbols)), "127.0.0.1", port
        )
        clients.append(client)
        if number % 50 == 49:
            await asyncio.gather(*(client.joined for client in clients[-50:]))
    await asyncio.gather(*(client.joined for client in clients))
    return clients


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of them lies; 0.0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
