"""When memory runs out, wherever that is, the process ends with a message, and nothing is corrupt before it does."""

import re
import subprocess
from pathlib import Path

import pytest
from native_build import HEADERS, TIMEOUT_SECONDS, WRAPPED_FLAGS, built


@pytest.fixture(scope="module")
def command(request: pytest.FixtureRequest) -> list[str]:
    return built("sanitized", "allocator_harness.cpp", request, WRAPPED_FLAGS)


@pytest.mark.parametrize(
    ("scenario", "least"),
    [("fanout", 100), ("broadcast", 10), ("bars", 300), ("events", 3), ("backlog", 10), ("snapshots", 15)],
)
def test_each_allocation_may_fail(command: list[str], scenario: str, least: int) -> None:
    done = subprocess.run(
        [*command, scenario], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = re.fullmatch(r"(\d+) failed: (\d+) ended the process, \d+ did not\n", done.stdout)
    assert numbers is not None, done.stdout
    assert int(numbers[2]) >= least


@pytest.mark.parametrize("source", sorted(HEADERS.parent.glob("*.p[xy][xi]")), ids=lambda path: path.name)
def test_every_call_of_the_core_that_may_fail_ends_the_process_then(source: Path) -> None:
    calls = [line for line in source.read_text().splitlines() if "except +" in line]
    assert [line for line in calls if not line.endswith("except +core_error")] == []
