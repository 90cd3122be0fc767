"""Connections of clients are read in turn, one after the other, with the loop's own work in between."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import pytest
from server_harness import UPGRADE, serving

from fproxy.shell import server as server_module
from fproxy.shell import turns
from fproxy.shell.client import Client
from fproxy.shell.client_loop import ClientLoop
from fproxy.shell.shared_state import READ_BYTES
from fproxy.shell.turn_budget import TurnBudget
from fproxy.shell.turns import Turns


@contextmanager
def readable(count: int) -> Iterator[list[socket.socket]]:
    """Sockets that have something to read, and go on having it."""
    with ExitStack() as stack:
        ends = []
        for _ in range(count):
            mine, other = socket.socketpair()
            stack.enter_context(mine)
            stack.enter_context(other).send(b"x")
            ends.append(mine)
        yield ends


@contextmanager
def one_at_a_time() -> Iterator[ClientLoop]:
    """A loop in whose turns there is time for one callback."""
    loop = asyncio.get_running_loop()
    reading = ClientLoop(loop, Turns(loop, budget=TurnBudget(1e-12, share=0.0)))
    try:
        yield reading
    finally:
        reading.close()


async def turns_until(log: list[Any], count: int) -> list[int]:
    """Let the loop turn until the log is so long; return how long it was after each turn."""
    lengths = []
    async with asyncio.timeout(10):
        while len(log) < count:
            await asyncio.sleep(0)
            lengths.append(len(log))
    return lengths


async def test_whoever_has_something_to_read_is_read_in_turn_one_in_a_turn_of_the_loop() -> None:
    log: list[int] = []
    with readable(20) as sockets, one_at_a_time() as reading:
        for number, each in enumerate(sockets):
            reading.add_reader(each, log.append, number)
        lengths = await turns_until(log, 60)
        assert max(after - before for before, after in pairwise([0, *lengths])) == 1
        for first in range(0, 60, 20):
            assert sorted(log[first : first + 20]) == list(range(20)), "all of them before any comes again"


async def test_what_is_to_be_called_soon_takes_turns_with_what_is_read_and_keeps_its_order() -> None:
    log: list[str] = []
    with readable(1) as [one], one_at_a_time() as reading:
        reading.add_reader(one, log.append, "read")
        for number in range(10):
            reading.call_soon(log.append, f"soon {number}")
        lengths = await turns_until(log, 21)
        assert max(after - before for before, after in pairwise([0, *lengths])) == 1
        assert [each for each in log if each != "read"] == [f"soon {number}" for number in range(10)]
        assert 8 <= log.count("read") <= 11


async def test_a_reader_that_is_removed_or_replaced_is_not_called() -> None:
    log: list[str] = []
    with readable(3) as [first, second, third], one_at_a_time() as reading:

        def remove_the_others() -> None:
            log.append("first")
            assert reading.remove_reader(second)
            assert not reading.remove_reader(second)
            reading.add_reader(third, log.append, "new third")

        reading.add_reader(first, remove_the_others)
        reading.add_reader(second, log.append, "second")
        reading.add_reader(third, log.append, "old third")
        reading.remove_reader(first)
        reading.add_reader(first, lambda: (remove_the_others(), reading.remove_reader(first)))
        await turns_until(log, 12)
        assert "new third" in log
        at = log.index("first")
        assert "second" not in log[at:]
        assert "old third" not in log[at:]


async def test_a_connection_that_is_made_has_its_reader_before_anybody_can_close_it() -> None:
    log: list[str] = []
    with readable(1) as [one], one_at_a_time() as reading:
        reading.call_soon(log.append, "made")
        reading.call_soon(reading.add_reader, one.fileno(), log.append, "read")
        reading.call_soon(log.append, "later")
        await turns_until(log, 1)
        assert log == ["made"]
        assert reading.remove_reader(one), "it was registered in the same turn"
        await turns_until(log, 2)
        assert log == ["made", "later"]


async def test_a_reader_that_fails_is_told_of_and_costs_no_other() -> None:
    told: list[dict[str, Any]] = []
    log: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    with readable(2) as [one, other], one_at_a_time() as reading:

        def failing() -> None:
            reading.remove_reader(one)
            raise RuntimeError("a defect")

        reading.add_reader(one, failing)
        reading.add_reader(other, log.append, "read")
        await turns_until(log, 3)
    assert [str(context["exception"]) for context in told] == ["a defect"]


async def test_a_server_accepts_makes_and_reads_connections_one_in_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []

    def noting(name: str) -> None:
        original = getattr(Client, name)

        def noted(client: Client, argument: Any) -> None:
            log.append(name)
            original(client, argument)

        monkeypatch.setattr(Client, name, noted)

    connect = server_module._connect

    def noted_connect(*arguments: Any) -> Any:
        log.append("accepted")
        return connect(*arguments)

    monkeypatch.setattr(server_module, "_connect", noted_connect)
    noting("connection_made")
    noting("buffer_updated")
    monkeypatch.setattr(turns, "TurnBudget", lambda: TurnBudget(1e-12, share=0.0))
    async with serving() as server:
        with ExitStack() as stack:
            for _ in range(20):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                connection.send(b"GET / HTTP/1.1\r\n")
            lengths = await turns_until(log, 60)
        assert max(after - before for before, after in pairwise([0, *lengths])) == 1
        assert log.count("accepted") == log.count("connection_made") == 20


async def test_a_client_that_goes_on_sending_is_read_a_piece_in_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces: list[int] = []
    updated = Client.buffer_updated

    def noted(client: Client, nbytes: int) -> None:
        pieces.append(nbytes)
        updated(client, nbytes)

    monkeypatch.setattr(Client, "buffer_updated", noted)
    monkeypatch.setattr(turns, "TurnBudget", lambda: TurnBudget(1e-12, share=0.0))
    ping = b"\x89\xfa" + bytes(4 + 122)
    async with serving() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(UPGRADE.format(path="/").encode() + ping * (16 * READ_BYTES // len(ping)))
            lengths = await turns_until(pieces, 16)
    assert pieces[:16] == [READ_BYTES] * 16
    assert max(after - before for before, after in pairwise([0, *lengths])) == 1
