"""The vendor: sends numbered, stamped trades of a few symbols at a steady rate, and padded ones of another symbol."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any, Final, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

SYMBOLS: Final = 200
TICK: Final = 0.002
PADDED: Final = "PAD"
"""The symbol whose events are long: what clients are stalled with."""


class Source:
    """A server for the proxy's two upstream connections; whoever subscribes to trades gets all of them.

    Attributes:
        numbers: the number of each symbol's next event.
        padded_bytes_per_second: how much there is of the long ones; may be changed.
        sent_bytes: of the messages so far.
        port: where it listens.
    """

    def __init__(self, *, rate: int, padded_bytes_per_second: int) -> None:
        self.numbers = [0] * SYMBOLS
        self.sent_bytes = 0
        self.port = 0
        self._each_tick = max(1, round(rate * TICK))
        self.padded_bytes_per_second = padded_bytes_per_second
        # In the order in which they came: who is measured connects first, and is sent to first. To send wakes whoever
        # gets it, who may take this core over from the source before it sends to the next.
        self._connections: dict[ServerConnection, None] = {}
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None
        self._next = 0
        self._padded = 0

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, max_size=None, compression=None, ping_interval=None
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._task = asyncio.create_task(self._play())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        self._server.close()
        await self._server.wait_closed()

    async def restart(self) -> None:
        """Lose every connection, as a restarted upstream does."""
        for connection in tuple(self._connections):
            connection.transport.abort()

    async def _serve(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await connection.send('[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
            async for message in connection:
                request = json.loads(message)
                if request["action"] == "auth":
                    await connection.send(
                        '[{"ev":"status","status":"auth_success","message":"authenticated"}]'
                    )
                    continue
                topics = request["params"].split(",")
                if request["action"] == "subscribe" and any(topic.startswith("T.") for topic in topics):
                    self._connections[connection] = None
                await connection.send(
                    json.dumps(
                        [
                            {
                                "ev": "status",
                                "status": "success",
                                "message": f"{request['action']}d to: {topic}",
                            }
                            for topic in topics
                        ]
                    )
                )
        self._connections.pop(connection, None)

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += TICK
            await asyncio.sleep(max(0.0, due - loop.time()))
            message = self._message()
            self.sent_bytes += len(message)
            for connection in tuple(self._connections):
                with suppress(ConnectionClosed):
                    await connection.send(message, text=True)

    def _message(self) -> bytes:
        now = time.time_ns()
        milliseconds = now // 1_000_000
        events = []
        for _ in range(self._each_tick):
            symbol = self._next
            self._next = (symbol + 1) % SYMBOLS
            events.append(
                b'{"ev":"T","sym":"S%d","i":%d,"t":%d,"ns":%d}'
                % (symbol, self.numbers[symbol], milliseconds, now)
            )
            self.numbers[symbol] += 1
        if self.padded_bytes_per_second:
            self._padded += 1
            padding = b"x" * round(self.padded_bytes_per_second * TICK)
            events.append(
                b'{"ev":"T","sym":"%s","i":%d,"t":%d,"p":"%s"}'
                % (PADDED.encode(), self._padded, milliseconds, padding)
            )
        return b"[" + b",".join(events) + b"]"
