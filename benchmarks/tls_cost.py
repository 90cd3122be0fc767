"""What TLS costs the server: ``python -m benchmarks.tls_cost``.

One process serves clients with and without TLS, by turns, and writes the same messages to each; another reads them and
throws them away. Compared is the CPU time of the serving process for each message to each client.
"""

import argparse
import asyncio
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from statistics import median

import trustme

from fproxy.core.client_keys import ClientKeys
from fproxy.core.frames import text_frame
from fproxy.core.market import STOCKS
from fproxy.core.topics import Topic
from fproxy.face.event_loop import loop_factory
from fproxy.metrics import Metrics
from fproxy.shell.client import Client
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.endpoint import Endpoint
from fproxy.shell.server import ClientServer
from fproxy.shell.tls import ServerTls

CLIENTS = 8
SIZES = (200, 4_000, 60_000)
"""Bytes of a message: of one event, of a small burst, and of a large one."""


class Role:
    """Keeps its clients."""

    def __init__(self) -> None:
        self.clients: list[Client] = []

    def client_joined(self, client: Client) -> None:
        self.clients.append(client)

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> Mapping[Topic, str | None] | None:
        return None

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        pass

    def topics(self, client: Client) -> Set[Topic] | None:
        return None

    def client_left(self, client: Client) -> None:
        self.clients.remove(client)


async def read_all(port: int, authority: str) -> None:
    """Be all of the clients: authenticate, then read until the server closes."""

    async def one() -> None:
        context = ssl.create_default_context(cafile=authority) if authority else None
        host = "localhost" if context else None
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
        request = (
            "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        auth = b'{"action":"auth","params":"k"}'
        writer.write(request.encode() + bytes([0x81, 0x80 | len(auth)]) + bytes(4) + auth)
        while await reader.read(1 << 18):
            pass

    await asyncio.gather(*(one() for _ in range(CLIENTS)))


async def serve(size: int, total: int, files: ServerTls, authority: str) -> float:
    """Write messages to clients; return the CPU time for each message to each client, in microseconds."""
    role, limits = Role(), ClientLimits(max_unsent_bytes=1 << 30, max_lag=0)
    server = ClientServer(
        [_endpoint(role)], keys=ClientKeys(), metrics=Metrics(), limits=limits, ssl_context=files.context()
    )
    await server.start()
    command = [
        sys.executable,
        "-m",
        "benchmarks.tls_cost",
        "--read",
        str(server.port),
        "--authority",
        authority,
    ]
    reader = subprocess.Popen(command)  # noqa: ASYNC220 - it only starts it
    while len(role.clients) < CLIENTS:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    frame, count = text_frame(b"x" * size), total // (size * CLIENTS)
    began = time.process_time()
    for _ in range(count):
        for client in role.clients:
            client.write(frame)
        while any(client.unsent_bytes > 1 << 20 for client in role.clients):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    while any(client.unsent_bytes for client in role.clients):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    spent = time.process_time() - began
    for client in tuple(role.clients):
        client.abort()  # they would not answer a close
    await server.stop()
    reader.wait()
    return spent / (count * CLIENTS) * 1e6


def _endpoint(role: Role) -> Endpoint:
    return Endpoint("/", market=STOCKS, greets=False, handler=role)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tls_cost", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each kind (default: %(default)s)")
    parser.add_argument(
        "--megabytes", type=int, default=100, help="written in each run (default: %(default)s)"
    )
    parser.add_argument("--read", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--authority", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read:
        asyncio.run(read_all(asked.read, asked.authority))
        return
    with tempfile.TemporaryDirectory() as name:
        directory, authority = Path(name), trustme.CA()
        authority.cert_pem.write_to_path(directory / "ca.pem")
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(directory / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(directory / "cert.pem")
        secure = ServerTls(tls_cert=str(directory / "cert.pem"), tls_key=str(directory / "key.pem"))
        print("| bytes a message | ws us | wss us | ratio |\n| ---: | ---: | ---: | ---: |")
        for size in SIZES:
            total = asked.megabytes * 1_000_000 // (10 if size < 1000 else 1)
            costs: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(asked.runs):
                for tls in (False, True):
                    files, trusted = (secure, str(directory / "ca.pem")) if tls else (ServerTls(), "")
                    with asyncio.Runner(loop_factory=loop_factory()) as runner:
                        costs[tls].append(runner.run(serve(size, total, files, trusted)))
            plain, tls_cost = median(costs[False]), median(costs[True])
            print(f"| {size} | {plain:.2f} | {tls_cost:.2f} | {tls_cost / plain:.2f} |", flush=True)


if __name__ == "__main__":
    main()
