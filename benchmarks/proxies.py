"""fproxy and the plain proxies behind one interface: clients, subscriptions, frames in, WebSocket frames out."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from benchmarks.decoders import DECODERS, Decoder, decoder
from fproxy._fastpath import Broadcast, Fanout
from fproxy.core.topics import parse_topic

FPROXY: Final = "fproxy"

PROXIES: Final = (FPROXY, *DECODERS)
"""The names of all proxies: fproxy, and one for each JSON library."""


class Sink:
    """Where a client's data goes: to nowhere, at the cost of one call, or into a list.

    Attributes:
        write: takes WebSocket frames.
        received: what was written while it recorded.
    """

    def __init__(self) -> None:
        self.write: Callable[[bytes], object] = deque[bytes](maxlen=1).append
        self.received: list[bytes] = []

    def record(self) -> None:
        """Keep from now on what is written."""
        self.write = self.received.append

    def forget(self) -> None:
        """Keep nothing from now on."""
        self.write = deque[bytes](maxlen=1).append

    @property
    def messages(self) -> list[bytes]:
        """The payloads of what was received."""
        return [message for data in self.received for message in payloads(data)]


class Proxy(Protocol):
    """What a benchmark does with a proxy."""

    def add_client(self, sink: Sink, topics: Sequence[str]) -> None:
        """Add a client that has these topics."""

    def play(self, frames: Iterable[bytes]) -> None:
        """Take frames in, and write after each what it brings to clients."""


class FilteredProxy:
    """fproxy's fast path, called as the filtered proxy calls it."""

    def __init__(self) -> None:
        self.fanout = Fanout()

    def add_client(self, sink: Sink, topics: Sequence[str]) -> None:
        self.fanout.subscribe(self.fanout.add_client(sink), [parse_topic(topic) for topic in topics])

    def play(self, frames: Iterable[bytes]) -> None:
        feed, flush = self.fanout.feed, self.fanout.flush
        for frame in frames:
            feed(0, frame)
            flush()


class PlainFilteredProxy:
    """What benchmarks/peers/python_websockets.py does between its sockets: decode, look up, encode again, join."""

    def __init__(self, library: Decoder) -> None:
        self.library = library
        self.subscribers: dict[str, set[Sink]] = {}

    def add_client(self, sink: Sink, topics: Sequence[str]) -> None:
        for topic in topics:
            self.subscribers.setdefault(topic, set()).add(sink)

    def play(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            self.forward(frame)

    def forward(self, frame: bytes) -> None:
        subscribers, encode = self.subscribers, self.library.encode
        messages: dict[Sink, list[bytes]] = {}
        for event in self.library.decode(frame):
            event_type = event["ev"]
            if event_type == "status":
                continue
            symbol = event["sym"] if "sym" in event else event["T"]
            clients: set[Sink] = set()
            for topic in (f"{event_type}.{symbol}", f"{event_type}.*", "*"):
                if topic in subscribers:
                    clients |= subscribers[topic]
            if clients:
                text = encode(event)
                for client in clients:
                    messages.setdefault(client, []).append(text)
        for client, events in messages.items():
            client.write(server_frame(b"[" + b",".join(events) + b"]"))


class FirehoseProxy:
    """fproxy's broadcast, called as the firehose calls it."""

    def __init__(self) -> None:
        self.broadcast = Broadcast()

    def add_client(self, sink: Sink, topics: Sequence[str]) -> None:
        self.broadcast.add_client(sink)

    def play(self, frames: Iterable[bytes]) -> None:
        feed, flush = self.broadcast.feed, self.broadcast.flush
        for frame in frames:
            feed(frame)
            flush()


class PlainFirehose:
    """A broadcast that decodes a frame only to keep status events from clients."""

    def __init__(self, library: Decoder) -> None:
        self.library = library
        self.clients: list[Sink] = []

    def add_client(self, sink: Sink, topics: Sequence[str]) -> None:
        self.clients.append(sink)

    def play(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            if any(event["ev"] == "status" for event in self.library.decode(frame)):
                raise NotImplementedError("these tapes have no status events")
            data = server_frame(frame)
            for client in self.clients:
                client.write(data)


def filtered_proxy(name: str) -> Proxy:
    """Return a new filtered proxy of that name, without clients."""
    return FilteredProxy() if name == FPROXY else PlainFilteredProxy(decoder(name))


def firehose(name: str) -> Proxy:
    """Return a new broadcasting proxy of that name, without clients."""
    return FirehoseProxy() if name == FPROXY else PlainFirehose(decoder(name))


def server_frame(payload: bytes) -> bytes:
    """Return a text message as a server sends it: RFC 6455, section 5.2."""
    size = len(payload)
    if size <= 125:
        return bytes((0x81, size)) + payload
    if size <= 65535:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def payloads(data: bytes) -> list[bytes]:
    """Return the payloads of server-side frames."""
    found: list[bytes] = []
    while data:
        header = {126: 4, 127: 10}.get(data[1], 2)
        size = data[1] if header == 2 else int.from_bytes(data[2:header], "big")
        found.append(data[header : header + size])
        data = data[header + size :]
    return found
