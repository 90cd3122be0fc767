"""A server whose connections have little room in the kernel, and clients of it that do not read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from server_harness import KEY, PATIENCE, RawClient, Server, raw_client, serving

from fproxy.shell.client import Client
from fproxy.shell.client_limits import ClientLimits

NEVER = 3600.0


def limits(**changes: Any) -> ClientLimits:
    return ClientLimits(
        **(
            {"max_unsent_bytes": 64 << 20, "close_timeout": NEVER, "ping_interval": 0, "max_lag": NEVER}
            | changes
        )
    )


def listening() -> socket.socket:
    """A listening socket whose connections have small buffers in the kernel."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    return listener


@asynccontextmanager
async def serving_slowly(role: Any = None, **changes: Any) -> AsyncIterator[Server]:
    async with serving(role, limits=limits(**changes), listening=listening()) as server:
        yield server


@asynccontextmanager
async def stalled(
    server: Server, *, key: str = KEY, **options: Any
) -> AsyncIterator[tuple[RawClient, Client]]:
    """A client that has joined and does not read, and the server's side of it."""
    async with raw_client(server, limit=1 << 14, **options) as client:
        await client.join(key)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        yield client, server.role.clients[-1]


def read_again(client: RawClient) -> None:
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 (what the kernel does has no event)
            await asyncio.sleep(0.001)
