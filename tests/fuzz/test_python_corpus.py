"""Every input that is kept for the fuzzers of Python code, and small changes of it, breaks nothing."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from python_targets import TARGETS, close

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture(scope="module", autouse=True)
def nothing_left_running() -> Iterator[None]:
    yield
    close()


def changed(kept: bytes, pick: random.Random) -> Iterator[bytes]:
    yield kept
    for _ in range(30):
        changing = bytearray(kept)
        for _ in range(pick.randrange(1, 4)):
            at = pick.randrange(len(changing) + 1)
            changing[at : at + pick.randrange(2)] = pick.randbytes(pick.randrange(3))
        yield bytes(changing)


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_and_changes_of_them(target: str) -> None:
    pick = random.Random(1)
    inputs = sorted((CORPUS / target).iterdir())
    assert inputs
    for path in inputs:
        for data in changed(path.read_bytes(), pick):
            TARGETS[target](data)
