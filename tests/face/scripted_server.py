"""A server that follows a script, for the tests of ``fproxy tail``."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.server import Server, ServerConnection, serve

TRADE = '{"ev":"T","sym":"MSFT","p":114.1250,"s":100,"t":1536036818784}'
QUOTE = '{ "ev" : "Q", "sym":"BRK.B","bp":1.10,"bs":1,"ap":1.2,"as":2,"t":1536036818785 }'
BAR = '{"T":"b","S":"AAPL","o":1.10,"h":1.2,"l":1,"c":1.1,"v":5,"s":1736503800000,"e":1736503800100}'

Script = Callable[[ServerConnection], Awaitable[None]]


def status(kind: str, message: str) -> str:
    return json.dumps([{"ev": "status", "status": kind, "message": message}])


async def accept(connection: ServerConnection) -> tuple[str, list[str]]:
    """Play the vendor's part until the client has subscribed; return its key and its topics."""
    await connection.send(status("connected", "Connected Successfully"))
    auth = json.loads(await connection.recv())
    assert auth["action"] == "auth"
    await connection.send(status("auth_success", "authenticated"))
    subscribe = json.loads(await connection.recv())
    assert subscribe["action"] == "subscribe"
    topics = subscribe["params"].split(",")
    statuses = [
        {"ev": "status", "status": "success", "message": f"subscribed to: {topic}"} for topic in topics
    ]
    await connection.send(json.dumps(statuses))
    return auth["params"], topics


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[str]:
    server: Server
    async with serve(script, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stocks"
