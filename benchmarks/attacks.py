"""``python -m benchmarks.attacks``: what healthy clients notice of each kind of attack.

For each attack a proxy of its own, some healthy clients, and how late their events are before and meanwhile.
"""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import uvloop

from benchmarks.hostile.attackers import ATTACKS, Target, start_attack
from benchmarks.hostile.clients import healthy_clients, percentile
from benchmarks.hostile.proxy import KEY, Proxy
from benchmarks.hostile.source import Source

FLAGS: Final = (
    *("--history", "0"),
    *("--auth-timeout", "2"),
    *("--max-unauthenticated", "300"),
    *("--max-connections-per-address", "500"),
    *("--max-unsent-bytes", "1MiB"),
)
"""The limits: an operator who is attacked would set such ones."""


@dataclass(frozen=True)
class Outcome:
    """What came of one attack; times in seconds, memory in MiB."""

    before: float
    meanwhile: float
    faults: int
    peak_memory: float


async def attacked(name: str, seconds: float) -> Outcome:
    """Attack a proxy in one way."""
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(Source(rate=1_000, padded_bytes_per_second=0))
        proxy = await stack.enter_async_context(Proxy(source, *FLAGS))
        healthy = await healthy_clients(proxy.port, KEY, 20)

        def p99() -> float:
            return percentile([late for client in healthy for late in client.take_latencies()], 0.99)

        p99()
        await asyncio.sleep(seconds)
        before = p99()
        process = start_attack(name, Target(proxy.port, KEY, seconds + 1.0))
        await asyncio.sleep(1.0)  # it has to start, which takes a core for a while
        p99()
        await asyncio.sleep(seconds)
        meanwhile = p99()
        await asyncio.to_thread(process.join)
        outcome = Outcome(before, meanwhile, sum(len(client.faults) for client in healthy), proxy.memory()[1])
        for client in healthy:
            client.close()
        return outcome


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 1 when a healthy client missed an event or was disconnected."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument(
        "--attacks", default=",".join(ATTACKS), help="names, with commas between them (default: all)"
    )
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="of each measurement (default: %(default)s)"
    )
    asked = parser.parse_args(arguments)
    print("| attack | | p99 before | meanwhile | | healthy clients' faults | memory at most |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    faults = 0
    for name in asked.attacks.split(","):
        outcome = uvloop.run(attacked(name, asked.seconds))
        faults += outcome.faults
        print(
            f"| {name} | {(ATTACKS[name].__doc__ or '').rstrip('.')} | {outcome.before * 1e3:.2f} ms "
            f"| {outcome.meanwhile * 1e3:.2f} ms | {outcome.meanwhile / outcome.before:.1f}x | {outcome.faults} "
            f"| {outcome.peak_memory:.0f} MiB |",
            flush=True,
        )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
