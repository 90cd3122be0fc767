"""The hash table: as a plain model of it says, and as quick when strangers choose what is in it."""

import re
import subprocess

import pytest
from native_build import TIMEOUT_SECONDS, built

STEPS = 20_000


@pytest.fixture(scope="module")
def command(request: pytest.FixtureRequest) -> list[str]:
    return built("sanitized", "table_harness.cpp", request)


def output_of(command: list[str], *arguments: object) -> str:
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("seed", range(2))
def test_random_changes_follow_the_model(command: list[str], seed: int) -> None:
    found = re.fullmatch(r"(\d+) found, (\d+) bytes at most\n", output_of(command, "model", seed, STEPS))
    assert found is not None
    assert int(found[1]) > STEPS / 2
    assert int(found[2]) >= 16 * 1024, "the table grew, several times, and gave its memory back"


@pytest.mark.parametrize("seed", range(3))
def test_chosen_types_do_not_collide(command: list[str], seed: int) -> None:
    """Types chosen without the table's secret were 486 slots from where a search for them began, when it was added."""
    said = output_of(command, "probes", seed)
    found = re.fullmatch(
        r"(\d+) topics and types: (\S+) slots on average, (\d+) at most\n0 topics of 0 types left\n", said
    )
    assert found is not None, said
    assert int(found[1]) > 7000
    assert float(found[2]) < 2
    assert int(found[3]) < 64


def test_regular_keys_spread_with_every_secret(request: pytest.FixtureRequest) -> None:
    """A weaker hash needs hundreds of slots a search with some secrets, which is seen with as many as these."""
    said = output_of(built("native", "table_harness.cpp", request), "spread", 40)
    found = re.fullmatch(r"(\S+) slots on average with the worst secret\n", said)
    assert found is not None, said
    assert float(found[1]) < 1.7


def test_every_process_has_a_secret_of_its_own(command: list[str]) -> None:
    """Else whoever has the source could choose what collides: of types, of symbols, and of long texts."""
    runs = [output_of(command, "secret").split() for _ in range(3)]
    for hashes in zip(*runs, strict=True):
        assert len(set(hashes)) == 3


def test_a_table_is_copied_in_its_own_order_without_searching_through_itself(command: list[str]) -> None:
    """Without room made first it is thousands of slots a key: a client of many topics took a second to leave."""
    found = re.fullmatch(r"(\S+) slots\n", output_of(command, "copy", 100_000))
    assert found is not None
    assert float(found[1]) < 4


def test_kept_texts_are_compared_whole(command: list[str]) -> None:
    """Not by a hash of them: in place, elsewhere, and at the lengths where the one begins and the other ends."""
    assert output_of(command, "kept", 40) == f"{sum(range(41))} differed\n"
