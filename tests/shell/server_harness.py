"""A server with a role that records what it is told, and raw clients for what no client library would send."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from fproxy.core.client_keys import ClientKeys
from fproxy.core.market import STOCKS
from fproxy.core.topics import Topic
from fproxy.metrics import Metrics
from fproxy.shell.client import Client
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.endpoint import Endpoint
from fproxy.shell.server import ClientServer

KEY = "a key"
PATIENCE = 10.0
"""Seconds after which something that should have happened will not any more."""

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class RecordingRole:
    """Keeps every call in ``calls``, and every client in ``clients``; a test may hook into each kind of call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, *tuple[Any, ...]]] = []
        self.clients: list[Client] = []
        self.hooks: dict[str, Callable[[Client], None]] = {}
        self._changed = asyncio.Event()

    def client_joined(self, client: Client) -> None:
        self.clients.append(client)
        self._called(client, "joined")

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        self._called(client, "subscribe", *(topic.text for topic in topics))

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        self._called(client, "unsubscribe", *(topic.text for topic in topics))

    def topics(self, client: Client) -> Set[Topic] | None:
        return None

    def client_left(self, client: Client) -> None:
        self._called(client, "left")

    def count(self, name: str) -> int:
        """How often a call was made."""
        return sum(call[0] == name for call in self.calls)

    async def wait_for(self, name: str, count: int = 1) -> None:
        """Wait until a call was made so often."""
        async with asyncio.timeout(PATIENCE):
            while self.count(name) < count:
                self._changed.clear()
                await self._changed.wait()

    def _called(self, client: Client, name: str, *arguments: Any) -> None:
        self.calls.append((name, *arguments))
        self._changed.set()
        if name in self.hooks:
            self.hooks[name](client)


def endpoints_of(role: Any) -> list[Endpoint]:
    """What a role with one market serves."""
    return [
        Endpoint("/stocks", greets=True, market=STOCKS, handler=role),
        Endpoint("/", greets=False, market=STOCKS, handler=role),
    ]


class Server(ClientServer):
    """A server with its role and its metrics at hand."""

    def __init__(self, role: Any = None, *, limits: ClientLimits | None = None, **options: Any) -> None:
        self.role = role or RecordingRole()
        self.metrics = Metrics()
        options = {"keys": ClientKeys([KEY]), "metrics": self.metrics, "limits": limits} | options
        super().__init__(endpoints_of(self.role), **options)

    def metric(self, name: str, **labels: str) -> float:
        """What a metric is, of stocks where it is counted by market."""
        values = (
            self.metrics.registry.get_sample_value(f"fproxy_{name}", labels | market)
            for market in ({}, {"market": "stocks"})
        )
        return next((value for value in values if value is not None), 0.0)

    def url(self, path: str = "/stocks") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    async def failed_handshakes(self, count: int) -> None:
        """Wait until so many handshakes of TLS have failed."""
        while self.metric("tls_failures_total") < count:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.005)

    async def emptied(self) -> None:
        """Wait until there is no connection left."""
        async with asyncio.timeout(PATIENCE):
            while self.connections:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    role: Any = None, *, limits: ClientLimits | None = None, **options: Any
) -> AsyncIterator[Server]:
    """A server for as long as the context lasts."""
    server = Server(role, limits=limits, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(timeout=1.0)


async def soon(awaitable: Awaitable[Any]) -> Any:
    """Wait, with patience, for what should come soon."""
    async with asyncio.timeout(PATIENCE):
        return await awaitable


async def statuses(client: ClientConnection) -> list[tuple[str, str]]:
    """The statuses in the next message of a client."""
    return [(event["status"], event["message"]) for event in json.loads(await soon(client.recv()))]


@asynccontextmanager
async def client_of(server: Server, path: str = "/stocks", **options: Any) -> AsyncIterator[ClientConnection]:
    """A client that has not authenticated; on ``/stocks`` its greeting was read."""
    async with connect(server.url(path), **({"ping_interval": None, "max_size": None} | options)) as client:
        if path == "/stocks":
            assert await statuses(client) == [("connected", "Connected Successfully")]
        yield client


@asynccontextmanager
async def joined_client(server: Server, **options: Any) -> AsyncIterator[ClientConnection]:
    """A client that has authenticated."""
    async with client_of(server, **options) as client:
        assert await ask(client, "auth", KEY) == [("auth_success", "authenticated")]
        yield client


async def ask(client: ClientConnection, action: str, params: str) -> list[tuple[str, str]]:
    """Send a request; return the statuses of the message that comes next."""
    await client.send(request(action, params))
    return await statuses(client)


def request(action: str, params: str) -> str:
    return json.dumps({"action": action, "params": params})


class RawClient:
    """A TCP connection to a server, for reading and writing frames by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def open(self, path: str = "/stocks") -> None:
        """Do the opening handshake."""
        self.writer.write(UPGRADE.format(path=path).encode())
        assert (await self.head()).startswith(b"HTTP/1.1 101 ")

    async def join(self, key: str = KEY) -> None:
        """Do the opening handshake, and authenticate."""
        await self.open("/")
        self.send(0x81, request("auth", key).encode())
        assert b"auth_success" in (await self.frame())[1]

    async def head(self) -> bytes:
        """Read the head of an HTTP response."""
        head: bytes = await soon(self.reader.readuntil(b"\r\n\r\n"))
        return head

    def send(self, first_byte: int, payload: bytes) -> None:
        """Send a frame, masked with zeros; ``first_byte`` holds FIN and the opcode."""
        self.writer.write(masked_frame(first_byte, payload))

    async def frame(self) -> tuple[int, bytes]:
        """Read a frame: its first byte and its payload."""
        first_byte, length = await soon(self.reader.readexactly(2))
        if length >= 126:
            length = int.from_bytes(await soon(self.reader.readexactly(2 if length == 126 else 8)))
        return first_byte, await soon(self.reader.readexactly(length))

    async def close_frame(self) -> tuple[int, str]:
        """Read frames until a close frame comes; return its code and reason."""
        while True:
            first_byte, payload = await self.frame()
            if first_byte == 0x88:
                return int.from_bytes(payload[:2]), payload[2:].decode()

    async def ended(self) -> bool:
        """Read until the server closes the connection."""
        try:
            while await soon(self.reader.read(1 << 16)):
                pass
        except ConnectionError:
            pass
        return True


def masked_frame(first_byte: int, payload: bytes) -> bytes:
    """A frame as a client sends it, masked with zeros."""
    length = len(payload)
    if length < 126:
        header = bytes([first_byte, 0x80 | length])
    elif length < 1 << 16:
        header = bytes([first_byte, 0x80 | 126]) + length.to_bytes(2)
    else:
        header = bytes([first_byte, 0x80 | 127]) + length.to_bytes(8)
    return header + bytes(4) + payload


@asynccontextmanager
async def raw_client(server: Server, **options: Any) -> AsyncIterator[RawClient]:
    """A TCP connection to the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, **options)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
