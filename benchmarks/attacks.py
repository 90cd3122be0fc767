"""``python -m benchmarks.attacks``: what healthy clients notice of each kind of attack.

For each attack a proxy of its own and healthy clients, and the p99 of how late their events are, three times over:
with nobody else there, while another proxy is attacked, and while theirs is. Attackers of the real world have machines
of their own. Here the proxy has a core to itself; source, healthy clients, attackers and the other proxy share the
rest, the last two on what is left over (``benchmarks.hostile.cores``), and events count as arrived when the kernel has
them (``benchmarks.hostile.clients``). What the machine adds in spite of that, as for its loopback and its memory, is
what the attack on the other proxy costs.
"""

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

import uvloop

from benchmarks.hostile.attackers import ATTACKS, Target, start_attack
from benchmarks.hostile.clients import HealthyClient, healthy_clients, percentile
from benchmarks.hostile.cores import Cores, stand_back
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

HEALTHY: Final = 20
SYMBOLS_EACH: Final = 10
RATE: Final = 1_000
"""Events a second; each goes to one of the healthy clients."""

START_SECONDS: Final = 1.0
"""How long an attack has to get under way before it is measured."""


@dataclass(frozen=True)
class Outcome:
    """What came of one attack; times in seconds, memory in MiB.

    Attributes:
        calm: the healthy clients' p99 with nobody else there.
        elsewhere: while another proxy was attacked.
        attacked: while theirs was.
        events: how many the last is of.
        faults: what was wrong with the healthy clients' streams.
        peak_memory: the most that their proxy had.
    """

    calm: float
    elsewhere: float
    attacked: float
    events: int
    faults: tuple[str, ...]
    peak_memory: float

    def row(self, name: str) -> str:
        """Return the outcome as a line of the table."""
        return (
            f"| {name} | {(ATTACKS[name].__doc__ or '').rstrip('.')} | {self.calm * 1e3:.2f} ms "
            f"| {self.elsewhere * 1e3:.2f} ms | {self.attacked * 1e3:.2f} ms | {self.attacked / self.calm:.1f}x "
            f"| {self.events:,} | {len(self.faults)} | {self.peak_memory:.0f} MiB |"
        )


HEADING: Final = (
    "| attack | | p99 calm | another is attacked | meanwhile | | events | faults | memory at most |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


async def attacked(name: str, seconds: float, cores: Cores) -> Outcome:
    """Attack a proxy in one way."""
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(Source(rate=RATE, padded_bytes_per_second=0))
        proxy, other = [
            await stack.enter_async_context(Proxy(source, *FLAGS, start=start))
            for start in (partial(os.sched_setaffinity, 0, cores.proxy), partial(stand_back, cores.others))
        ]
        healthy = await healthy_clients(proxy.port, KEY, HEALTHY, symbols=SYMBOLS_EACH)
        await asyncio.sleep(START_SECONDS)
        calm = await _latencies(healthy, seconds)
        elsewhere, meanwhile = [
            await _under(name, Target(port, KEY, START_SECONDS + seconds, cores.others), healthy, seconds)
            for port in (other.port, proxy.port)
        ]
        outcome = Outcome(
            *(percentile(late, 0.99) for late in (calm, elsewhere, meanwhile)),
            events=len(meanwhile),
            faults=tuple(fault for client in healthy for fault in client.faults),
            peak_memory=proxy.memory()[1],
        )
        for client in healthy:
            client.close()
        return outcome


async def _under(name: str, target: Target, healthy: list[HealthyClient], seconds: float) -> list[float]:
    """Attack; return how late the healthy clients' events were."""
    process = start_attack(name, target)
    await asyncio.sleep(START_SECONDS)
    late = await _latencies(healthy, seconds)
    await asyncio.to_thread(process.join)
    return late


async def _latencies(healthy: list[HealthyClient], seconds: float) -> list[float]:
    for client in healthy:
        client.take_latencies()
    await asyncio.sleep(seconds)
    return [late for client in healthy for late in client.take_latencies()]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 1 when a healthy client missed an event or was disconnected."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attacks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--attacks", default=",".join(ATTACKS), help="names, with commas between them (default: all)"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of each measurement (default: %(default)s)"
    )
    asked = parser.parse_args(arguments)
    cores, own = Cores.split(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.measuring)
    print(HEADING)
    faults: list[str] = []
    try:
        for name in asked.attacks.split(","):
            outcome = uvloop.run(attacked(name, asked.seconds, cores))
            faults += (f"{name}: {fault}" for fault in outcome.faults)
            print(outcome.row(name), flush=True)
    finally:
        os.sched_setaffinity(0, own)
    for fault in faults[:20]:
        print(f"WRONG {fault}", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
