"""How long clients of very many topics hold up a filtered proxy: ``python -m benchmarks.loop_stalls [CLIENTS]``.

Clients subscribe to 100,000 topics each, the upstream goes and comes back, the clients break off; then what they had
lingers and is given up. The longest that the event loop worked without looking at its timers is printed for each phase,
in milliseconds of its thread's CPU time: so what else the machine does counts little. The upstream is the simulated
market, in a process of its own, and so are the clients: this process is the proxy and nothing else. One client takes
20 seconds, ten take some minutes: 50 microseconds a topic, of which little is done at once.
"""

import argparse
import asyncio
import json
import logging
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from websockets.asyncio.client import ClientConnection, connect

from fproxy.core.market import Upstream
from fproxy.core.stream import StreamState
from fproxy.face.garbage import relax_garbage_collection
from fproxy.metrics import Metrics
from fproxy.process_state import resident_bytes
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.settings import FilteredProxySettings, ServerSettings
from fproxy.shell.turns import Turns
from fproxy.shell.upstream import UpstreamOptions

IN_A_MESSAGE: Final = 10_000
LINGER: Final = 3.0
TICK: Final = 0.001
LOOK: Final = 0.05
"""Seconds between looks at whether a phase is over."""

PATIENCE: Final = 900.0
"""How long a phase may take, in seconds."""


class Stalls:
    """Watches how long the loop works without looking at its timers.

    Attributes:
        longest: the longest since it was last set, in seconds of CPU time.
        over_goal: how many were longer than the goal of 10 ms.
    """

    def __init__(self) -> None:
        """Begin to watch the running loop."""
        self.longest = 0.0
        self.over_goal = 0
        self._before = time.thread_time()
        self._tick()

    def _tick(self) -> None:
        now = time.thread_time()
        took = now - self._before
        self.longest = max(self.longest, took)
        self.over_goal += took > 0.01
        self._before = now
        asyncio.get_running_loop().call_later(TICK, self._tick)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Print the longest of what is done within."""
        self.longest, self.over_goal, self._before = 0.0, 0, time.thread_time()
        began, began_cpu = time.monotonic(), time.thread_time()
        yield
        memory = (resident_bytes() or 0) / 2**20
        print(
            f"{name:>18}: longest {self.longest * 1e3:5.1f} ms, {self.over_goal} above 10 ms; "
            f"{time.thread_time() - began_cpu:.1f} s of CPU in {time.monotonic() - began:.1f} s; {memory:.0f} MiB",
            flush=True,
        )


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Market:
    """A simulated market in a process of its own."""

    def __init__(self, topics: int) -> None:
        """Prepare one that serves so many topics."""
        self.port = free_port()
        self._topics = topics
        self._process: Process

    async def __aenter__(self) -> "Market":
        """Start it."""
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop it."""
        await self.stop()

    async def start(self) -> None:
        """Start it, and return when it is there."""
        await self.spawn()
        await self.until_there()

    async def spawn(self) -> None:
        """Start its process, which holds this one up for longer the more memory this one has."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fproxy", "sim", "--port", str(self.port), "--rate", "100"),
            *("--max-connections", "4", "--max-topics", str(2 * self._topics), "--log-level", "error"),
        )

    async def until_there(self) -> None:
        """Wait until it listens."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(LOOK)
                    continue
                writer.close()
                return

    async def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        await self._process.wait()


@asynccontextmanager
async def proxy(upstream_port: int) -> AsyncIterator[FilteredProxy]:
    """Run a filtered proxy in this process."""
    url = f"ws://127.0.0.1:{upstream_port}"
    made = FilteredProxy(
        FilteredProxySettings(
            server=ServerSettings(port=0),
            upstream=UpstreamOptions(reconnect_min=0.1, reconnect_max=0.2),
            firehose_url=url,
            aggregator_url=url,
            unsubscribe_linger=LINGER,
        ),
        Metrics(),
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def greedy(port: int, number: int, topics: int) -> ClientConnection:
    """Return a client with very many topics of its own."""
    client = await connect(f"ws://127.0.0.1:{port}/", max_size=None, max_queue=None, ping_interval=None)
    await client.send(json.dumps({"action": "auth", "params": "any"}))
    await client.recv()
    for first in range(0, topics, IN_A_MESSAGE):
        asked = range(first, min(first + IN_A_MESSAGE, topics))
        params = ",".join(f"T.C{number}S{each}" for each in asked)
        await client.send(json.dumps({"action": "subscribe", "params": params}))
        answered = 0
        while answered < len(asked):
            answered += (await client.recv(decode=False)).count(b"subscribed to")
    return client


async def clients(port: int, count: int, topics: int) -> None:
    """Be the clients: have all that they want, say so, and break off when there is something on standard input."""
    made = await asyncio.gather(*(greedy(port, number, topics) for number in range(count)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for client in made:
        if client.state.name != "OPEN":
            print(f"cut off: {client.close_reason}", file=sys.stderr)
        client.transport.abort()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it is not.
    """
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(LOOK)


async def main(count: int, topics: int) -> None:
    """Measure, and print a line for each phase."""
    async with Market(count * topics) as market, proxy(market.port) as served:
        relax_garbage_collection(Turns.of(asyncio.get_running_loop()))  # as every role does
        streams = served.markets["stocks"].streams.values()
        demand = served.markets["stocks"].demands[Upstream.FIREHOSE]

        def are_up() -> bool:
            return all(stream.state is StreamState.UP for stream in streams)

        await until(are_up)
        stalls = Stalls()
        print(f"{count} clients of {topics} topics each")
        with stalls.phase("idle"):
            await asyncio.sleep(1.0)
        greedy_clients = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.loop_stalls", str(count), "--topics", str(topics)),
            *("--clients-of", str(served.port)),
            stdin=PIPE,
            stdout=PIPE,
        )
        assert greedy_clients.stdin is not None
        assert greedy_clients.stdout is not None
        with stalls.phase("they subscribe"):
            assert await greedy_clients.stdout.readline() == b"ready\n"
        with stalls.phase("the upstream goes"):
            await market.stop()
            await until(lambda: not are_up())
            await asyncio.sleep(0.5)
        await market.spawn()
        with stalls.phase("and comes back"):
            await market.until_there()
            await until(are_up)
        with stalls.phase("they break off"):
            greedy_clients.stdin.write(b"\n")
            await until(lambda: len(demand) == 0)
        with stalls.phase("the linger ends"):
            await until(lambda: demand.drops == count * topics)
        await greedy_clients.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", type=int, nargs="?", default=1, metavar="CLIENTS")
    parser.add_argument("--topics", type=int, default=100_000, help="of each client")
    parser.add_argument("--clients-of", type=int, help="be the clients of the proxy on this port")
    arguments = parser.parse_args()
    if arguments.clients_of is None:
        logging.getLogger("fproxy").setLevel(logging.ERROR)
        asyncio.run(main(arguments.clients, arguments.topics))
    else:
        asyncio.run(clients(arguments.clients_of, arguments.clients, arguments.topics))
