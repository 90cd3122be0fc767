"""The Python proxy on picows, orjson and uvloop: callbacks, with no coroutine, queue or task for each client."""

import argparse
from collections import defaultdict
from typing import Any

import orjson
import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
    ws_create_server,
)

subscribers: dict[str, set["Client"]] = defaultdict(set)


def status(status: str, *messages: str) -> bytes:
    return orjson.dumps([{"ev": "status", "status": status, "message": message} for message in messages])


class Client(WSListener):
    def __init__(self, greets: bool) -> None:
        self.greets = greets
        self.topics: set[str] = set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        if self.greets:
            transport.send(WSMsgType.TEXT, status("connected", "Connected Successfully"))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            request = orjson.loads(frame.get_payload_as_memoryview())
            params = request["params"].split(",")
            match request["action"]:
                case "auth":
                    transport.send(WSMsgType.TEXT, status("auth_success", "authenticated"))
                case "subscribe":
                    self.topics.update(params)
                    for topic in params:
                        subscribers[topic].add(self)
                    reply = status("success", *(f"subscribed to: {topic}" for topic in params))
                    transport.send(WSMsgType.TEXT, reply)
                case "unsubscribe":
                    self.topics.difference_update(params)
                    for topic in params:
                        subscribers[topic].discard(self)
                    reply = status("success", *(f"unsubscribed to: {topic}" for topic in params))
                    transport.send(WSMsgType.TEXT, reply)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for topic in self.topics:
            subscribers[topic].discard(self)


class Firehose(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, orjson.dumps({"action": "auth", "params": "benchmark"}))
        transport.send(WSMsgType.TEXT, orjson.dumps({"action": "subscribe", "params": "T.*,Q.*,LULD.*"}))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.TEXT:
            forward(orjson.loads(frame.get_payload_as_memoryview()))


def forward(events: list[dict[str, Any]]) -> None:
    """Send each client its events of one upstream frame, as one message."""
    messages: dict[Client, list[bytes]] = {}
    for event in events:
        event_type = event["ev"]
        if event_type == "status":
            continue
        symbol = event["sym"] if "sym" in event else event["T"]
        clients: set[Client] = set()
        for topic in (f"{event_type}.{symbol}", f"{event_type}.*", "*"):
            if topic in subscribers:
                clients |= subscribers[topic]
        if clients:
            text = orjson.dumps(event)
            for client in clients:
                messages.setdefault(client, []).append(text)
    for client, texts in messages.items():
        client.transport.send(WSMsgType.TEXT, b"[" + b",".join(texts) + b"]")


def accept(request: WSUpgradeRequest) -> WSListener:
    return Client(greets=request.path != b"/")


async def main(port: int, upstream: str) -> None:
    server = await ws_create_server(accept, "127.0.0.1", port)
    async with server:
        transport, _ = await ws_connect(Firehose, upstream)
        await transport.wait_disconnected()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    arguments = parser.parse_args()
    uvloop.run(main(arguments.port, arguments.upstream))
