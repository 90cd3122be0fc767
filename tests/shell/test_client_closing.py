"""How long a closing client is given, and what it is told; test_slow_clients.py sees it end over real sockets."""

import asyncio
import socket
import struct
from typing import Any

import aiofastnet
from hypothesis import given
from hypothesis import strategies as st

from fproxy.shell.client_closing import (
    DRAIN_TIMEOUTS,
    MAX_CLOSE_REASON_BYTES,
    Draining,
    end_output,
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


async def test_the_end_of_a_connection_that_was_reset_is_no_error() -> None:
    loop = asyncio.get_running_loop()
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    listener = socket.create_server(("127.0.0.1", 0))
    peer = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    listener.close()
    protocol = asyncio.Protocol()
    transport, _ = await aiofastnet.create_connection(loop, lambda: protocol, sock=accepted)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end_output(transport, loop, peer_is_done=False)
    peer.close()  # with a reset, before the loop turns
    async with asyncio.timeout(10):
        while not transport.is_closing():  # noqa: ASYNC110 (the transport has no event for it)
            await asyncio.sleep(0)
    assert failures == []


@given(st.text())
def test_a_reason_fits_a_close_frame_and_is_cut_between_characters(reason: str) -> None:
    fitting = fitting_reason(reason)
    assert reason.startswith(fitting)
    assert len(fitting.encode()) <= MAX_CLOSE_REASON_BYTES
    rest = reason[len(fitting) :]
    assert not rest or len((fitting + rest[0]).encode()) > MAX_CLOSE_REASON_BYTES
