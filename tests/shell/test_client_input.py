"""A client that has sent too much is not read from for a while, and then goes on where it was."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from fproxy.shell.client import Client
from fproxy.shell.client_input import ClientInput
from fproxy.shell.input_pacer import InputPacer
from fproxy.shell.turn_budget import TurnBudget
from fproxy.shell.turns import Turns

budgets = pytest.mark.parametrize(
    "budget", [TurnBudget(3600.0), TurnBudget(1e-12, share=0.0)], ids=["taken at once", "taken in turns"]
)


class Connection(asyncio.Transport):
    """Is read from or not."""

    reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class Timers:
    """A loop whose timers are over when a test says so."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Callable[[], None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._waiting.append(callback)

    def expire(self) -> None:
        [callback] = self._waiting
        self._waiting.clear()
        callback()


class Taker:
    """A client that keeps what it takes, and has its input held behind some pieces."""

    gone = False

    def __init__(self, budget: TurnBudget, *, hold_behind: tuple[bytes, ...]) -> None:
        self.taken: list[bytes] = []
        self.connection = Connection()
        self.timers = Timers()
        loop = cast(asyncio.AbstractEventLoop, self.timers)
        pacer = InputPacer(Turns(loop, budget=budget))
        self.input = ClientInput(cast(Client, self), self.connection, pacer, loop)
        self._hold_behind = hold_behind

    def take(self, data: bytes) -> Iterator[None]:
        self.taken.append(data)
        if data in self._hold_behind:
            self.input.hold(1.0)
            self.input.hold(1.0)  # holding twice is once
        yield

    async def until_nothing_waits(self) -> None:
        while self.input.waits:  # noqa: ASYNC110 - one turn at a time
            await asyncio.sleep(0)


@budgets
async def test_a_client_whose_input_is_held_is_not_read_from_until_its_time_is_over(
    budget: TurnBudget,
) -> None:
    client = Taker(budget, hold_behind=(b"2",))
    for piece in (b"1", b"2", b"3", b"4"):
        client.input.received(piece)
    await client.until_nothing_waits()
    assert client.taken == [b"1", b"2"]
    assert not client.connection.reads, "nothing more is read, whatever the client sends"
    client.timers.expire()
    await client.until_nothing_waits()
    assert client.taken == [b"1", b"2", b"3", b"4"]
    assert client.connection.reads


@budgets
async def test_a_client_that_had_sent_far_too_much_is_held_again(budget: TurnBudget) -> None:
    client = Taker(budget, hold_behind=(b"1", b"2"))
    for piece in (b"1", b"2", b"3"):
        client.input.received(piece)
    await client.until_nothing_waits()
    client.timers.expire()
    await client.until_nothing_waits()
    assert client.taken == [b"1", b"2"]
    assert not client.connection.reads
    client.timers.expire()
    await client.until_nothing_waits()
    assert client.taken == [b"1", b"2", b"3"]
    assert client.connection.reads


async def test_behind_a_full_piece_others_have_their_turns_before_more_is_read() -> None:
    client = Taker(TurnBudget(3600.0), hold_behind=())
    client.input.received(b"1", more=True)
    assert client.taken == [b"1"]
    assert not client.connection.reads
    await asyncio.sleep(0)
    assert client.connection.reads


@budgets
async def test_whatever_ends_first_nothing_is_read_while_input_is_held(budget: TurnBudget) -> None:
    client = Taker(budget, hold_behind=(b"1",))
    client.input.received(b"1", more=True)
    await client.until_nothing_waits()
    await asyncio.sleep(0)
    assert not client.connection.reads
    client.timers.expire()
    assert client.connection.reads
