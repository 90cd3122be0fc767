"""``python -m benchmarks.soak --minutes N``: a proxy under everything at once, for a while.

Clients come and go, some stall, some attack, the source restarts, keys are read again. Meanwhile healthy clients check
every event; memory, files, audiences and lateness are noted each second. Ends by itself, with a verdict, and a plot
where matplotlib is. Everything stays on this machine.
"""

import argparse
import asyncio
import json
import math
import os
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.hostile.attackers import ATTACKS, Target, start_attack
from benchmarks.hostile.clients import HealthyClient, healthy_clients, percentile
from benchmarks.hostile.cores import Cores
from benchmarks.hostile.proxy import KEY, ROOT, Proxy
from benchmarks.hostile.source import PADDED, SYMBOLS, Source
from benchmarks.hostile.stalling import stalling

HEALTHY: Final = 20
STALLED: Final = 10
MOST_MINUTES: Final = 240
ATTACK_SECONDS: Final = 5.0
ATTACK_INTERVAL: Final = 12
RESTART_INTERVAL: Final = 45
KEYS_INTERVAL: Final = 20
LINGER: Final = 1.0
"""How long upstream subscriptions outlive their clients, in seconds."""

FLAGS: Final = (
    *("--history-bytes", "16MiB"),
    *("--auth-timeout", "2"),
    *("--max-unauthenticated", "300"),
    *("--max-connections-per-address", "500"),
    *("--max-unsent-bytes", "4MiB"),
    *("--max-lag", "3s"),
    *("--unsubscribe-linger", str(LINGER)),
)

RATE: Final = 1_000
"""Events a second, of all symbols together."""

SYMBOLS_EACH: Final = 5
"""How many symbols a healthy client has."""

LEAST_EVENTS: Final = 0.8
"""What share of the events that the source sends for them the healthy clients must have got: some come while one client
makes room for the next, and some while the source is away."""

HIGHEST_GROWTH: Final = 1.25
"""How many times the memory of the first quarter the last one may take."""


@dataclass
class Sample:
    """One second; memory in MiB, ``p99`` in milliseconds."""

    second: float
    memory: float
    files: int
    connections: float
    audiences: float
    backlog: float
    p99: float
    events: int
    attack: str


class Soak:
    """One run."""

    def __init__(self, minutes: float, seed: int) -> None:
        self.samples: list[Sample] = []
        self.faults: list[str] = []
        self.left: dict[str, float] = {}
        self._seconds = minutes * 60
        self._chance = random.Random(seed)
        self._attack = ""
        self._attacks: list[str] = []  # those that are still to come before any comes again
        self._cores = Cores.split()

    async def run(self) -> None:
        """Do it."""
        async with AsyncExitStack() as stack:
            keys = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fproxy-soak-"))) / "keys.toml"
            self._write_keys(keys, 0)
            source = await stack.enter_async_context(Source(rate=RATE, padded_bytes_per_second=2_000_000))
            start = partial(os.sched_setaffinity, 0, self._cores.proxy)
            proxy = await stack.enter_async_context(
                Proxy(source, *FLAGS, "--keys-file", str(keys), start=start)
            )
            files = proxy.files()
            healthy = await healthy_clients(proxy.port, KEY, HEALTHY, symbols=SYMBOLS_EACH)
            with stalling(proxy.port, KEY, f"T.{PADDED}", STALLED):
                await self._time_passes(proxy, source, healthy, keys)
            for client in healthy:
                self.faults += client.faults
                client.close()
            await self._quiet(proxy)
            metrics = await proxy.metrics()
            self.left = {
                "files": proxy.files() - files,
                "connections": _sum(metrics, "fproxy_clients"),
                "audiences": _sum(metrics, "fproxy_audiences"),
                "backlog": metrics["fproxy_backlog_bytes"],
                "memory": proxy.memory()[0],
                "peak": proxy.memory()[1],
            }

    async def _time_passes(
        self, proxy: Proxy, source: Source, healthy: list[HealthyClient], keys: Path
    ) -> None:
        loop = asyncio.get_running_loop()
        began, second = loop.time(), 0
        attack: Any = None
        while (passed := loop.time() - began) < self._seconds:
            second += 1
            await asyncio.sleep(max(0.0, began + second - loop.time()))
            if second % 3 == 0:
                await self._replace_one(proxy, healthy)
            if second % RESTART_INTERVAL == 0:
                await source.restart()
            if second % KEYS_INTERVAL == 0:
                self._write_keys(keys, second)
            if attack is not None and not attack.is_alive():
                attack, self._attack = None, ""
            if (
                second % ATTACK_INTERVAL == 0
                and attack is None
                and passed + 2 * ATTACK_SECONDS < self._seconds
            ):
                attack = self._next_attack(proxy)
            await self._note(proxy, healthy, loop.time() - began)
        if attack is not None:
            await asyncio.to_thread(attack.join)

    def _next_attack(self, proxy: Proxy) -> Any:
        """Start one: all of them come, in an order of chance, before any comes again."""
        if not self._attacks:
            self._attacks = self._chance.sample(list(ATTACKS), len(ATTACKS))
        self._attack = self._attacks.pop()
        return start_attack(self._attack, Target(proxy.port, KEY, ATTACK_SECONDS, self._cores.others))

    async def _replace_one(self, proxy: Proxy, healthy: list[HealthyClient]) -> None:
        """Let one client go, and another one come."""
        at = self._chance.randrange(len(healthy))
        leaving = healthy[at]
        self.faults += leaving.faults
        leaving.close()
        first = self._chance.randrange(SYMBOLS - SYMBOLS_EACH)
        client = HealthyClient(KEY, range(first, first + SYMBOLS_EACH))
        try:
            async with asyncio.timeout(10):
                await client.connect(proxy.port)
                await client.joined
        except (TimeoutError, ConnectionError) as error:
            self.faults.append(f"a client could not join: {error!r}")
        healthy[at] = client

    async def _note(self, proxy: Proxy, healthy: list[HealthyClient], passed: float) -> None:
        late = [latency for client in healthy for latency in client.take_latencies()]
        metrics = await proxy.metrics()
        self.samples.append(
            Sample(
                second=round(passed, 1),
                memory=proxy.memory()[0],
                files=proxy.files(),
                connections=_sum(metrics, "fproxy_clients"),
                audiences=_sum(metrics, "fproxy_audiences"),
                backlog=metrics["fproxy_backlog_bytes"] / (1 << 20),
                p99=percentile(late, 0.99) * 1e3,
                events=len(late),
                attack=self._attack,
            )
        )

    def _write_keys(self, keys: Path, number: int) -> None:
        """Change the keys file: the key of all clients stays, and one comes and goes that nobody has."""
        changed = keys.with_suffix(".new")
        changed.write_text(f'[keys.soak]\nkey = "{KEY}"\n\n[keys.other-{number}]\nkey = "unused-{number}"\n')
        changed.rename(keys)

    async def _quiet(self, proxy: Proxy) -> None:
        """Wait until all clients are gone, and what lingers is over."""
        end = time.monotonic() + 20
        while time.monotonic() < end and _sum(await proxy.metrics(), "fproxy_clients"):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        await asyncio.sleep(LINGER)

    def verdict(self) -> list[str]:
        """Return what is wrong; nothing when all is well."""
        wrong = [f"healthy clients: {fault}" for fault in self.faults[:10]]
        events = sum(sample.events for sample in self.samples)
        sent = HEALTHY * SYMBOLS_EACH * RATE / SYMBOLS * self.samples[-1].second
        if events < LEAST_EVENTS * sent:
            wrong.append(f"healthy clients got {events:,} of some {sent:,.0f} events")
        quarter = max(1, len(self.samples) // 4)
        first = percentile([sample.memory for sample in self.samples[:quarter]], 0.9)
        last = percentile([sample.memory for sample in self.samples[-quarter:]], 0.9)
        if last > HIGHEST_GROWTH * first + 16:
            wrong.append(f"memory grew from {first:.0f} to {last:.0f} MiB")
        for what in ("connections", "audiences", "backlog"):
            if self.left[what]:
                wrong.append(f"{what}: {self.left[what]:.0f} are left")
        if self.left["files"] > 2:
            wrong.append(f"files: {self.left['files']:.0f} more are open than at the start")
        return wrong

    def summary(self) -> str:
        """Return the figures of the run."""
        memory = [sample.memory for sample in self.samples]
        calm = [sample.p99 for sample in self.samples if not sample.attack]
        attacked = [sample.p99 for sample in self.samples if sample.attack]
        return (
            f"{self.samples[-1].second:,.0f} s, {sum(sample.events for sample in self.samples):,} events checked; "
            f"memory {percentile(memory, 0.5):.0f} MiB (median), {self.left['peak']:.0f} MiB at most, "
            f"{self.left['memory']:.0f} MiB without clients; files {min(sample.files for sample in self.samples)} to "
            f"{max(sample.files for sample in self.samples)}, {self.left['files']:+.0f} at the end; "
            f"p99 {percentile(calm, 0.5):.1f} ms in calm seconds and {percentile(attacked, 0.5):.1f} ms in those with "
            "an attack (medians)"
        )


def _sum(metrics: dict[str, float], name: str) -> float:
    """Return a metric added up over its labels."""
    return sum(value for label, value in metrics.items() if label == name or label.startswith(f"{name}{{"))


def plot(samples: list[Sample], picture: Path) -> None:
    """Draw the run.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import_module("matplotlib").use("Agg")
    pyplot = import_module("matplotlib.pyplot")
    ticker = import_module("matplotlib.ticker")
    minutes = [sample.second / 60 for sample in samples]
    figure, axes = pyplot.subplots(4, 1, figsize=(10, 9), sharex=True, layout="constrained")
    memory, files, backlog, lateness = axes
    for axis, title, *lines in (
        (memory, "memory, MiB", ("", [sample.memory for sample in samples])),
        (
            files,
            "open",
            ("files", [sample.files for sample in samples]),
            ("clients", [sample.connections for sample in samples]),
            ("audiences", [sample.audiences for sample in samples]),
        ),
        (backlog, "what waits for slow clients, MiB", ("", [sample.backlog for sample in samples])),
        (
            lateness,
            "p99 of the healthy clients' events in each second, ms",
            ("", [sample.p99 if sample.events else math.nan for sample in samples]),
        ),
    ):
        for label, values in lines:
            axis.plot(minutes, values, linewidth=1, label=label)
        axis.set_title(title, loc="left", fontsize=10)
        axis.grid(axis="y", alpha=0.3)
        for begin, end in attacked_spans(samples):
            axis.axvspan(begin / 60, end / 60, color="tab:red", alpha=0.12, linewidth=0)
    files.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=9, frameon=False)
    for axis in (memory, files, backlog):
        axis.set_ylim(bottom=0)
    lateness.set_yscale("log")
    lateness.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _position: f"{value:g}"))
    lateness.yaxis.set_minor_formatter(ticker.NullFormatter())
    lateness.set_xlabel("minutes; red: somebody attacks")
    lateness.set_xlim(0, minutes[-1])
    figure.savefig(picture, dpi=110)


def attacked_spans(samples: list[Sample]) -> list[tuple[float, float]]:
    """Return from when to when there was an attack, in seconds."""
    spans: list[tuple[float, float]] = []
    before = 0.0
    for sample in samples:
        if sample.attack and spans and spans[-1][1] == before:
            spans[-1] = (spans[-1][0], sample.second)
        elif sample.attack:
            spans.append((before, sample.second))
        before = sample.second
    return spans


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=1.0, help=f"at most {MOST_MINUTES} (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of which attacks come (default: %(default)s)")
    parser.add_argument(
        "--results",
        type=Path,
        default=ROOT / "benchmarks" / "results",
        help="directory for soak.json and soak.png",
    )
    parser.add_argument("--plot", type=Path, help="where to put the plot instead, as docs/soak.png")
    asked = parser.parse_args(arguments)
    if not 0 < asked.minutes <= MOST_MINUTES:
        parser.error(f"--minutes must be above 0 and at most {MOST_MINUTES}")
    soak = Soak(asked.minutes, asked.seed)
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, Cores.split().measuring)
    try:
        uvloop.run(soak.run())
    finally:
        os.sched_setaffinity(0, own)
    asked.results.mkdir(parents=True, exist_ok=True)
    (asked.results / "soak.json").write_text(
        json.dumps([asdict(sample) for sample in soak.samples], indent=1)
    )
    print(soak.summary())
    try:
        plot(soak.samples, asked.plot or asked.results / "soak.png")
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
    wrong = soak.verdict()
    for line in wrong:
        print(f"WRONG {line}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
