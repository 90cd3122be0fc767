"""An upstream under a test's control, over real sockets: what is asked of it is recorded, what it says is scripted."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, Self

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from fproxy.core.stream import Stream, StreamState

PATIENCE = 20.0
"""How long to wait for what must come, in seconds; only a failing test waits that long."""


async def until_up(*streams: Stream) -> None:
    """Wait until all of these streams are whole."""
    for stream in streams:
        await until_state(stream, StreamState.UP)


async def until_state(stream: Stream, state: StreamState) -> None:
    """Wait until a stream is in a state."""
    async with asyncio.timeout(PATIENCE):
        while stream.state is not state:  # noqa: ASYNC110 (nothing to wait on)
            await asyncio.sleep(0.002)


def is_notice(event: dict[str, Any]) -> bool:
    """Whether an event tells of a stream."""
    return event.get("status") in ("upstream_disconnected", "upstream_reconnected")


class ScriptedUpstream:
    """A WebSocket server for one proxy.

    Attributes:
        answers: whether it answers auth and subscriptions, as a vendor does; some upstreams do not.
        refuses: topics that it is not authorized for.
        port: where it listens; the same after a restart.
        topics: what is subscribed on the connection now.
        messages: every control message received, over all connections.
        connections: how many connections were made.
        path: the path of the last one.
        delay: how long it takes to acknowledge a subscription, in seconds.
        acknowledged: what it has acknowledged on the connection now.
    """

    def __init__(self, *, answers: bool = True, refuses: Iterable[str] = ()) -> None:
        self.answers = answers
        self.refuses = frozenset(refuses)
        self.port = 0
        self.topics: set[str] = set()
        self.messages: list[dict[str, Any]] = []
        self.connections = 0
        self.path = ""
        self.delay = 0.0
        self.acknowledged: set[str] = set()
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away as a killed process does: connections are reset, and nothing listens."""
        assert self._server is not None
        self._server.close()
        if self._writer is not None:
            self._writer.transport.abort()
            await self.until(lambda: self._writer is None)
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on the attributes holds."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    async def until_subscribed(self, *topics: str) -> None:
        await self.until(lambda: self.topics >= set(topics))

    async def until_acknowledged(self, *topics: str) -> None:
        await self.until(lambda: self.acknowledged >= set(topics))

    async def send_when_connected(self, payload: bytes) -> None:
        """Send one message as soon as somebody is connected."""
        await self.until(lambda: self._writer is not None)
        await self.send(payload)

    async def send(self, payload: bytes, *, opcode: Opcode = Opcode.TEXT) -> None:
        """Send one message in one frame."""
        await self.write(Frame(opcode, payload).serialize(mask=False))

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert self._writer is not None
        self._writer.write(data)
        await self._writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol()
        self.topics = set()
        self.acknowledged = set()
        self.connections += 1
        try:
            while data := await reader.read(65536):
                protocol.receive_data(data)
                for event in protocol.events_received():
                    if isinstance(event, Request):
                        self.path = event.path
                        protocol.send_response(protocol.accept(event))
                        self._writer = writer
                    elif event.opcode is Opcode.TEXT:
                        self._take(protocol, json.loads(bytes(event.data)))
                for output in protocol.data_to_send():
                    if output:
                        writer.write(output)
                    else:
                        writer.close()
                async with self._changed:
                    self._changed.notify_all()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self._writer = None
            self.topics = set()
            self.acknowledged = set()
            async with self._changed:
                self._changed.notify_all()

    def _take(self, protocol: ServerProtocol, message: dict[str, Any]) -> None:
        self.messages.append(message)
        statuses = []
        if message["action"] == "auth":
            statuses = [("auth_success", "authenticated")]
        else:
            for topic in message["params"].split(","):
                if topic in self.refuses:
                    statuses.append(("error", "not authorized"))
                elif message["action"] == "subscribe":
                    self.topics.add(topic)
                    statuses.append(("success", f"subscribed to: {topic}"))
                else:
                    self.topics.discard(topic)
                    statuses.append(("success", f"unsubscribed to: {topic}"))
        if self.answers:
            events = [{"ev": "status", "status": status, "message": text} for status, text in statuses]
            answer = json.dumps(events).encode()
            topics = set(message["params"].split(",")) if message["action"] == "subscribe" else set()
            if topics and self.delay:
                writer = self._writer
                asyncio.get_running_loop().call_later(self.delay, self._acknowledge, writer, topics, answer)
            else:
                self.acknowledged |= topics
                protocol.send_text(answer)

    def _acknowledge(self, writer: asyncio.StreamWriter | None, topics: set[str], answer: bytes) -> None:
        """Acknowledge topics on a connection, if it is still the one."""
        if writer is None or writer is not self._writer:
            return
        self.acknowledged |= topics
        writer.write(Frame(Opcode.TEXT, answer).serialize(mask=False))
        self._notifying = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
