"""The whole-system benchmark tells right from wrong: each fault of a proxy shows in its own column."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import in_turn
from benchmarks.peers import PEERS, Program
from benchmarks.system.cell import FAULTS, Cell, Material, Options, default_cores, prepare_load
from benchmarks.system.oracle import Oracle
from benchmarks.system.report import markdown
from benchmarks.system.tape import TapeShape, symbols, write_tape
from benchmarks.system.workloads import Workload, all_workloads

TAPE = TapeShape("test", largest_frame=60, seed=7, events=3_000)
TOPICS = tuple(f"{event_type}.{symbol}" for symbol in symbols()[:300] for event_type in ("T", "Q", "LULD"))
WORKLOAD = Workload("test", "four clients", (TOPICS, TOPICS[:300], ("Q.*",), ("*", "T.*")), TAPE)

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="source and clients are compiled with g++"
)


def _faulty(fault: str) -> Program:
    script = str(Path(__file__).with_name("faulty_proxy.py"))
    return Program(
        fault,
        "a proxy with a fault",
        lambda directory: None,
        lambda directory, port, firehose, aggregator: [
            *(sys.executable, script, "--port", str(port), "--upstream", firehose, "--fault", fault)
        ],
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    results = tmp_path_factory.mktemp("results")
    program_cores, load_cores = default_cores()
    options = Options(results, seconds=0.5, events=2_000, program_cores=program_cores, load_cores=load_cores)
    prepare_load(options)
    oracles: dict[Path, Oracle] = {}

    def run(program: Program, workload: Workload = WORKLOAD) -> dict[str, Any]:
        (results / program.name).mkdir(exist_ok=True)
        program.prepare(results / program.name)
        return Cell(workload, program, Material(workload, results, oracles), options).run()

    return run


@needs_compiler
@pytest.mark.parametrize("fault", ["none", "split"])
def test_a_sound_proxy_is_found_correct(run: Callable[..., dict[str, Any]], fault: str) -> None:
    cell = run(_faulty(fault))
    assert {name: cell[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert cell["correct"]
    assert cell["deliveries"] == cell["expected"] > 2_000
    assert cell["cpu_us_per_event"] > 0
    assert cell["peak_mib"] > 1


@needs_compiler
@pytest.mark.parametrize(
    ("fault", "shows_as"),
    [
        ("lost", {"lost"}),
        ("reordered", {"lost", "repeated"}),  # the first of the two comes when it was taken for lost
        ("repeated", {"repeated"}),
        ("altered", {"altered", "lost"}),
        ("malformed", {"malformed"}),
        (
            "unexpected",
            {"unexpected", "repeated", "lost"},
        ),  # to each client what is not for it, or not yet, or again
        ("closed", {"closed", "lost"}),
    ],
)
def test_a_fault_shows(run: Callable[..., dict[str, Any]], fault: str, shows_as: set[str]) -> None:
    cell = run(_faulty(fault))
    assert not cell["correct"]
    assert {name for name in FAULTS if cell[name]} == shows_as


@needs_compiler
def test_latency_counts_from_when_an_event_was_due(run: Callable[..., dict[str, Any]]) -> None:
    floor = next(program for program in PEERS if program.name == "floor")
    paced = Workload("test", "paced", WORKLOAD.clients, TAPE, rate=2_000)
    cell = run(floor, paced)
    assert cell["correct"]
    assert 0 < cell["p50_us"] <= cell["p99_us"] <= cell["p999_us"] <= cell["max_us"]
    # The source did not hurry: the last frame was due when the events before it had their time.
    assert cell["seconds"] >= (cell["events"] - TAPE.largest_frame) / 2_000


@needs_compiler
def test_idle_and_storming_clients_are_measured_beside_the_stream(run: Callable[..., dict[str, Any]]) -> None:
    floor = next(program for program in PEERS if program.name == "floor")
    idle = run(floor, Workload("test", "idle", WORKLOAD.clients, TAPE, rate=2_000, idle_clients=200))
    assert idle["correct"]
    assert idle["idle_connect_s"] > 0
    assert {"idle_kib_each", "undisturbed_p99_us", "beside_p99_us"} <= idle.keys()
    storm = run(floor, Workload("test", "storm", WORKLOAD.clients, TAPE, rate=2_000, storm=(3_500, 50)))
    assert storm["correct"]
    assert storm["storm_bulk_ms"] > 0
    assert storm["storm_singles_ms"] > 0


@pytest.mark.parametrize("kind", ["stocks", "options", "books"])
def test_tapes_are_the_same_every_time_and_sound(tmp_path: Path, kind: str) -> None:
    shape = replace(TAPE, kind=kind)
    (tmp_path / "again").mkdir()
    tape, again = write_tape(shape, tmp_path), write_tape(shape, tmp_path / "again")
    assert tape.read_bytes() == again.read_bytes()
    frames = tape.read_text().splitlines()
    decoded = [json.loads(frame) for frame in frames]
    assert sum(map(len, decoded)) >= TAPE.events
    assert max(map(len, decoded)) <= TAPE.largest_frame
    # Written shortest, so that a proxy that decodes and encodes again can be exact; no braces but the events', as the
    # clients rely on.
    assert [json.dumps(frame, separators=(",", ":")) for frame in decoded] == frames
    assert all(frame.count("{") == len(events) for frame, events in zip(frames, decoded, strict=True))


@pytest.mark.parametrize(
    ("kind", "clients"),
    [
        ("stocks", WORKLOAD.clients),
        ("options", [("Q.*",), all_workloads()["options"].clients[0]]),
        ("books", all_workloads()["books"].clients[:3]),
    ],
)
def test_the_oracle_agrees_with_a_plain_search(
    tmp_path: Path, kind: str, clients: Sequence[Sequence[str]]
) -> None:
    tape = write_tape(replace(TAPE, kind=kind), tmp_path)
    oracle = Oracle(tape)
    events = [event for frame in tape.read_text().splitlines() for event in json.loads(frame)]
    names = [
        (event["ev"], next(event[key] for key in ("sym", "T", "pair") if key in event)) for event in events
    ]
    for topics in clients:
        plain = [
            number
            for number, (event_type, symbol) in enumerate(names)
            if {f"{event_type}.{symbol}", f"{event_type}.*", "*"} & set(topics)
        ]
        assert list(oracle.expected(topics)) == plain != []
        members = set(plain)
        length = len(events)
        for base, target in [(0, length), (17, 18), (length - 5, length + 5), (3, 2 * length + 1)]:
            wanted = sum(number % length in members for number in range(base, target))
            assert oracle.deliveries(plain, base, target) == wanted


def test_tables_show_ratios_losses_and_failures() -> None:
    base = {fault: 0 for fault in FAULTS} | {
        "workload": "sparse",
        "expected": 1_000,
        "correct": True,
        "largest_message": 900,
    }
    numbers = {"cpu_us_per_delivery": 1.0, "events_per_s": 5e5, "peak_mib": 9.0}
    results = {
        "cells": [base | numbers | {"program": "floor", "cpu_us_per_event": cost} for cost in (0.4, 0.5, 0.9)]
        + [
            base
            | numbers
            | {
                "program": "leaky",
                "cpu_us_per_event": 5.0,
                "lost": 250,
                "correct": False,
                "largest_message": 2_100_000,
            },
            {"workload": "sparse", "program": "broken", "error": "broken ended with status 1"},
        ],
        "skipped": {"absent": "go is not installed"},
    }
    text = markdown([all_workloads()["sparse"]], ["floor", "leaky", "broken"], results)
    floor, leaky, broken = (
        line for line in text.splitlines() if line.startswith(("| floor", "| leaky", "| broken"))
    )
    assert " 0.500 | " in floor
    assert " 10.00x | " in leaky
    assert "250 lost (25.0%), messages of 2.1 MB" in leaky
    assert "failed: broken ended with status 1" in broken
    assert "absent (go is not installed)" in text
    assert "busiest process" not in text  # nobody has several


def test_tables_show_the_busiest_of_several_processes() -> None:
    cells = [
        {fault: 0 for fault in FAULTS}
        | {"workload": "sparse", "program": program, "expected": 9, "correct": True, "largest_message": 900}
        | {"cpu_us_per_event": 0.6, "busiest_process_us_per_event": busiest}
        for program, busiest in (("floor", None), ("workers", 0.32))
    ]
    text = markdown([all_workloads()["sparse"]], ["floor", "workers"], {"cells": cells})
    floor, workers = (line for line in text.splitlines() if line.startswith(("| floor", "| workers")))
    assert "of the busiest process" in text
    assert " 0.320 |" in workers
    assert " - |" in floor


def test_programs_fed_in_turn_are_compared_with_the_first() -> None:
    costs = {"old": [1.0, 2.0, 4.0, 9.0], "new": [0.5, 1.0, 2.0, 9.0]}
    assert in_turn.table(costs, {"old": 100.0, "new": 90.4}).splitlines()[2:] == [
        "| old | 1.000 | 1.00x | 2.000 | 1.00x | 1.00x | 100 |",
        "| new | 0.500 | 0.50x | 1.000 | 0.50x | 0.50x | 90 |",
    ]


def test_a_program_of_another_tree_runs_there(tmp_path: Path) -> None:
    program = in_turn.program(f"fproxy@{tmp_path}")
    environment = program.environment("ws://127.0.0.1:1/stocks", "ws://127.0.0.1:2/stocks")
    assert environment["PYTHONPATH"] == str(tmp_path)
    assert environment["FIREHOSE_URL"] == "ws://127.0.0.1:1/stocks"
