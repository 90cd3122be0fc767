"""What waits for clients against a plain model of it."""

import pytest
from model_run import numbers_of

STEPS = 800


@pytest.mark.parametrize("seed", range(2))
def test_what_waits_for_each_client_is_what_the_model_says(seed: int, request: pytest.FixtureRequest) -> None:
    waited, kept = numbers_of(
        "backlog_harness.cpp", seed, STEPS, r"(\d+) bytes waited, (\d+) were kept", request
    )
    assert waited > 500_000
    assert kept < waited, "what waits for several is kept once"
