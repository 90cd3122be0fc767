"""``python -m benchmarks.system``: run cells, write JSON, print tables and draw the plot."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import system
from benchmarks.peers import Program, UnavailableError
from benchmarks.system.cell import Cell, Material, Options, default_cores, prepare_load
from benchmarks.system.oracle import Oracle
from benchmarks.system.processes import CellError
from benchmarks.system.programs import ROOT, all_programs
from benchmarks.system.report import markdown, plot
from benchmarks.system.workloads import Workload, all_workloads

BUSY_LOAD: Final = 0.8
"""The load average of the last minute from which on a warning is due."""


def _cores(text: str) -> tuple[int, ...]:
    return tuple(int(core) for core in text.split(","))


def _parser() -> argparse.ArgumentParser:
    program_cores, load_cores = default_cores()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.system",
        description=system.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workloads", help="names, with commas between them (default: all)")
    parser.add_argument("--programs", help="names, with commas between them (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="of each cell (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each measurement (default: %(default)s)"
    )
    parser.add_argument("--events", type=int, help="to play flat out, the same number to every program")
    parser.add_argument("--rates", help="events a second of the paced workloads, instead of 20000,100000")
    parser.add_argument(
        "--window", type=int, default=50_000, help="events ahead of the clients (default: %(default)s)"
    )
    parser.add_argument(
        "--program-cores", type=_cores, default=program_cores, help="of the program under test"
    )
    parser.add_argument("--load-cores", type=_cores, default=load_cores, help="of source and clients")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "benchmarks" / "results", help="directory for all files"
    )
    parser.add_argument("--output", type=Path, help="the JSON to write (default: results.json there)")
    parser.add_argument(
        "--plot",
        type=Path,
        nargs="?",
        const=Path("plot.png"),
        help="draw a picture (default: plot.png there)",
    )
    parser.add_argument(
        "--report", type=Path, help="run nothing: print tables (and draw) from JSON written before"
    )
    parser.add_argument("--list", action="store_true", help="list workloads and programs")
    return parser


def _choose(parser: argparse.ArgumentParser, kind: str, known: Sequence[str], asked: str | None) -> list[str]:
    chosen = asked.split(",") if asked else list(known)
    for name in chosen:
        if name not in known:
            parser.error(f"unknown {kind} {name!r}; there are {', '.join(known)}")
    return chosen


def _machine() -> dict[str, Any]:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _prepare(programs: Sequence[Program], options: Options) -> tuple[list[Program], dict[str, str]]:
    ready, skipped = [], {}
    for program in programs:
        directory = options.results / program.name
        directory.mkdir(parents=True, exist_ok=True)
        try:
            program.prepare(directory.resolve())
            ready.append(program)
        except UnavailableError as error:
            skipped[program.name] = str(error)
            print(f"skipped: {program.name}: {error}", file=sys.stderr)
    return ready, skipped


def _run(
    workloads: list[Workload],
    programs: list[Program],
    runs: int,
    options: Options,
    results: dict[str, Any],
    output: Path,
) -> None:
    oracles: dict[Path, Oracle] = {}
    for workload in workloads:
        material = Material(workload, options.results, oracles)
        for run in range(runs):
            for program in programs:
                if workload.market != "stocks" and not program.every_market:
                    continue
                started = time.monotonic()
                cell: dict[str, Any] = {
                    "workload": workload.name,
                    "program": program.name,
                    "run": run,
                    "load": os.getloadavg()[0],
                }
                try:
                    cell |= Cell(workload, program, material, options).run()
                    verdict = "" if cell["correct"] else " WRONG"
                    said = (
                        f"{cell['cpu_us_per_event']:9.3f} us/event {cell['events_per_s']:11,.0f} events/s"
                        + verdict
                    )
                    if workload.rate is not None:
                        said += f"  p50 {cell['p50_us']:,.0f} us, p99 {cell['p99_us']:,.0f} us"
                except CellError as error:
                    cell["error"] = str(error)
                    said = f"failed: {error}"
                results["cells"].append(cell)
                print(
                    f"{workload.name:14} {program.name:14} {said}  ({time.monotonic() - started:.1f} s)",
                    file=sys.stderr,
                    flush=True,
                )
                output.write_text(json.dumps(results, indent=1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: of the command line, or None for the process's own.

    Returns:
        The exit status: 1 when a cell failed or was not correct, or when a program asked for by name is missing.
    """
    parser = _parser()
    asked = parser.parse_args(arguments)
    rates = tuple(int(rate) for rate in asked.rates.split(",")) if asked.rates else None
    workloads = all_workloads(rates) if rates else all_workloads()
    programs = all_programs()
    chosen_workloads = [
        workloads[name] for name in _choose(parser, "workload", list(workloads), asked.workloads)
    ]
    chosen_programs = [programs[name] for name in _choose(parser, "program", list(programs), asked.programs)]
    results_directory = asked.results.resolve()
    output = asked.output or results_directory / "results.json"
    if asked.list:
        for workload in workloads.values():
            print(f"{workload.name:16} {workload.description}")
        print()
        for program in programs.values():
            print(f"{program.name:16} {program.description}")
        return 0
    if asked.report:
        results = json.loads(asked.report.read_text())
    else:
        options = Options(
            results=results_directory,
            seconds=asked.seconds,
            events=asked.events,
            window=asked.window,
            program_cores=asked.program_cores,
            load_cores=asked.load_cores,
        )
        results_directory.mkdir(parents=True, exist_ok=True)
        try:
            prepare_load(options)
        except UnavailableError as error:
            print(f"the source and the clients cannot be built: {error}", file=sys.stderr)
            return 1
        if os.getloadavg()[0] > BUSY_LOAD:
            print("warning: other work runs on this machine; latencies will not mean much", file=sys.stderr)
        ready, skipped = _prepare(chosen_programs, options)
        os.sched_setaffinity(0, options.load_cores)
        results = {
            "machine": _machine(),
            "settings": {
                "seconds": asked.seconds,
                "events": asked.events,
                "window": asked.window,
            },
            "skipped": skipped,
            "cells": [],
        }
        _run(chosen_workloads, ready, asked.runs, options, results, output)
    names = [program.name for program in chosen_programs]
    print(markdown(chosen_workloads, names, results))
    if asked.plot:
        picture = results_directory / asked.plot if asked.plot == Path("plot.png") else asked.plot
        plot(chosen_workloads, names, results, picture)
        print(f"plot: {picture}", file=sys.stderr)
    wrong = [cell for cell in results["cells"] if not cell.get("correct")]
    return 1 if wrong or (asked.programs and results["skipped"]) else 0


if __name__ == "__main__":
    sys.exit(main())
