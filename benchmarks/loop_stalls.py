"""How long clients of very many topics hold up a filtered proxy: ``python -m benchmarks.loop_stalls [CLIENTS]``.

Clients subscribe to 100,000 topics each and break off; then what they had lingers and is given up. The longest that the
event loop worked without looking at its timers is printed for each phase, in milliseconds of its thread's CPU time: so
what else the machine does counts little. The upstream is the simulated market in a process of its own.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from websockets.asyncio.client import ClientConnection, connect

from fproxy.core.stream import StreamState
from fproxy.face.garbage import relax_garbage_collection
from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.settings import FilteredProxySettings, ServerSettings
from fproxy.shell.upstream import UpstreamOptions

TOPICS: Final = 100_000
IN_A_MESSAGE: Final = 10_000
LINGER: Final = 3.0
TICK: Final = 0.001


class Stalls:
    """Watches how long the loop works without looking at its timers.

    Attributes:
        longest: the longest since it was last set, in seconds of CPU time.
    """

    def __init__(self) -> None:
        """Begin to watch the running loop."""
        self.longest = 0.0
        self._before = time.thread_time()
        self._tick()

    def _tick(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._before)
        self._before = now
        asyncio.get_running_loop().call_later(TICK, self._tick)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def proxy() -> AsyncIterator[FilteredProxy]:
    """Run a filtered proxy in this process, behind a simulated market in another."""
    port = free_port()
    market = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fproxy", "sim", "--port", str(port)),
        *("--rate", "100", "--max-connections", "4", "--max-topics", "2000000", "--log-level", "error"),
    )
    url = f"ws://127.0.0.1:{port}"
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
        streams = made.markets["stocks"].streams.values()
        while any(stream.state is not StreamState.UP for stream in streams):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        yield made
    finally:
        await made.stop()
        market.terminate()
        await market.wait()


async def greedy(port: int, number: int) -> ClientConnection:
    """Return a client with very many topics of its own."""
    client = await connect(f"ws://127.0.0.1:{port}/", max_size=None, max_queue=None, ping_interval=None)
    await client.send(json.dumps({"action": "auth", "params": "any"}))
    await client.recv()
    for first in range(0, TOPICS, IN_A_MESSAGE):
        topics = ",".join(f"T.C{number}S{each}" for each in range(first, first + IN_A_MESSAGE))
        await client.send(json.dumps({"action": "subscribe", "params": topics}))
        answered = 0
        while answered < IN_A_MESSAGE:
            answered += str(await client.recv()).count("subscribed to")
    return client


async def main(count: int) -> None:
    """Measure, and print one line."""
    async with proxy() as served:
        relax_garbage_collection()  # as every role does
        clients = [await greedy(served.port, number) for number in range(count)]
        await asyncio.sleep(1.0)
        stalls = Stalls()
        await asyncio.sleep(1.0)
        idle, stalls.longest = stalls.longest, 0.0
        for client in clients:
            client.transport.abort()
        await asyncio.sleep(LINGER - 0.2)
        broken_off, stalls.longest = stalls.longest, 0.0
        await asyncio.sleep(3.0 + 6.0 * count)
        print(
            f"{count} x {TOPICS} topics: idle {idle * 1e3:.1f} ms, when they break off {broken_off * 1e3:.1f} ms, "
            f"when the linger ends {stalls.longest * 1e3:.1f} ms"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
