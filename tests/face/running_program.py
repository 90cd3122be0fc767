"""A running ``fproxy`` process, as the tests of this directory see it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Final

TIMEOUT: Final = 120.0
"""Seconds after which a test gives up waiting for a process: long, because it never matters when all is well."""


class Program:
    """A running ``fproxy``, its output as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.errors: list[str] = []

    async def error_line(self, wanted: str) -> str:
        """Return the next line on standard error that holds ``wanted``; all lines up to it are in ``errors``."""
        assert self.process.stderr is not None
        async with asyncio.timeout(TIMEOUT):
            while line := (await self.process.stderr.readline()).decode():
                self.errors.append(line.rstrip("\n"))
                if wanted in line:
                    return self.errors[-1]
        raise AssertionError(f"{wanted!r} is not in {self.errors}")

    async def error_lines(self, *wanted: str) -> None:
        """Wait until there is a line on standard error for each of these, in whatever order, and whenever it came."""
        for each in wanted:
            if not any(each in line for line in self.errors):
                await self.error_line(each)

    async def lines(self, count: int) -> list[str]:
        """Return the next lines of standard output."""
        assert self.process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            return [(await self.process.stdout.readline()).decode().rstrip("\n") for _ in range(count)]

    async def finish(self, send: signal.Signals | None = None) -> tuple[int, str, str]:
        """Send a signal, if any, and wait for the end; return the status and what was not yet read of both outputs."""
        if send is not None:
            self.process.send_signal(send)
        async with asyncio.timeout(TIMEOUT):
            output, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, output.decode(), errors.decode()


StartProgram = Callable[..., Awaitable[Program]]
