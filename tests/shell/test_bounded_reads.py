"""How much is read from an upstream at once, over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final, cast

import pytest

from fproxy._bounded_reads import BoundedReads
from fproxy._message_reader import MessageReader

READ: Final = 1000
BURST: Final = 8000
PATIENCE: Final = 20.0


class Parser(asyncio.BufferedProtocol):
    """Takes what each read brings as one message, as picows does with frames."""

    def __init__(self) -> None:
        self.buffer = bytearray(64 * READ)
        self.reader = MessageReader(
            take=self.took,
            statuses_came=lambda statuses: None,
            drained=self.drained,
            other_frame=lambda transport, frame: None,
            unsound=lambda error: None,
            failed=lambda consequence: None,
        )
        self.is_lost = asyncio.Event()
        self.changed = asyncio.Event()
        self.calls: list[int | str] = []

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.reader.message(bytes(self.buffer[:nbytes]))

    def took(self, payload: memoryview) -> None:
        self.calls.append(len(payload))
        self.changed.set()

    def drained(self) -> None:
        self.calls.append("drained")
        self.changed.set()

    def connection_lost(self, exception: Exception | None) -> None:
        self.calls.append("lost")
        self.is_lost.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def until_drained(self, times: int = 1) -> None:
        await self.until(lambda: self.calls.count("drained") >= times)


class Reading:
    """A connection that is read, with the socket at its other end."""

    def __init__(self, transport: asyncio.Transport, parser: Parser, upstream: socket.socket) -> None:
        self.transport = transport
        self.parser = parser
        self.upstream = upstream
        self.reads: BoundedReads

    def bound(self, burst_bytes: int = BURST) -> None:
        self.reads = BoundedReads(
            self.transport, self.parser.reader, read_bytes=READ, burst_bytes=burst_bytes
        )
        self.transport.resume_reading()


@contextlib.asynccontextmanager
async def reading(waiting: int) -> AsyncIterator[Reading]:
    """A connection on which so many bytes wait to be read."""
    upstream, ours = socket.socketpair()
    parser = Parser()
    loop = asyncio.get_running_loop()
    ours.setblocking(False)
    transport, _ = await loop.create_connection(lambda: parser, sock=ours)
    transport.pause_reading()
    await asyncio.sleep(0)
    upstream.sendall(bytes(waiting))
    connection = Reading(cast(asyncio.Transport, transport), parser, upstream)
    try:
        yield connection
    finally:
        upstream.close()
        transport.abort()
        await parser.is_lost.wait()


async def test_reads_are_bounded_and_what_they_bring_is_written_together() -> None:
    async with reading(5 * READ + 1) as connection:
        connection.bound()
        await connection.parser.until_drained()
        assert connection.parser.calls == [READ] * 5 + [1, "drained"]


async def test_what_ends_with_a_full_read_is_written_with_it() -> None:
    async with reading(3 * READ) as connection:
        connection.bound()
        await connection.parser.until_drained()
        assert connection.parser.calls == [READ] * 3 + ["drained"]


async def test_a_burst_that_does_not_end_is_written_now_and_then() -> None:
    async with reading(20 * READ) as connection:
        connection.bound()
        await connection.parser.until_drained(3)
        eight = [READ] * 8 + ["drained"]
        assert connection.parser.calls == [*eight, *eight, *[READ] * 4, "drained"]


async def test_what_a_burst_brought_is_written_at_once_while_reading_is_held() -> None:
    async with reading(5 * READ) as connection:
        connection.bound()
        connection.reads.hold(True)
        await connection.parser.until_drained()
        assert connection.parser.calls == [READ, "drained"]


async def test_what_a_burst_has_brought_is_written_when_reading_is_held() -> None:
    async with reading(100 * READ) as connection:
        parser = connection.parser

        connection.bound(burst_bytes=1000 * READ)
        await parser.until(lambda: bool(parser.calls))
        connection.transport.pause_reading()
        connection.reads.hold(True)
        assert "drained" not in parser.calls
        await parser.until_drained()
        assert len(parser.calls) < 100  # a loop reads so often in a turn, and no more


async def test_what_a_burst_brought_is_written_before_the_connection_is_lost() -> None:
    async with reading(5 * READ) as connection:
        parser = connection.parser
        # With the first read the end comes, while more waits.
        update = parser.buffer_updated

        def update_and_end(nbytes: int) -> None:
            update(nbytes)
            connection.transport.abort()

        parser.buffer_updated = update_and_end  # type: ignore[method-assign]
        connection.bound()
        await parser.is_lost.wait()
        assert parser.calls == [READ, "drained", "lost"]


async def test_a_read_takes_at_least_a_byte() -> None:
    async with reading(1) as connection:
        with pytest.raises(ValueError, match="0 bytes cannot be read at once"):
            BoundedReads(connection.transport, connection.parser.reader, read_bytes=0)
