"""What each hop of the chain adds to an event's way: ``python -m benchmarks.hop_latency``.

A vendor in this process sends one event at a time to a firehose, an aggregator and a filtered proxy in processes of
their own; clients in this process listen at every station and at the vendor itself. All latencies come from the same
run, so the differences between stations are what the hops cost; sending, receiving and this process' own work are in
every figure alike.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import time
from collections import defaultdict

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

KEY = "hop-latency"
WARM_UP = 100
STATIONS = {
    "vendor": ("the vendor itself", "T"),
    "firehose": ("firehose", "T"),
    "aggregator": ("firehose, aggregator", "A"),
    "proxy, T": ("firehose, proxy", "T"),
    "proxy, A": ("firehose, aggregator, proxy", "A"),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Vendor:
    """Says yes to everything, and sends what it is told to."""

    def __init__(self) -> None:
        self.connections: set[ServerConnection] = set()

    async def serve(self, connection: ServerConnection) -> None:
        async for text in connection:
            message = json.loads(text)
            if message["action"] == "auth":
                self.connections.add(connection)
                texts = [("auth_success", "authenticated")]
            else:
                texts = [("success", f"subscribed to: {topic}") for topic in message["params"].split(",")]
            events = [{"ev": "status", "status": status, "message": text} for status, text in texts]
            await connection.send(json.dumps(events))
        self.connections.discard(connection)


async def join(port: int) -> ClientConnection:
    """Connect and subscribe, as soon as there is somebody to connect to."""
    while True:
        try:
            client = await connect(f"ws://127.0.0.1:{port}/", compression=None)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        await client.send(json.dumps({"action": "auth", "params": KEY}))
        await client.recv()
        await client.send(json.dumps({"action": "subscribe", "params": "T.HOP,A.HOP"}))
        return client


async def listen(
    client: ClientConnection, kind: str, sent: dict[tuple[str, int], float], late: list[float]
) -> None:
    async for message in client:
        now = time.perf_counter()
        for event in json.loads(message):
            if event["ev"] == kind:
                late.append(now - sent[kind, event["n"]])


async def measure(events: int, interval: float) -> dict[str, list[float]]:
    vendor = Vendor()
    server = await serve(vendor.serve, "127.0.0.1", 0, compression=None)
    vendor_port = server.sockets[0].getsockname()[1]
    ports = {"vendor": vendor_port, "firehose": free_port(), "aggregator": free_port(), "proxy": free_port()}
    environment = os.environ | {
        "POLYGON_API_KEY": KEY,
        "POLYGON_WS_URL": f"ws://127.0.0.1:{vendor_port}/",
        "FIREHOSE_URL": f"ws://127.0.0.1:{ports['firehose']}",
        "MS_AGGREGATOR_URL": f"ws://127.0.0.1:{ports['aggregator']}",
        "LOG_LEVEL": "warning",
    }
    programs = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "fproxy", role, "--port", str(ports[role])), env=environment
        )
        for role in ("firehose", "aggregator", "proxy")
    ]
    late: dict[str, list[float]] = defaultdict(list)
    sent: dict[tuple[str, int], float] = {}
    listeners = []
    try:
        for station, (_, kind) in STATIONS.items():
            client = await join(ports[station.split(",")[0]])
            listeners.append(asyncio.create_task(listen(client, kind, sent, late[station])))
        number = 0

        async def send_one() -> None:
            nonlocal number
            for kind in ("T", "A"):
                sent[kind, number] = time.perf_counter()
                broadcast(vendor.connections, json.dumps([{"ev": kind, "sym": "HOP", "n": number}]))
                await asyncio.sleep(interval)
            number += 1

        # First until every station has heard of some; then for the record.
        while not all(len(late[station]) >= WARM_UP for station in STATIONS):
            await send_one()
        for figures in late.values():
            figures.clear()
        for _ in range(events):
            await send_one()
        await asyncio.sleep(1)
    finally:
        for listener in listeners:
            listener.cancel()
        for program in programs:
            program.terminate()
        await asyncio.gather(*(program.wait() for program in programs))
        server.close()
    return late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=3000, help="events of each kind (default: %(default)s)")
    parser.add_argument(
        "--interval", type=float, default=0.002, help="seconds between events (default: %(default)s)"
    )
    options = parser.parse_args()
    late = asyncio.run(measure(options.events, options.interval))
    print(f"{'way of the event':32} {'events':>7} {'median us':>10} {'p99 us':>8}")
    for station, (way, _) in STATIONS.items():
        figures = sorted(late[station])
        p99 = figures[int(0.99 * len(figures))]
        print(f"{way:32} {len(figures):7} {statistics.median(figures) * 1e6:10.0f} {p99 * 1e6:8.0f}")


if __name__ == "__main__":
    main()
