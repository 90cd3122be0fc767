"""Children as real processes: small Python programs that listen, print, die and refuse to stop."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from own_ports import own_port

from fproxy.face.supervisor import Child, ChildFailedError, Supervisor, exit_text

LISTEN = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
"""

UNTIL_PROBED = LISTEN + "listener.accept(); "
UNTIL_TERMINATED = LISTEN + "time.sleep(600)"


def child(name: str, program: str, *arguments: str) -> Child:
    port = own_port()
    command = (sys.executable, "-c", program, str(port), *arguments)
    return Child(name=name, command=command, host="127.0.0.1", port=port)


class Reports:
    """Collects what a supervisor reports, and waits for it."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._more = asyncio.Event()

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._more.set()

    async def until(self, wanted: Callable[[list[tuple[str, str]]], bool]) -> None:
        async with asyncio.timeout(30):
            while not wanted(self.lines):
                self._more.clear()
                await self._more.wait()


@pytest.fixture
async def reports() -> Reports:
    return Reports()


@contextlib.asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[None]:
    try:
        await supervisor.start()
        yield
    finally:
        await supervisor.stop()


async def test_children_start_in_order_and_stop_in_the_opposite_order(
    reports: Reports, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    program = """
import signal, socket, sys, time
def note(what):
    with open(sys.argv[2], "a") as log:
        log.write(what + sys.argv[3] + "\\n")
def stop(*_):
    note("stop ")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
note("start ")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    time.sleep(600)
"""
    children = [child(name, program, str(log), name) for name in "abc"]
    async with running(Supervisor(children, reports)):
        for each in children:
            socket.create_connection((each.host, each.port)).close()
    expected = ["start a", "start b", "start c", "stop c", "stop b", "stop a"]
    assert log.read_text().splitlines() == expected


async def test_every_line_of_output_is_passed_on_with_its_childs_name(reports: Reports) -> None:
    program = (
        UNTIL_PROBED + "print('err', file=sys.stderr, flush=True); print('x' * 100000); print('last', end='')"
    )
    async with running(Supervisor([child("one", program)], reports, restart_delay=600)):
        await reports.until(lambda lines: any("Exited" in line for _, line in lines))
    assert {name for name, _ in reports.lines} == {"one"}
    text = [line for _, line in reports.lines if not line.startswith("INFO Started as process ")]
    assert text[:2] == ["listening", "err"]
    assert "".join(text[2:-2]) == "x" * 100000
    assert text[-2:] == ["last", "WARNING Exited with status 0; starting again in 600 s"]


async def test_a_child_that_dies_is_reported_and_started_again(reports: Reports) -> None:
    supervisor = Supervisor([child("one", UNTIL_TERMINATED)], reports, restart_delay=0.01)
    async with running(supervisor):
        first = supervisor.pids["one"]
        assert reports.lines[0] == ("one", f"INFO Started as process {first}")
        os.kill(first, signal.SIGKILL)
        await reports.until(lambda lines: lines.count(("one", "listening")) == 2)
        assert supervisor.pids["one"] != first
    assert ("one", "WARNING Ended by SIGKILL; starting again in 0.01 s") in reports.lines


async def test_the_delay_grows_with_every_death(reports: Reports, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = f"""
import os, sys
if os.path.exists({str(mark)!r}):
    sys.exit(1)
open({str(mark)!r}, "w").close()
{UNTIL_PROBED}"""
    async with running(Supervisor([child("one", program)], reports, restart_delay=0.01)):
        await reports.until(lambda lines: sum("starting again" in line for _, line in lines) == 3)
    delays = [line.rsplit(" in ", 1)[1] for _, line in reports.lines if "starting again" in line]
    assert delays[:3] == ["0.01 s", "0.02 s", "0.04 s"]


async def test_a_child_whose_program_is_away_for_a_while_is_tried_again(
    reports: Reports, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.symlink_to(sys.executable)
    port = own_port()
    command = (str(program), "-c", UNTIL_TERMINATED, str(port))
    one = Child(name="one", command=command, host="127.0.0.1", port=port)
    supervisor = Supervisor([one], reports, restart_delay=0.01)
    async with running(supervisor):
        program.unlink()
        os.kill(supervisor.pids["one"], signal.SIGKILL)
        await reports.until(lambda lines: any("Could not be started" in line for _, line in lines))
        program.symlink_to(sys.executable)
        await reports.until(lambda lines: lines.count(("one", "listening")) == 2)
    (first, *_) = [line for _, line in reports.lines if "Could not be started" in line]
    assert str(program) in first
    assert first.endswith("; trying again in 0.02 s")


async def test_a_child_that_cannot_start_is_named_with_its_output(reports: Reports) -> None:
    good = child("good", UNTIL_TERMINATED)
    bad = child("bad", "print('no such thing'); raise SystemExit(3)")
    supervisor = Supervisor([good, bad], reports)
    with pytest.raises(ChildFailedError, match="bad could not start: Exited with status 3"):
        async with running(supervisor):
            pass
    assert ("bad", "no such thing") in reports.lines
    assert supervisor.pids == {}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((good.host, good.port))


async def test_a_child_that_never_listens_is_given_up(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fproxy.face.supervisor.READY_TIMEOUT", 0.2)
    supervisor = Supervisor([child("mute", "import time; time.sleep(600)")], reports)
    with pytest.raises(ChildFailedError, match=r"mute did not accept connections on port \d+ within 0.2 s"):
        async with running(supervisor):
            pass
    assert supervisor.pids == {}


async def test_a_child_that_does_not_stop_is_killed(reports: Reports) -> None:
    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + UNTIL_TERMINATED
    supervisor = Supervisor([replace(child("deaf", program), stop_timeout=0.1)], reports)
    async with running(supervisor):
        pid = supervisor.pids["deaf"]
    assert ("deaf", "WARNING Did not stop within 0.1 s and is killed") in reports.lines
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_children_learn_that_their_parent_is_gone() -> None:
    """The supervising process is killed outright; its child sees the end of its standard input."""
    connected, gone = asyncio.Event(), asyncio.Event()

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with await asyncio.start_server(follow, "127.0.0.1", 0) as server:
        our_port = server.sockets[0].getsockname()[1]
        program = LISTEN + f"mine = socket.create_connection(('127.0.0.1', {our_port})); sys.stdin.read()"
        one = child("one", program)
        parent = f"""
import asyncio
from fproxy.face.supervisor import Child, Supervisor
async def main():
    child = Child(name="one", command={one.command!r}, host={one.host!r}, port={one.port})
    supervisor = Supervisor([child], print)
    await supervisor.start()
    await asyncio.Future()
asyncio.run(main())
"""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", parent, env=environment)
        async with asyncio.timeout(30):
            await connected.wait()
            process.kill()
            await process.wait()
            await gone.wait()


async def test_variables_reach_the_child_and_are_not_in_its_text(reports: Reports) -> None:
    program = LISTEN + "import os; print(os.environ['SECRET'], flush=True); time.sleep(600)"
    plain = child("one", program)
    secretive = Child(
        name="one", command=plain.command, host=plain.host, port=plain.port, environment={"SECRET": "sesame"}
    )
    assert "sesame" not in repr(secretive)
    async with running(Supervisor([secretive], reports)):
        await reports.until(lambda lines: ("one", "sesame") in lines)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "Exited with status 0"),
        (3, "Exited with status 3"),
        (-9, "Ended by SIGKILL"),
        (-99, "Ended by signal 99"),
    ],
)
def test_how_a_process_ended(code: int, text: str) -> None:
    assert exit_text(code) == text


async def test_children_are_told_to_read_again(reports: Reports) -> None:
    program = "import signal; signal.signal(signal.SIGHUP, lambda *_: print('read again', flush=True));"
    supervisor = Supervisor([child("one", program + UNTIL_TERMINATED)], reports)
    async with running(supervisor):
        supervisor.reload()
        await reports.until(lambda lines: ("one", "read again") in lines)
