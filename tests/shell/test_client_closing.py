"""How long a closing client is given, and what it is told; test_slow_clients.py sees it end over real sockets."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fproxy.shell.client_closing import (
    DRAIN_TIMEOUTS,
    MAX_CLOSE_REASON_BYTES,
    Draining,
    fitting_reason,
)


class Backlog(asyncio.Transport):
    """A transport with something left to be sent, which the test takes."""

    def __init__(self) -> None:
        super().__init__()
        self.unsent = 1000

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Clock(asyncio.AbstractEventLoop):
    """A loop that has a time and nothing else."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now


def closing() -> tuple[Any, Any, Draining]:
    backlog, clock = Backlog(), Clock()
    return backlog, clock, Draining(backlog, backlog.get_write_buffer_size, clock, 10.0)


def test_a_client_that_reads_gets_so_many_timeouts_and_no_more() -> None:
    backlog, clock, draining = closing()
    for _ in range(DRAIN_TIMEOUTS - 1):
        clock.now += 10.0
        backlog.unsent -= 1
        assert draining.deserves_time()
    clock.now += 10.0
    backlog.unsent -= 1
    assert not draining.deserves_time()


def test_a_client_that_stops_reading_gets_no_more_time() -> None:
    backlog, _, draining = closing()
    assert not draining.deserves_time()
    backlog.unsent -= 1
    assert draining.deserves_time()
    assert not draining.deserves_time()


def test_a_client_that_has_read_all_gets_no_more_time() -> None:
    backlog, _, draining = closing()
    backlog.unsent = 0
    assert draining.deserves_time()
    assert not draining.deserves_time()


@given(st.text())
def test_a_reason_fits_a_close_frame_and_is_cut_between_characters(reason: str) -> None:
    fitting = fitting_reason(reason)
    assert reason.startswith(fitting)
    assert len(fitting.encode()) <= MAX_CLOSE_REASON_BYTES
    rest = reason[len(fitting) :]
    assert not rest or len((fitting + rest[0]).encode()) > MAX_CLOSE_REASON_BYTES
