"""Started by a service manager that holds the listening socket, as real processes."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from running_program import TIMEOUT, Program
from websockets.asyncio.client import connect

from fproxy.face.chain import own_command, own_path
from fproxy.face.settings.sources import known_settings

HAND_OVER = """
import os, sys
file, count, *command = sys.argv[1:]
os.dup2(int(file), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}
os.execvp(command[0], command)
"""


async def start(folder: Path, file: int, *arguments: str, count: str = "1", **settings: str) -> Program:
    """Start ``fproxy`` as systemd does: with the file as number 3, and said to be for this very process."""
    inherited = {name: value for name, value in os.environ.items() if name not in known_settings()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HAND_OVER, str(file), count, *own_command(), *arguments),
        cwd=folder,
        env={
            **inherited,
            **own_path(),
            "FIREHOSE_URL": "ws://127.0.0.1:1",
            "MS_AGGREGATOR_URL": "ws://127.0.0.1:1",
        }
        | settings,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(file,),
    )
    return Program(process)


async def test_clients_that_come_while_it_restarts_wait_instead_of_being_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        for _ in range(2):
            waiting = asyncio.ensure_future(connect(f"ws://127.0.0.1:{port}/stocks", proxy=None).__aenter__())
            program = await start(tmp_path, listening.fileno())
            try:
                async with asyncio.timeout(TIMEOUT):
                    client = await waiting
                    assert "Connected Successfully" in str(await client.recv())
                program.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(TIMEOUT):
                    await client.wait_closed()
                assert client.close_code == 1012
                assert (await program.finish())[0] == 0
            finally:
                if program.process.returncode is None:
                    program.process.kill()
                    await program.process.wait()


CHILD_OF_WHO_TOOK_IT = """
import os, subprocess, sys
from fproxy.shell.socket_activation import take_socket
listening = take_socket(os.environ)
print(subprocess.call([sys.executable, "-c", f"import os; os.fstat({listening.fileno()})"], close_fds=False))
"""


async def test_the_socket_is_not_left_to_child_processes() -> None:
    """One that outlives the program would keep the port, and clients would wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", HAND_OVER, str(listening.fileno()), "1"),
            *(sys.executable, "-c", CHILD_OF_WHO_TOOK_IT),
            env={**os.environ, **own_path()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(listening.fileno(),),
        )
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    assert output == b"1\n", errors
    assert b"Bad file descriptor" in errors


@pytest.mark.parametrize(
    ("arguments", "count", "wanted"),
    [
        ((), "2", "LISTEN_FDS announces '2' sockets"),
        (("stack",), "1", "fproxy stack cannot use the socket"),
        (("demo",), "1", "fproxy demo cannot use the socket"),
        (("--workers", "2"), "1", "--workers (FPROXY_WORKERS) cannot use the socket"),
    ],
)
async def test_what_cannot_be_used_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], count: str, wanted: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        program = await start(tmp_path, listening.fileno(), *arguments, count=count, POLYGON_API_KEY="k")
        status, _, errors = await program.finish()
    assert status == 2
    assert wanted in errors


async def test_what_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket() as unbound, (tmp_path / "file").open("w") as file:
        for number, wanted in (
            (unbound.fileno(), "is not a listening TCP socket"),
            (file.fileno(), "is not a socket"),
        ):
            status, _, errors = await (await start(tmp_path, number)).finish()
            assert status == 2
            assert wanted in errors


async def test_a_socket_open_to_others_wants_keys(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listening:
        status, _, errors = await (await start(tmp_path, listening.fileno())).finish()
    assert status == 2
    assert "refusing to accept any key on 0.0.0.0" in errors
