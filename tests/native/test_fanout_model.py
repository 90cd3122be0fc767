"""The fan-out against a plain model of it, with hundreds of clients."""

import pytest
from model_run import numbers_of

STEPS = 800
BITS_OF_A_WORD = 64


@pytest.mark.parametrize("seed", range(2))
def test_every_client_gets_what_the_model_says(seed: int, request: pytest.FixtureRequest) -> None:
    delivered, audiences, prepared = numbers_of(
        "fanout_harness.cpp",
        seed,
        STEPS,
        r"(\d+) events delivered, (\d+) audiences, (\d+) pieces prepared",
        request,
    )
    assert delivered > 10 * STEPS
    assert prepared > STEPS
    assert audiences > BITS_OF_A_WORD, "sets of audiences of several words"
