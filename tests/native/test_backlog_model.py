"""What waits for clients against a plain model of it, under sanitizers that watch its memory."""

import re
import subprocess

import pytest
from native_build import TIMEOUT_SECONDS, built

STEPS = 800


@pytest.fixture(scope="module")
def command(request: pytest.FixtureRequest) -> list[str]:
    return built("sanitized", "backlog_harness.cpp", request)


@pytest.mark.parametrize("seed", range(2))
def test_what_waits_for_each_client_is_what_the_model_says(command: list[str], seed: int) -> None:
    done = subprocess.run(
        [*command, str(seed), str(STEPS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = re.fullmatch(r"(\d+) bytes waited, (\d+) were kept\n", done.stdout)
    assert numbers is not None, done.stdout
    waited, kept = int(numbers[1]), int(numbers[2])
    assert waited > 500_000
    assert kept < waited, "what waits for several is kept once"
