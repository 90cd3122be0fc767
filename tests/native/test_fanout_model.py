"""The fan-out against a plain model of it, with hundreds of clients, under sanitizers that watch its memory."""

import re
import subprocess

import pytest
from native_build import TIMEOUT_SECONDS, built

STEPS = 1500
BITS_OF_A_WORD = 64


@pytest.fixture(scope="module")
def command(request: pytest.FixtureRequest) -> list[str]:
    return built("sanitized", "fanout_harness.cpp", request)


@pytest.mark.parametrize("seed", range(2))
def test_every_client_gets_what_the_model_says(command: list[str], seed: int) -> None:
    done = subprocess.run(
        [*command, str(seed), str(STEPS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = re.fullmatch(r"(\d+) events delivered, (\d+) audiences\n", done.stdout)
    assert numbers is not None, done.stdout
    assert int(numbers[1]) > 10 * STEPS
    assert int(numbers[2]) > BITS_OF_A_WORD, "sets of audiences of several words"
