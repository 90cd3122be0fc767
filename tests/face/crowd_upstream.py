"""An upstream for several proxies at once, which records what each asked for and sends each what it asked for."""

import asyncio
import json
from collections.abc import Callable
from typing import Self

from running_program import TIMEOUT
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed


class CrowdUpstream:
    """A WebSocket server that speaks the vendor's protocol.

    Attributes:
        url: where it is, once it has been entered.
        topics: what is subscribed now, by connection.
    """

    def __init__(self) -> None:
        self.url = ""
        self.topics: dict[ServerConnection, set[str]] = {}
        self._changed = asyncio.Condition()
        self._server: Server

    async def __aenter__(self) -> Self:
        self._server = await serve(self._converse, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on ``topics`` holds."""
        async with asyncio.timeout(TIMEOUT), self._changed:
            await self._changed.wait_for(condition)

    async def until_connected(self, count: int) -> None:
        """Wait until just as many proxies are connected and authenticated."""
        await self.until(lambda: len(self.topics) == count)

    async def until_asked(self, *topics: str) -> None:
        """Wait until the proxies together are subscribed to just these topics."""
        await self.until(lambda: set().union(*self.topics.values()) == set(topics))

    async def send(self, events: dict[str, bytes]) -> None:
        """Send every connection one message with those of ``events``, given by topic, that it subscribed to."""
        for connection, topics in list(self.topics.items()):
            wanted = [event for topic, event in events.items() if topic in topics]
            if wanted:
                await connection.send(b"[" + b",".join(wanted) + b"]", text=True)

    async def _converse(self, connection: ServerConnection) -> None:
        try:
            async for text in connection:
                message = json.loads(text)
                async with self._changed:
                    statuses = self._take(connection, message["action"], message["params"])
                    await connection.send(json.dumps(statuses))
                    self._changed.notify_all()
        except ConnectionClosed:
            pass
        finally:
            async with self._changed:
                self.topics.pop(connection, None)
                self._changed.notify_all()

    def _take(self, connection: ServerConnection, action: str, params: str) -> list[dict[str, str]]:
        if action == "auth":
            self.topics[connection] = set()
            return [{"ev": "status", "status": "auth_success", "message": "authenticated"}]
        topics = params.split(",")
        if action == "subscribe":
            self.topics[connection].update(topics)
        else:
            self.topics[connection].difference_update(topics)
        return [
            {"ev": "status", "status": "success", "message": f"{action}d to: {topic}"} for topic in topics
        ]
