"""How a micro-benchmark is run: what it played is noted beside its times."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.market_frames import MarketFrames

MAX_SECONDS: Final = 0.4
"""How long one benchmark is repeated: there are some ninety, and they should take a minute."""


def micro_benchmark(group: str) -> pytest.MarkDecorator:
    """Mark a benchmark as one row of the table of that name, to be compared with the table's others."""
    return pytest.mark.benchmark(group=group, max_time=MAX_SECONDS, min_rounds=5)


def measure(benchmark: BenchmarkFixture, work: Callable[[], Any], played: MarketFrames, **extra: int) -> None:
    """Time a work, which plays frames once in each call.

    Args:
        benchmark: pytest-benchmark's fixture.
        work: what to time.
        played: what it plays.
        extra: further numbers to keep with the times.
    """
    benchmark.extra_info.update(events_per_call=played.events, bytes_per_call=played.size, **extra)
    benchmark(work)
