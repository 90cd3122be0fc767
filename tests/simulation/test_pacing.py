"""The market's pace, by a clock in the test's hand."""

import pytest

from fproxy.simulation.market import Frame, Market
from fproxy.simulation.pacing import MAX_BATCH_EVENTS, MAX_LAG_MS, Pacer

START = 1_767_623_400_000


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.milliseconds: float = START

    def __call__(self) -> float:
        return self.milliseconds / 1_000


def market(rate: float = 2_000) -> Market:
    return Market(seed=1, start=START, rate=rate, symbols=20)


def test_nothing_happens_before_its_time() -> None:
    pacer = Pacer(market(), Clock())
    assert pacer.advance() == ([], False)


def test_late_and_uneven_timers_cause_no_drift() -> None:
    clock = Clock()
    paced = market()
    pacer = Pacer(paced, clock)
    frames: list[Frame] = []
    for late in [0.4, 1.0, 17.3, 3.1, 0.0, 250.7, 2.5] * 5:
        clock.milliseconds += late
        batch, behind = pacer.advance()
        frames += batch
        assert not behind
        assert paced.now == int(clock.milliseconds / 1_000 * 1_000)
    assert frames == market().advance(paced.now)
    assert pacer.skipped == 0


@pytest.mark.parametrize("rate", [2_000, 100_000, 5_000_000])
def test_it_catches_up_in_bounded_batches(rate: float) -> None:
    clock = Clock()
    paced = market(rate)
    pacer = Pacer(paced, clock)
    clock.milliseconds += min(MAX_LAG_MS, 20_000_000 / rate)
    due = paced.now + min(MAX_LAG_MS, int(20_000_000 / rate))
    frames: list[Frame] = []
    behind = True
    while behind:
        batch, behind = pacer.advance()
        frames += batch
        assert sum(frame.events for frame in batch) <= 5 * max(MAX_BATCH_EVENTS, rate / 1_000)
    assert paced.now == due
    assert frames == market(rate).advance(due)
    assert pacer.skipped == 0


def test_what_it_missed_for_long_is_left_out() -> None:
    clock = Clock()
    paced = market()
    pacer = Pacer(paced, clock)
    clock.milliseconds += 500
    pacer.advance()
    clock.milliseconds += 3_600_000
    frames, behind = pacer.advance()
    assert not behind
    assert paced.now == START + 3_600_500
    assert pacer.skipped == 3_600_000
    assert {frame.payload[:7] for frame in frames} == {b'[{"ev":'}
    assert [frame.time for frame in frames] == [START + 1_000, START + 60_000]  # the bars that were open


def test_a_clock_that_steps_back_halts_it() -> None:
    clock = Clock()
    paced = market()
    pacer = Pacer(paced, clock)
    clock.milliseconds += 100
    pacer.advance()
    clock.milliseconds -= 50
    assert pacer.advance() == ([], False)
    assert paced.now == START + 100
    clock.milliseconds += 60
    pacer.advance()
    assert paced.now == START + 110


def test_without_a_clock_every_batch_is_full() -> None:
    paced = market(100_000)
    pacer = Pacer(paced, None)
    frames: list[Frame] = []
    for _ in range(5):
        batch, behind = pacer.advance()
        assert behind
        frames += batch
    assert paced.now == START + 5 * MAX_BATCH_EVENTS // 100
    assert frames == market(100_000).advance(paced.now)


def test_nobody_need_listen() -> None:
    clock = Clock()
    pacer = Pacer(market(), clock)
    clock.milliseconds += 1_500
    while pacer.advance(render=False) == ([], True):
        pass
    clock.milliseconds += 10
    frames, _ = pacer.advance()
    assert frames == market().advance(START + 1_510)[-len(frames) :]
