"""A program that may open no more files: newcomers are refused and counted, the others served, and it recovers."""

import asyncio
import json
import os
import resource
import sys
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from own_ports import own_port
from running_program import TIMEOUT, StartProgram
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidMessage

if sys.platform != "linux":
    pytest.skip("sets the limits of another process, as only Linux lets it", allow_module_level=True)

REFUSALS = 40

LONGEST_CPU = 0.5
"""Seconds of CPU that refusing them may take; a loop that spins takes all there is, until the test ends."""


async def authenticate(client: ClientConnection) -> None:
    await client.send(json.dumps({"action": "auth", "params": "any"}))
    while "auth_success" not in str(await client.recv()):
        pass


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_at_the_limit_who_comes_is_refused_and_it_recovers(start: StartProgram) -> None:
    port, admin_port = own_port(), own_port()
    nowhere = "ws://127.0.0.1:1"
    program = await start(
        *(
            "--port",
            str(port),
            "--admin-port",
            str(admin_port),
            "--reconnect-min",
            "60",
            "--reconnect-max",
            "60",
        ),
        FIREHOSE_URL=nowhere,
        MS_AGGREGATOR_URL=nowhere,
    )
    await program.error_lines(
        "Failed to connect to ms-aggregator", "Failed to connect to firehose", "Admin pages: "
    )
    pid = program.process.pid
    url = f"ws://127.0.0.1:{port}/stocks"
    async with asyncio.timeout(TIMEOUT), AsyncExitStack() as stack:
        served = await stack.enter_async_context(connect(url))
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        limit = 1 + max(map(int, os.listdir(f"/proc/{pid}/fd")))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
        began, refusals = cpu_seconds(pid), 0
        while refusals < REFUSALS:
            try:
                await stack.enter_async_context(connect(url))  # as long as there are files between the others
            except (InvalidMessage, ConnectionError):
                refusals += 1
        await authenticate(served)
        assert cpu_seconds(pid) - began < LONGEST_CPU
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        async with connect(url) as late:
            await authenticate(late)
    metrics = await asyncio.to_thread(
        lambda: urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics").read().decode()
    )
    assert f'fproxy_refused_connections_total{{reason="files"}} {REFUSALS}.0' in metrics.splitlines()
    program.process.terminate()
    status, _, errors = await program.finish()
    assert status == 0
    assert "Connections are refused: Too many open files" in "\n".join([*program.errors, errors])
    assert "Traceback" not in errors
