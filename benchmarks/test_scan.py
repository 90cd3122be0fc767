"""Scan: find the events of a message, and the type and symbol of each.

The plain rows decode the message and look the type and the symbol of each event up; see also references.py.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.counted_events import event_counter
from benchmarks.decoders import DECODERS, decoder, topic_of
from benchmarks.market_frames import MarketFrames, busy_market, late_escape_market, spaced_market
from benchmarks.measuring import measure, micro_benchmark
from benchmarks.references import REFERENCES, reference
from fproxy._fastpath import available_scan_paths

FPROXY: Final = "fproxy"
PATHS: Final = {f"{FPROXY}-{path}": path for path in available_scan_paths()}
FASTEST: Final = available_scan_paths()[0]


def scanning(program: str, frames: Sequence[bytes]) -> Callable[[], int]:
    """Return the work of scanning all frames, which returns the number of their events."""
    if program in DECODERS:
        decode = decoder(program).decode
        return lambda: sum(len([topic_of(event) for event in decode(frame)]) for frame in frames)
    return event_counter(frames, PATHS.get(program, FASTEST))


def check_and_measure(benchmark: BenchmarkFixture, program: str, played: MarketFrames) -> None:
    if program in REFERENCES:
        measure(benchmark, reference(program, played.frames), played)
        return
    work: Callable[[], Any] = scanning(program, played.frames)
    assert work() == played.events
    measure(benchmark, work, played)


@micro_benchmark("scan: compact")
@pytest.mark.parametrize("program", [*PATHS, *DECODERS, *REFERENCES])
def test_scan_compact(benchmark: BenchmarkFixture, program: str) -> None:
    check_and_measure(benchmark, program, busy_market())


@micro_benchmark("scan: with white space")
@pytest.mark.parametrize("program", [FPROXY, *DECODERS, *REFERENCES])
def test_scan_white_space(benchmark: BenchmarkFixture, program: str) -> None:
    check_and_measure(benchmark, program, spaced_market())


@micro_benchmark("scan: an escape at the end")
@pytest.mark.parametrize("program", [FPROXY, *DECODERS])
def test_scan_late_escape(benchmark: BenchmarkFixture, program: str) -> None:
    check_and_measure(benchmark, program, late_escape_market())
