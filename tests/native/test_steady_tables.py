"""The table and the array of topics grow and shrink little by little, and lose nothing on the way."""

import re
import subprocess

import pytest
from native_build import TIMEOUT_SECONDS, built

STEPS = 20_000


@pytest.fixture(scope="module")
def command(request: pytest.FixtureRequest) -> list[str]:
    return built("sanitized", "steady_harness.cpp", request)


def numbers_of(command: list[str], *arguments: object, said: str) -> list[int]:
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.fullmatch(said, done.stdout)
    assert found is not None, done.stdout
    return [int(number) for number in found.groups()]


@pytest.mark.parametrize("seed", range(2))
def test_random_changes_follow_the_model(command: list[str], seed: int) -> None:
    found, moving = numbers_of(
        command, "model", seed, STEPS, said=r"(\d+) found, (\d+) while slots were moved\n"
    )
    assert found > STEPS / 2
    assert moving > STEPS / 100


def test_no_change_moves_many_slots(command: list[str]) -> None:
    """A table that grows in one step computes the hashes of all."""
    hashes, left = numbers_of(command, "steps", 100_000, said=r"(\d+) hashes, (\d+) bytes\n")
    assert hashes < 1_000
    assert left == 0


def test_an_array_moves_no_element_and_gives_its_memory_back(command: list[str]) -> None:
    size = 100_000
    most, left, moved = numbers_of(
        command, "array", size, said=r"(\d+) bytes at most, (\d+) left, (\d+) moved\n"
    )
    assert moved == 0
    assert most < 64 * size + 256 * 1024, "what it takes beyond its elements is little"
    assert left < most / 8
