"""The plain Python proxy: ``websockets``, a dictionary from topic to clients, and ``json`` or ``orjson``."""

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

subscribers: dict[str, set[ServerConnection]] = defaultdict(set)
loads: Callable[[str | bytes], Any]
dumps: Callable[[Any], str]


def status(status: str, *messages: str) -> str:
    return dumps([{"ev": "status", "status": status, "message": message} for message in messages])


async def serve_client(client: ServerConnection) -> None:
    topics: set[str] = set()
    if client.request is not None and client.request.path != "/":
        await client.send(status("connected", "Connected Successfully"))
    try:
        async for message in client:
            request = loads(message)
            params = request["params"].split(",")
            match request["action"]:
                case "auth":
                    await client.send(status("auth_success", "authenticated"))
                case "subscribe":
                    topics.update(params)
                    for topic in params:
                        subscribers[topic].add(client)
                    await client.send(status("success", *(f"subscribed to: {topic}" for topic in params)))
                case "unsubscribe":
                    topics.difference_update(params)
                    for topic in params:
                        subscribers[topic].discard(client)
                    await client.send(status("success", *(f"unsubscribed to: {topic}" for topic in params)))
    finally:
        for topic in topics:
            subscribers[topic].discard(client)


def forward(frame: str | bytes) -> None:
    """Send each client its events of one upstream frame, as one message."""
    messages: dict[ServerConnection, list[str]] = {}
    for event in loads(frame):
        event_type = event["ev"]
        if event_type == "status":
            continue
        symbol = event["sym"] if "sym" in event else event["T"]
        clients: set[ServerConnection] = set()
        for topic in (f"{event_type}.{symbol}", f"{event_type}.*", "*"):
            if topic in subscribers:
                clients |= subscribers[topic]
        if clients:
            text = dumps(event)
            for client in clients:
                messages.setdefault(client, []).append(text)
    for client, events in messages.items():
        # websockets' own way to send without waiting; the transport holds what a slow client has not read.
        broadcast((client,), f"[{','.join(events)}]")


async def main(port: int, upstream: str) -> None:
    async with (
        serve(serve_client, "127.0.0.1", port, compression=None),
        connect(upstream, compression=None, max_size=None) as firehose,
    ):
        await firehose.send(dumps({"action": "auth", "params": "benchmark"}))
        await firehose.send(dumps({"action": "subscribe", "params": "T.*,Q.*,LULD.*"}))
        async for frame in firehose:
            forward(frame)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--json", action="store_true", help="use json instead of orjson")
    arguments = parser.parse_args()
    if arguments.json:
        loads, dumps = json.loads, json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    else:
        import orjson

        loads = orjson.loads

        def dumps(value: Any) -> str:
            return orjson.dumps(value).decode()

    asyncio.run(main(arguments.port, arguments.upstream))
