"""The log: its formats, what it says of clients, and that it never waits for whoever reads it."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
from collections.abc import Iterator

import pytest
from running_program import TIMEOUT, Program, StartProgram
from websockets.asyncio.client import connect

from fproxy.face.logs import (
    DroppedLines,
    JournalFormatter,
    NeverWaitingHandler,
    log_formatter,
    writes_to_journal,
)


async def visited(program: Program) -> list[str]:
    """Let one client come, subscribe and go; stop the program, and return all lines of its log."""
    line = await program.error_line("Now listening on port")
    port = int(re.search(r"port (\d+)", line)[1])  # type: ignore[index]
    async with asyncio.timeout(TIMEOUT), connect(f"ws://127.0.0.1:{port}/stocks") as client:
        await client.recv()
        await client.send(json.dumps({"action": "auth", "params": "secret-key"}))
        await client.recv()
        await client.send(json.dumps({"action": "subscribe", "params": "T.AAPL,Q.AAPL"}))
        while "T.AAPL" not in str(await client.recv()):
            pass
        await client.close(1000, "enough")
    await program.error_line(" left after ")
    status, _, errors = await program.finish(signal.SIGTERM)
    assert status == 0
    return [*program.errors, *errors.splitlines()]


LEFT = re.compile(
    r"127\.0\.0\.1:\d+ left after \d+\.\d s: closed by the client, 1000 enough; 2 topics, \d+ events, \d+ bytes"
)


async def test_text_has_times_and_levels_and_a_line_for_coming_and_going(start: StartProgram) -> None:
    lines = await visited(await start("sim", "--port", "0", "--log-format", "text"))
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) ", line) for line in lines)
    assert len([line for line in lines if re.search(r"127\.0\.0\.1:\d+ joined on /stocks$", line)]) == 1
    assert len([line for line in lines if LEFT.search(line)]) == 1
    assert "secret-key" not in "\n".join(lines)


async def test_json_is_an_object_a_line(start: StartProgram) -> None:
    objects = [
        json.loads(line) for line in await visited(await start("sim", "--port", "0", "--log-format", "json"))
    ]
    assert all(set(entry) == {"time", "level", "logger", "message"} for entry in objects)
    assert any(LEFT.fullmatch(entry["message"]) for entry in objects)
    assert {entry["level"] for entry in objects} <= {"info", "warning"}


def record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("test", level, __file__, 1, message, (), None)


@pytest.fixture(params=["pipe", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Where to read, and where to write, with little room between."""
    if request.param == "pipe":
        reading, writing = os.pipe()
        yield reading, writing
        os.close(reading)
        os.close(writing)
    else:
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with ours, theirs:
            yield ours.fileno(), theirs.fileno()


def test_lines_that_nobody_reads_are_dropped_and_counted_and_then_it_goes_on(ends: tuple[int, int]) -> None:
    reading, writing = ends
    assert os.get_blocking(writing), "else this shows nothing"
    dropped = DroppedLines()
    handler = NeverWaitingHandler(writing, dropped)
    handler.setFormatter(log_formatter("bare", journal=False))
    written = 0
    while dropped.count < 10:
        handler.emit(record(f"number {written} " + "x" * 2000))
        written += 1
    told: list[int] = []
    dropped.watch(told.append)
    received = os.read(reading, 2**20)
    handler.emit(record("y" * 3_000))
    handler.emit(record("and on"))
    os.set_blocking(reading, False)
    received += os.read(reading, 2**20)
    handler.close()
    lines = received.decode().split("\n")
    kept = [line for line in lines if line.startswith("INFO number ") and len(line) > 2000]
    assert len(kept) >= written - 10 - 1, "what was not dropped is whole, but for the last one"
    assert [int(line.split()[2]) for line in kept] == list(range(len(kept)))
    assert lines[-2:] == ["INFO and on", ""]
    assert told == [dropped.count]


def test_what_follows_a_line_that_was_cut_off_is_a_line_of_its_own(ends: tuple[int, int]) -> None:
    reading, writing = ends
    handler = NeverWaitingHandler(writing, DroppedLines())
    handler.setFormatter(log_formatter("bare", journal=False))
    handler.emit(record("x" * 1_000_000))  # more than anything takes
    cut_off = os.read(reading, 2**20)
    assert not cut_off.endswith(b"\n")
    handler.emit(record("and on"))
    handler.close()
    assert os.read(reading, 2**20) == b"\nINFO and on\n"


def test_the_journal_gets_levels_and_no_times(capfd: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    try:
        found = os.fstat(writing)
        journal = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert writes_to_journal(writing, journal)
        assert not writes_to_journal(writing, {})
        assert not writes_to_journal(writing, {"JOURNAL_STREAM": "1:2"})
        assert not writes_to_journal(writing, {"JOURNAL_STREAM": "nonsense"})
    finally:
        os.close(reading)
        os.close(writing)
    formatter = log_formatter("text", journal=True)
    assert isinstance(formatter, JournalFormatter)
    wanted = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 3}
    for name, priority in wanted.items():
        assert formatter.format(record("a\nb", getattr(logging, name))) == f"<{priority}>a\n<{priority}>b"
    assert json.loads(log_formatter("json", journal=True).format(record('say "ü"')))["message"] == 'say "ü"'


def test_an_error_has_its_traceback_in_every_format() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        failed = logging.LogRecord(
            "test", logging.ERROR, __file__, 1, "it failed", (), (ValueError, error, error.__traceback__)
        )
    assert "ValueError: why" in json.loads(log_formatter("json", journal=False).format(failed))["exception"]
    assert "ValueError: why" in log_formatter("text", journal=False).format(failed)
    lines = log_formatter("text", journal=True).format(failed).splitlines()
    assert lines[-1] == "<3>ValueError: why"
