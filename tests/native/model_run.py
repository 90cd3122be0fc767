"""Runs a harness that holds something to a plain model of it, in random steps."""

import re
import subprocess

import pytest
from native_build import TIMEOUT_SECONDS, built


def numbers_of(
    harness: str, seed: int, steps: int, verdict: str, request: pytest.FixtureRequest
) -> tuple[int, ...]:
    """Return the numbers in what a harness says in the end, under sanitizers that watch its memory.

    Args:
        harness: its file name. It fails as soon as it differs from its model.
        seed: of its steps.
        steps: how many.
        verdict: a pattern of what it says, with a group for each number.
        request: of the test.
    """
    done = subprocess.run(
        [*built("sanitized", harness, request), str(seed), str(steps)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = re.fullmatch(f"{verdict}\n", done.stdout)
    assert numbers is not None, done.stdout
    return tuple(map(int, numbers.groups()))
