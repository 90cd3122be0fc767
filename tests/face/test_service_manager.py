"""What systemd is told, by a real program, at a Unix datagram socket like systemd's."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_program import TIMEOUT, StartProgram

from fproxy.face.service_manager import ServiceManager

if sys.platform != "linux":
    pytest.skip("systemd is Linux's", allow_module_level=True)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


async def test_it_says_that_it_serves_that_it_is_alive_and_that_it_stops(
    start: StartProgram, manager: socket.socket
) -> None:
    loop = asyncio.get_running_loop()
    program = await start("sim", "--port", "0", NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="100000")

    async def said() -> str:
        async with asyncio.timeout(TIMEOUT):
            return (await loop.sock_recv(manager, 4096)).decode()

    assert await said() == f"READY=1\nMAINPID={program.process.pid}"
    for _ in range(3):
        assert await said() == "WATCHDOG=1"
    program.process.send_signal(signal.SIGTERM)
    while (last := await said()) == "WATCHDOG=1":
        pass
    assert last == "STOPPING=1"
    assert (await program.finish())[0] == 0


async def test_one_that_cannot_start_says_nothing(start: StartProgram, manager: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = await start(
            "sim", "--port", str(taken.getsockname()[1]), NOTIFY_SOCKET=manager.getsockname()
        )
        assert (await program.finish())[0] == 1
    assert manager.recv(4096) == b"STOPPING=1"
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


def test_children_are_told_nothing_and_an_abstract_address_will_do() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0fproxy-test-{os.getpid()}")
        environment = {
            "NOTIFY_SOCKET": f"@fproxy-test-{os.getpid()}",
            "WATCHDOG_USEC": "1000",
            "WATCHDOG_PID": "1",
            "PATH": "/bin",
        }
        manager = ServiceManager(environment)
        assert environment == {"PATH": "/bin"}
        manager.stopping()
        assert listening.recv(4096) == b"STOPPING=1"
    manager.stopping()  # nobody is there any more


@pytest.mark.parametrize("microseconds", ["", "0", "-1", "1e6", "x", "9" * 30])
async def test_without_a_time_for_it_there_is_no_sign_of_life(
    microseconds: str, manager: socket.socket
) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": microseconds})
    told.ready()
    assert manager.recv(4096).startswith(b"READY=1")
    assert told._timer is None


async def test_a_sign_of_life_for_another_process_is_not_ours(manager: socket.socket) -> None:
    told = ServiceManager(
        {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    )
    told.ready()
    assert told._timer is None
