"""Run several roles together, each in a process of its own: start, watch, restart and stop them.

Children start in order, each once the one before it accepts connections, and stop in the opposite order.
One that dies is reported and started again after a delay that grows with every death; one that hangs, or was stopped,
is killed first. Each child's standard
input is a pipe that only this process holds open: its end tells the child that this process is gone, however
it went.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fproxy.face import heartbeat
from fproxy.face.heartbeat import Heartbeat

READY_TIMEOUT: Final = 30.0
"""Seconds that a child may take to accept connections."""

STOP_TIMEOUT: Final = 10.0
"""Seconds that a child may take to exit after it was asked to; a little longer than it gives itself."""

RESTART_DELAY_MIN: Final = 1.0
RESTART_DELAY_MAX: Final = 30.0
SETTLED_AFTER: Final = 60.0
"""A child that lived this many seconds is restarted after the shortest delay again."""

PROBE_INTERVAL: Final = 0.05
"""Seconds between attempts to connect to a child that is starting."""

MAX_LINE_BYTES: Final = 64 * 1024
"""The longest line of a child's output that is passed on whole."""


class ChildFailedError(Exception):
    """A child could not be started; the message names it and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One role to run in a process of its own.

    Attributes:
        name: what to call it in messages.
        command: the program and its arguments.
        host: the address at which it will accept connections.
        port: the port of the same.
        ready_line: the line of its output that says that it serves now, which is not passed on; None when its
            accepting connections says it.
        stop_timeout: seconds that it may take to exit after it was asked to.
        answers: whether it answers to ``heartbeat.QUESTION``, and is killed when it does not any more.
        environment: variables that it gets on top of those of this process; secrets belong here, not in
            ``command``, which anybody on the machine can read.
    """

    name: str
    command: tuple[str, ...]
    host: str
    port: int
    ready_line: str | None = None
    stop_timeout: float = STOP_TIMEOUT
    answers: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def free_port(host: str) -> int:
    """Return a port of ``host`` on which nothing listens now."""
    family, kind, protocol, _name, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.bind(address)
        port: int = listener.getsockname()[1]
    return port


class Supervisor:
    """Runs ``children`` from ``start`` to ``stop``.

    Args:
        children: what to run, in the order in which to start it.
        report: called with the name of a child and one line, of its output or about it.
        restart_delay: the shortest delay before a child that died is started again, in seconds.
        ask_interval: how often a child is asked whether it is alive, in seconds.
    """

    def __init__(
        self,
        children: Sequence[Child],
        report: Callable[[str, str], None],
        *,
        restart_delay: float = RESTART_DELAY_MIN,
        ask_interval: float = heartbeat.INTERVAL,
    ) -> None:
        self._children = children
        self._report = report
        self._restart_delay = restart_delay
        self._ask_interval = ask_interval
        self._heartbeats: dict[str, Heartbeat] = {}  # of the children that answer, by name
        self._processes: dict[str, asyncio.subprocess.Process] = {}  # running, by child's name
        self._printers: dict[str, asyncio.Task[None]] = {}  # of the same; each ends with its child's output
        self._watchers: list[asyncio.Task[None]] = []  # one a child that has been started
        self._said_ready: set[str] = set()  # names of the children whose ready_line has come

    @property
    def pids(self) -> dict[str, int]:
        """The process id of every child that runs now, by its name."""
        return {name: process.pid for name, process in self._processes.items()}

    async def start(self) -> None:
        """Start every child, each once the one before it accepts connections.

        Raises:
            ChildFailedError: one exited, or did not accept connections in time; those before it run on until
                ``stop``.
        """
        for child in self._children:
            if child.ready_line is None and await accepts(child.host, child.port):
                # Whoever listens there would pass for the child, whose own words nobody might read.
                raise ChildFailedError(f"{child.name} could not start: port {child.port} is in use")
            await self._launch(child)
            await self._wait_until_ready(child)
            self._watchers.append(asyncio.create_task(self._watch(child)))

    async def stop(self) -> None:
        """Ask each child to stop, the last one first, and wait until it has; kill it if it takes too long."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for child in reversed(self._children):
            process = self._processes.get(child.name)
            if process is not None:
                await self._stop_process(child, process)

    def reload(self) -> None:
        """Have every child read again what can be read again."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)

    async def _launch(self, child: Child) -> None:
        process = await asyncio.create_subprocess_exec(
            *child.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=MAX_LINE_BYTES,
            env={**os.environ, **child.environment},
            # A terminal's Ctrl-C is then for this process alone, which stops the children in their order.
            start_new_session=True,
        )
        self._said_ready.discard(child.name)
        self._heartbeats[child.name] = Heartbeat()
        self._processes[child.name] = process
        self._report(child.name, f"INFO Started as process {process.pid}")
        self._printers[child.name] = asyncio.create_task(self._pass_on(child, process))

    async def _pass_on(self, child: Child, process: asyncio.subprocess.Process) -> None:
        """Report every line of a child's output, until it closes it."""
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                line = error.partial
            except asyncio.LimitOverrunError as error:
                line = await process.stdout.read(error.consumed)
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\r\n")
            if child.answers and text == heartbeat.ANSWER:
                self._heartbeats[child.name].answered()
            elif text == child.ready_line:
                self._said_ready.add(child.name)
            else:
                self._report(child.name, text)

    async def _wait_until_ready(self, child: Child) -> None:
        process = self._processes[child.name]
        exited = asyncio.create_task(process.wait())
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                while not exited.done():
                    if await self._is_ready(child):
                        return
                    await asyncio.wait((exited,), timeout=PROBE_INTERVAL)
        except TimeoutError:
            raise ChildFailedError(
                f"{child.name} did not accept connections on port {child.port} within {READY_TIMEOUT:g} s"
            ) from None
        finally:
            exited.cancel()
        raise ChildFailedError(f"{child.name} could not start: {exit_text(await self._ended(child))}")

    async def _is_ready(self, child: Child) -> bool:
        if child.ready_line is None:
            return await accepts(child.host, child.port)
        return child.name in self._said_ready

    async def _ended(self, child: Child) -> int:
        """Wait until a child has ended and all of its output has been passed on; return its return code."""
        returncode = await self._processes[child.name].wait()
        await self._printers[child.name]
        del self._processes[child.name], self._printers[child.name]
        return returncode

    async def _watch(self, child: Child) -> None:
        """Start a child again whenever it has died."""
        delay = self._restart_delay
        while True:
            began = time.monotonic()
            asking = asyncio.create_task(self._ask(child)) if child.answers else None
            try:
                returncode = await self._ended(child)
            finally:
                if asking is not None:
                    asking.cancel()
            if time.monotonic() - began >= SETTLED_AFTER:
                delay = self._restart_delay
            self._report(child.name, f"WARNING {exit_text(returncode)}; starting again in {delay:g} s")
            delay = await self._launch_again(child, delay)

    async def _ask(self, child: Child) -> None:
        """Ask a child again and again whether it is alive, and kill it when it is not."""
        process, beat = self._processes[child.name], self._heartbeats[child.name]
        assert process.stdin is not None
        while not beat.asked():
            process.stdin.write(heartbeat.QUESTION)
            await asyncio.sleep(self._ask_interval)
        self._report(child.name, "WARNING Hangs, or was stopped: it does not answer any more, and is killed")
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    async def _launch_again(self, child: Child, delay: float) -> float:
        """Launch a child after ``delay`` seconds, or as soon after as it can be; return the next delay."""
        while True:
            await asyncio.sleep(delay)
            delay = min(2 * delay, RESTART_DELAY_MAX)
            try:
                await self._launch(child)
            except OSError as error:  # no memory or no process to spare, or the program is being replaced
                self._report(
                    child.name, f"WARNING Could not be started: {error}; trying again in {delay:g} s"
                )
            else:
                return delay

    async def _stop_process(self, child: Child, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), child.stop_timeout)
        except TimeoutError:
            self._report(child.name, f"WARNING Did not stop within {child.stop_timeout:g} s and is killed")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await self._ended(child)


async def accepts(host: str, port: int) -> bool:
    """Return whether something accepts connections there."""
    try:
        _reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def exit_text(returncode: int) -> str:
    """Return how a process ended, from its return code: ``Exited with status 1``, ``Ended by SIGKILL``."""
    if returncode < 0:
        try:
            return f"Ended by {signal.Signals(-returncode).name}"
        except ValueError:
            return f"Ended by signal {-returncode}"
    return f"Exited with status {returncode}"
