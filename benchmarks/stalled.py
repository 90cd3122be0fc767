"""``python -m benchmarks.stalled``: many clients, some of which read nothing: what the others notice, and its cost.

Two runs on the same work, one with nobody stalled. Prints how late events are, and the memory of the proxy. With
``--flow`` one run in which all clients have the same topic, of which so many MB flow, and those that stall do not come
back: of that memory alone.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

import uvloop

from benchmarks.hostile.clients import healthy_clients, percentile
from benchmarks.hostile.proxy import KEY, Proxy
from benchmarks.hostile.source import PADDED, Source
from benchmarks.hostile.stalling import leave_stalled, read_all, stalling

FLOW_RATE: Final = 8_000_000
"""Bytes a second of the one topic."""

REST_SECONDS: Final = 10.0
"""How long after the last client has left its memory is looked at: some of it is given back little by little."""


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


async def _connected(proxy: Proxy) -> float:
    return _total(await proxy.metrics(), "fproxy_clients")


def _total(metrics: Mapping[str, float], name: str) -> float:
    """Return a metric, added up over its labels."""
    return sum(value for labelled, value in metrics.items() if labelled.startswith(f"{name}{{"))


async def measure_flow(clients: int, stalled: int, flow: int) -> dict[str, float]:
    """Run a proxy with clients of one topic, of which some stall, until ``flow`` bytes have come from upstream."""
    topic = f"T.{PADDED}"
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(Source(rate=200, padded_bytes_per_second=0))
        proxy = await stack.enter_async_context(Proxy(source, "--history", "0"))
        start, _ = proxy.memory()
        with (
            stalling(proxy.port, KEY, topic, clients - stalled, read_all),
            stalling(proxy.port, KEY, topic, stalled, leave_stalled),
        ):
            while await _connected(proxy) < clients:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            begin, source.padded_bytes_per_second = source.sent_bytes, FLOW_RATE
            while source.sent_bytes < begin + flow:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            metrics = await proxy.metrics()
        while await _connected(proxy):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(REST_SECONDS)
        rest, peak = proxy.memory()
        cut_off = _total(metrics, "fproxy_slow_consumers_total")
        return {"start": start, "peak": peak, "rest": rest, "cut_off": cut_off}


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
    parser.add_argument("--flow", type=int, help="MB of one topic that all have; memory alone is measured")
    asked = parser.parse_args(arguments)
    if asked.flow is not None:
        flow = uvloop.run(measure_flow(asked.clients, asked.stalled, asked.flow * 1_000_000))
        print(
            f"{asked.clients} clients of one topic, {asked.stalled} stalled, {asked.flow} MB flow: "
            f"memory {flow['start']:.0f} MiB before, {flow['peak']:.0f} MiB at most, {flow['rest']:.0f} MiB without "
            f"clients; {flow['cut_off']:.0f} cut off"
        )
        return 0
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
