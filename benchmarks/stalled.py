"""``python -m benchmarks.stalled``: many clients, some of which read nothing: what the others notice, and its cost.

Two runs on the same work, one with nobody stalled. Prints how late events are, and the memory of the proxy.
"""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack

import uvloop

from benchmarks.hostile.clients import healthy_clients, percentile
from benchmarks.hostile.proxy import KEY, Proxy
from benchmarks.hostile.source import PADDED, Source
from benchmarks.hostile.stalling import stalling


async def measure(clients: int, stalled: int, seconds: float, rate: int, padded: int) -> dict[str, float]:
    """Run a proxy with clients, of which some stall; return what was measured."""
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(Source(rate=rate, padded_bytes_per_second=padded))
        proxy = await stack.enter_async_context(Proxy(source, "--history", "0"))
        healthy = await healthy_clients(proxy.port, KEY, clients - stalled)
        with stalling(proxy.port, KEY, f"T.{PADDED}", stalled):
            loop = asyncio.get_running_loop()
            lagging = 0.0
            patience = loop.time() + 30
            while lagging < stalled and loop.time() < patience:
                await asyncio.sleep(0.25)
                lagging = (await proxy.metrics())["fproxy_lagging_clients"]
            for client in healthy:
                client.take_latencies()
            await asyncio.sleep(seconds)
        latencies = [latency for client in healthy for latency in client.take_latencies()]
        faults = [fault for client in healthy for fault in client.faults]
        if faults:
            print(f"healthy clients missed events: {faults[:5]}", file=sys.stderr)
        for client in healthy:
            client.close()
        await asyncio.sleep(1)
        rest, peak = proxy.memory()
        return {
            "events": len(latencies),
            "p50": percentile(latencies, 0.5) * 1e3,
            "p99": percentile(latencies, 0.99) * 1e3,
            "faults": len(faults),
            "lagging": lagging,
            "peak": peak,
            "rest": rest,
        }


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 1 when a healthy client missed an event."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stalled", description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000, help="in all (default: %(default)s)")
    parser.add_argument("--stalled", type=int, default=100, help="of them (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=200, help="events a second (default: %(default)s)")
    parser.add_argument(
        "--padded", type=int, default=8_000_000, help="bytes a second for the stalled (default: %(default)s)"
    )
    asked = parser.parse_args(arguments)
    runs = {}
    for stalled in (0, asked.stalled):
        runs[stalled] = uvloop.run(
            measure(asked.clients - asked.stalled + stalled, stalled, asked.seconds, asked.rate, asked.padded)
        )
        run = runs[stalled]
        print(
            f"{stalled:4} stalled: {run['events']:,.0f} events, p50 {run['p50']:.2f} ms, p99 {run['p99']:.2f} ms, "
            f"{run['faults']:.0f} faults, {run['lagging']:.0f} lagged, memory {run['peak']:.0f} MiB at most, "
            f"{run['rest']:.0f} MiB without clients",
            flush=True,
        )
    print(
        f"p99 with {asked.stalled} stalled is {runs[asked.stalled]['p99'] / runs[0]['p99']:.2f} times that without"
    )
    return int(any(run["faults"] for run in runs.values()))


if __name__ == "__main__":
    sys.exit(main())
