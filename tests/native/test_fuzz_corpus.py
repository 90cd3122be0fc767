"""Every input that is kept for the fuzzers of the compiled core, and small changes of it, breaks nothing."""

import subprocess

import pytest
from native_build import CORPUS_FLAGS, FUZZ, TIMEOUT_SECONDS, built

CHANGES_OF_EACH = 300


@pytest.mark.parametrize("target", ["scan", "bars"])
def test_kept_inputs_and_changes_of_them(target: str, request: pytest.FixtureRequest) -> None:
    command = built("sanitized", f"../fuzz/{target}_fuzz.cpp", request, CORPUS_FLAGS)
    inputs = sorted((FUZZ / "corpus" / target).iterdir())
    assert inputs
    done = subprocess.run(
        [*command, str(CHANGES_OF_EACH), *map(str, inputs)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(inputs) * (CHANGES_OF_EACH + 1)} inputs\n"
