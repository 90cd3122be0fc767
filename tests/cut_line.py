"""A line between two roles that a test can cut, at any byte."""

import asyncio
from collections.abc import Callable
from typing import Self

from scripted_upstream import PATIENCE


class CutLine:
    """Passes bytes between whoever connects and a server, until it is told to cut.

    Attributes:
        port: where it listens.
        cuts: how many connections it has cut.
        connections: how many connections were made through it.
    """

    def __init__(self, target: Callable[[], int]) -> None:
        """Prepare a line.

        Args:
            target: returns the server's port, at each connection.
        """
        self.port = 0
        self.cuts = 0
        self.connections = 0
        self._target = target
        self._left: int | None = None  # bytes of the server's that still pass
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.break_off()

    def cut_after(self, size: int) -> None:
        """Cut the connection when so many bytes more have come from the server."""
        self._left = size

    def cut(self) -> None:
        """Cut every connection now."""
        for writer in self._writers:
            writer.transport.abort()

    async def break_off(self) -> None:
        """Cut every connection, and take no other."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await self.until(lambda: not self._writers)
        await self._server.wait_closed()

    async def mend(self) -> None:
        """Take connections again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on the attributes holds."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target())
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_server}
        self.connections += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, to_server, writer))
                tasks.create_task(self._pass(from_server, writer, to_server, counts=True))
        finally:
            self._writers -= {writer, to_server}
            async with self._changed:
                self._changed.notify_all()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
        *,
        counts: bool = False,
    ) -> None:
        try:
            while data := await reader.read(65536):
                if counts and self._left is not None:
                    if len(data) >= self._left:
                        writer.write(data[: self._left])
                        await writer.drain()
                        self._left = None
                        self.cuts += 1
                        break
                    self._left -= len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            # Not an abort of what has been passed on: those bytes are to arrive.
            writer.close()
            other.transport.abort()
