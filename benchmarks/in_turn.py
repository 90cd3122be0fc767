"""Programs on one workload, all alive at once and fed in turn: for small differences, on a machine that others use too.

    python -m benchmarks.in_turn hot floor fproxy                    programs of benchmarks.system, against the first
    python -m benchmarks.in_turn hot fproxy@../older fproxy          the same program of another tree, built in place
    python -m benchmarks.in_turn burst floor fproxy --rounds 16 --events 120000

Each round plays the same number of events to each program, forwards and backwards in turn. What disturbs a play only
adds to it, and most of that comes and goes more slowly than a round takes: the lowest tenth and quarter of the CPU an
event, and the median of the ratios of each round, say what single runs do not. Before the first round each program has
been played as much twice: its memory has been touched, its history may be full.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import sched_setaffinity
from pathlib import Path
from typing import Final

from benchmarks.peers import Program, UnavailableError
from benchmarks.system.cell import (
    CONNECT_TIMEOUT,
    FIRST_WARM_UP_EVENTS,
    Cell,
    Material,
    Options,
    prepare_load,
)
from benchmarks.system.processes import CellError, memory_kib
from benchmarks.system.programs import ROOT, all_programs
from benchmarks.system.workloads import all_workloads

RESULTS: Final = ROOT / "benchmarks" / "results"


class FedCell(Cell):
    """A program that is played to as often as one wants."""

    def begin(self, stack: ExitStack, events: int) -> None:
        """Start it, connect its clients and warm it up."""
        self._start(stack)
        self._clients.say("connect")
        self._clients.expect("connected", CONNECT_TIMEOUT)
        for count in (FIRST_WARM_UP_EVENTS, events, events):
            self.play(count)

    def play(self, events: int) -> float:
        """Play some events; return the CPU microseconds that each took.

        Raises:
            CellError: clients did not get what they should have.
        """
        phase = self._play(events, self.workload.rate)
        if phase.deliveries != phase.expected:
            raise CellError(f"{self.program.name}: {phase.deliveries} deliveries, not {phase.expected}")
        return sum(phase.cpu_seconds) * 1e6 / phase.events

    def peak_mib(self) -> float:
        """Return the most memory that it has had."""
        return memory_kib(self._pids(), "VmHWM") / 1024


def program(text: str) -> Program:
    """Return what ``NAME`` or ``NAME@TREE`` is."""
    name, _, tree = text.partition("@")
    found = all_programs()[name]
    if not tree:
        return found
    path, environment = str(Path(tree).resolve()), found.environment
    return replace(found, environment=lambda *urls: {**environment(*urls), "PYTHONPATH": path})


def table(costs: dict[str, list[float]], peaks: dict[str, float]) -> str:
    """Return what was measured, each against the first."""
    first = next(iter(costs.values()))
    lines = [
        "| program | lowest tenth, us/event | / first | lowest quarter | / first | median of ratios | peak MiB |"
    ]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, found in costs.items():
        cells = [name]
        for share in (0.1, 0.25):
            own, others = (sorted(values)[int(len(values) * share)] for values in (found, first))
            cells += [f"{own:.3f}", f"{own / others:.2f}x"]
        ratio = statistics.median(own / other for own, other in zip(found, first, strict=True))
        lines.append(f"| {' | '.join(cells)} | {ratio:.2f}x | {peaks[name]:.0f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.in_turn",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workload", choices=list(all_workloads()))
    parser.add_argument("programs", nargs="+", metavar="PROGRAM[@TREE]")
    parser.add_argument("--rounds", type=int, default=24, help="(default: %(default)s)")
    parser.add_argument("--events", type=int, default=60_000, help="of each play (default: %(default)s)")
    asked = parser.parse_args(arguments)
    options = Options(results=RESULTS)
    RESULTS.mkdir(parents=True, exist_ok=True)
    try:
        prepare_load(options)
        chosen = {text: program(text) for text in asked.programs}
        for found in chosen.values():
            directory = RESULTS / found.name
            directory.mkdir(exist_ok=True)
            found.prepare(directory.resolve())
    except (UnavailableError, KeyError) as error:
        print(f"not there: {error}", file=sys.stderr)
        return 1
    workload = all_workloads()[asked.workload]
    material = Material(workload, RESULTS, {})
    sched_setaffinity(0, options.load_cores)
    costs: dict[str, list[float]] = {text: [] for text in chosen}
    with ExitStack() as stack:
        cells = {text: FedCell(workload, found, material, options) for text, found in chosen.items()}
        for cell in cells.values():
            cell.begin(stack, asked.events)
        for number in range(asked.rounds):
            for text in list(cells) if number % 2 == 0 else reversed(cells):
                costs[text].append(cells[text].play(asked.events))
        print(table(costs, {text: cell.peak_mib() for text, cell in cells.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
