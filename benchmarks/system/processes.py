"""The processes of a cell: started on their cores, spoken to line by line, measured, and sure to end."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

OPEN_FILES: Final = 1_000_000
STOP_SECONDS: Final = 5.0

# Runs before the program: pins it, lets it open as many files as it may, has the kernel end it if we should die.
# It leaves priorities alone: at a real-time one, the kernel's own thread for the loopback device gets no turn.
_LAUNCHER: Final = """
import ctypes, os, resource, signal, sys
cores, command = sys.argv[1], sys.argv[2:]
os.sched_setaffinity(0, map(int, cores.split(",")))
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execvp(command[0], command)
"""


class CellError(Exception):
    """A cell cannot go on; the message says why."""


class Process:
    """A child process on given cores, in a process group of its own; a context manager that ends all of it."""

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        cores: Iterable[int],
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        speaks: bool = True,
    ) -> None:
        """Start it.

        Args:
            name: what it is called in errors.
            command: the command line.
            cores: the numbers of the cores that it may run on.
            log: the file that its standard error goes to.
            environment: additions to the environment.
            directory: where it runs.
            speaks: whether lines of its standard output are for us; if not, they go to the log.
        """
        self.name = name
        self._log = log
        with log.open("wb") as errors:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _LAUNCHER, ",".join(map(str, cores)), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if speaks else errors,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                cwd=directory,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._unasked: list[str] = []  # lines that nobody has waited for yet
        self._reader = threading.Thread(target=self._read, name=f"lines of {name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self._popen.stdout is None:
            return
        for line in self._popen.stdout:
            self._lines.put(line.decode(errors="replace").rstrip("\n"))
        self._lines.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.pid, signal.SIGTERM)
            self._popen.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # whoever of the group is left
        self._popen.wait()
        self._reader.join(STOP_SECONDS)
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def say(self, line: str) -> None:
        """Send a line to its standard input.

        Raises:
            CellError: it has ended.
        """
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(f"{line}\n".encode())
            self._popen.stdin.flush()
        except OSError as error:
            raise CellError(self.obituary()) from error

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Have it do nothing meanwhile: what others send it waits."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def expect(self, word: str, timeout: float) -> list[str]:
        """Wait for a line of its standard output that starts with a word; other lines are kept for later.

        Args:
            word: the word.
            timeout: seconds; 0 looks at what is there.

        Returns:
            What follows the word, split at white space.

        Raises:
            CellError: it ended, reported a lost connection, or said nothing of the kind in time.
        """
        return self.expect_line(word, timeout).split()

    def expect_line(self, word: str, timeout: float) -> str:
        """Wait as ``expect`` does, and return what follows the word in one piece."""
        for number, line in enumerate(self._unasked):
            if line.partition(" ")[0] == word:
                return self._unasked.pop(number).partition(" ")[2]
        deadline = time.monotonic() + timeout
        while True:
            try:
                newest = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise CellError(f"{self.name}: no {word!r} within {timeout:.0f} s") from None
            if newest is None:
                raise CellError(self.obituary())
            if newest.startswith("lost "):
                raise CellError("the program under test closed its connection to the firehose")
            if newest.partition(" ")[0] == word:
                return newest.partition(" ")[2]
            self._unasked.append(newest)

    def obituary(self) -> str:
        """Return one line about its end, with the last that it wrote to standard error."""
        try:
            status: int | str = self._popen.wait(1)
        except subprocess.TimeoutExpired:
            status = "none"
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["(no message)"]
        return f"{self.name} ended with status {status}: {last[0][:200]}"


def tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            tasks = list(Path(f"/proc/{parent}/task").iterdir())
            found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue  # it ended while we looked
    return found


def cpu_ns(pids: Iterable[int]) -> int:
    """Return the CPU time, user and system, that processes have used so far, in nanoseconds.

    It is what the scheduler counted, not the clock ticks of ``/proc/PID/stat``: those are too coarse, 10 ms.
    """
    return sum(time.clock_gettime_ns(~pid << 3 | 2) for pid in pids)


def memory_kib(pids: Iterable[int], field: str) -> int:
    """Return a sum of ``VmRSS`` (resident now) or ``VmHWM`` (resident at most) in KiB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                total += int(line.split()[1])
    return total


def wait_until_quiet(pids: list[int], quiet_seconds: float, timeout: float) -> int:
    """Wait until processes use next to no CPU.

    Args:
        pids: the processes.
        quiet_seconds: how long they must be quiet.
        timeout: seconds after which it is not waited any longer.

    Returns:
        When they last did something, in nanoseconds of the monotonic clock.
    """
    deadline = time.monotonic() + timeout
    busy_at = time.monotonic_ns()
    before = cpu_ns(pids)
    while time.monotonic() < deadline and time.monotonic_ns() - busy_at < quiet_seconds * 1e9:
        time.sleep(0.002)
        now = cpu_ns(pids)
        if now - before > 200_000:
            busy_at = time.monotonic_ns()
            before = now
        elif now - before > 20_000:
            before = now
    return busy_at
