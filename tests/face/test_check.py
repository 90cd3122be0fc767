"""``fproxy check``: what works and what does not, said in plain words, by a real program and real servers."""

import asyncio
import json
import resource
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from time import time

import pytest
from own_ports import own_port
from running_program import StartProgram
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from fproxy.face.doctor import CheckedUpstream, check_upstream


@asynccontextmanager
async def vendor(*statuses: tuple[str, str], clock: float = 0.0, silent: bool = False) -> AsyncIterator[str]:
    """A vendor that answers auth in a way; its clock may differ by some seconds."""

    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        if not silent:
            events = [{"ev": "status", "status": status, "message": text} for status, text in statuses]
            await connection.send(json.dumps(events))
        await connection.wait_closed()

    def set_date(connection: ServerConnection, request: Request, response: Response) -> Response:
        del response.headers["Date"]
        response.headers["Date"] = formatdate(time() + clock, usegmt=True)
        return response

    async with serve(talk, "127.0.0.1", 0, process_response=set_date) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/stocks"


ports = {
    "FILTERED_PROXY_PORT": "0",
    "FPROXY_FIREHOSE_PORT": str(own_port()),
    "POLYGON_API_KEY": "secret-key",
}


async def said(start: StartProgram, *arguments: str, **settings: str) -> tuple[int, list[str]]:
    status, output, errors = await (await start("check", *arguments, **{**ports, **settings})).finish()
    assert "Traceback" not in errors
    assert "secret-key" not in output + errors
    return status, output.splitlines()


def line_with(lines: list[str], text: str) -> str:
    found = [line for line in lines if text in line]
    assert len(found) == 1, lines
    return found[0]


async def test_all_is_well_with_a_vendor_that_lets_it_in(start: StartProgram) -> None:
    async with vendor(("auth_success", "authenticated")) as url:
        status, lines = await said(start, POLYGON_WS_URL=url)
    assert status == 0
    for text in (f"vendor (stocks): connected to {url}", "clock agrees", "the key is accepted", "files"):
        assert line_with(lines, text).startswith("ok ")


async def found(url: str) -> list[str]:
    """What is found of one upstream, without a program around it."""
    upstream = CheckedUpstream(name="vendor", market="stocks", url=url, is_vendor=True)
    return [
        f"{finding.verdict.value} {finding.text}" async for finding in check_upstream(upstream, "secret-key")
    ]


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ([("auth_failed", "authentication failed")], "vendor (stocks): the key is refused"),
        (
            [("auth_failed", "Your plan doesn't include websocket access.")],
            "the key is right, but its plan does not include this market",
        ),
        ([("max_connections", "secret-key has too many.")], "another program has the one connection"),
        (
            [("auth_success", "authenticated"), ("max_connections", "Maximum number exceeded.")],
            "another program has the one connection",
        ),
    ],
)
async def test_what_a_vendor_refuses_is_said(answers: list[tuple[str, str]], wanted: str) -> None:
    async with vendor(*answers) as url:
        lines = await found(url)
    assert line_with(lines, wanted).startswith("PROBLEM ")
    assert "secret-key" not in "".join(lines)


@pytest.mark.parametrize(("clock", "wanted"), [(120.0, "s behind"), (-120.0, "s ahead of")])
async def test_a_clock_that_is_off_is_said(clock: float, wanted: str) -> None:
    async with vendor(("auth_failed", "authentication failed"), clock=clock) as url:
        line = line_with(await found(url), "this machine's clock is")
    assert line.startswith("PROBLEM ")
    assert wanted in line


async def test_what_is_not_there_is_said(start: StartProgram) -> None:
    nowhere = f"ws://127.0.0.1:{own_port()}"
    status, lines = await said(
        start, "proxy", FIREHOSE_URL=nowhere, MS_AGGREGATOR_URL="ws://no-such-host.invalid"
    )
    assert status == 1
    assert line_with(lines, "firehose (stocks)").startswith("PROBLEM ")
    assert "nothing listens on port" in line_with(lines, "firehose (stocks)")
    assert "the name no-such-host.invalid cannot be resolved" in line_with(lines, "ms-aggregator (stocks)")


async def test_what_is_no_websocket_server_is_said() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        lines = await found(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stocks")
    assert "it answered HTTP 404" in line_with(lines, "vendor (stocks)")
    assert lines[0].startswith("PROBLEM ")


async def test_the_vendors_one_connection_is_left_to_the_program_that_has_it(start: StartProgram) -> None:
    async with vendor(("auth_success", "authenticated")) as url:
        with socket.create_server(("127.0.0.1", 0)) as firehose:
            port = str(firehose.getsockname()[1])
            status, lines = await said(start, "firehose", POLYGON_WS_URL=url, FPROXY_FIREHOSE_PORT=port)
    assert status == 0
    assert line_with(lines, "not tried, as a program serves port").startswith("warning ")
    assert line_with(lines, "is in use").startswith("warning ")


@pytest.mark.skipif(sys.platform != "linux", reason="sets its own limits")
async def test_too_few_files_are_said(start: StartProgram) -> None:
    async with vendor(("auth_success", "authenticated")) as url:
        program = await start("check", POLYGON_WS_URL=url, FPROXY_MAX_CLIENTS="1000", **ports)
        resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE, (512, 512))
        status, output, _ = await program.finish()
    assert status == 1
    assert "too few for 1000 clients" in line_with(output.splitlines(), "files")


async def test_wrong_settings_and_wrong_commands_are_refused(start: StartProgram) -> None:
    for arguments, wanted in (
        (("proxy", "--port", "x"), "Invalid value"),
        (("demo",), "'demo' cannot be checked; these can: stack, proxy"),
    ):
        status, _, errors = await (await start("check", *arguments)).finish()
        assert status == 2
        assert wanted in errors
