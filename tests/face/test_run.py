"""The filtered proxy as a program: what it says when it starts, how it fails, and how it stops."""

import asyncio
import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_program import TIMEOUT, Program, StartProgram
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import fproxy
from fproxy.face.run import serve


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The URL of a port that nobody listens on, and nobody else can take meanwhile."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    return unused_tcp_port


async def start_proxy(start: StartProgram, port: int, nowhere: str, *more: str, **settings: str) -> Program:
    """Start a proxy without upstreams, and wait until it has tried to reach both."""
    upstreams = {"FIREHOSE_URL": nowhere, "MS_AGGREGATOR_URL": nowhere}
    program = await start("--port", str(port), *more, **(upstreams | settings))
    for upstream in ("firehose", "ms-aggregator"):
        if not any(upstream in line for line in program.errors if "Failed" in line):
            await program.error_line("Failed to connect to ")
    return program


async def join(port: int, key: str = "any") -> ClientConnection:
    client = await connect(f"ws://127.0.0.1:{port}/")
    await client.send(json.dumps({"action": "auth", "params": key}))
    (status,) = json.loads(await client.recv())
    assert status["status"] == "auth_success"
    return client


async def test_it_starts_with_the_documented_lines(start: StartProgram, port: int, nowhere: str) -> None:
    program = await start_proxy(start, port, nowhere, POLYGON_API_KEY="sesame")
    assert program.errors[:6] == [
        "INFO Starting Polygon Filtered WebSocket Proxy",
        f"INFO Firehose URL: {nowhere}",
        f"INFO Ms-Aggregator URL: {nowhere}",
        f"INFO Starting stocks proxy on port {port}",
        f"INFO Connecting to firehose at {nowhere}",
        f"INFO Connecting to ms-aggregator at {nowhere}",
    ]
    failures = program.errors[6:]
    for upstream in ("firehose", "ms-aggregator"):
        pattern = (
            rf"WARNING Failed to connect to {upstream} at {nowhere}: connection refused; next try in \d\.\d s"
        )
        assert any(re.fullmatch(pattern, line) for line in failures), failures
    code, output, errors = await program.finish(signal.SIGTERM)
    assert (code, output) == (0, "")
    assert "sesame" not in "".join(program.errors) + errors


async def test_urls_are_logged_without_their_secrets(start: StartProgram, port: int, nowhere: str) -> None:
    secretive = nowhere.replace("ws://", "ws://user:sesame@") + "/?key=sesame"
    program = await start_proxy(start, port, secretive)
    _, _, errors = await program.finish(signal.SIGTERM)
    text = "\n".join(program.errors) + errors
    assert "Firehose URL: ws://***@127.0.0.1" in text
    assert "sesame" not in text


async def test_without_a_key_it_is_open_with_a_warning(start: StartProgram, port: int, nowhere: str) -> None:
    program = await start_proxy(start, port, nowhere)
    assert program.errors[0].startswith("WARNING No key is set: any client on this machine is served.")
    await (await join(port)).close()
    assert (await program.finish(signal.SIGINT))[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_closes_clients_with_1012_and_exits_0(
    start: StartProgram, port: int, nowhere: str, number: signal.Signals
) -> None:
    program = await start_proxy(start, port, nowhere)
    client = await join(port)
    async with asyncio.timeout(TIMEOUT):
        program.process.send_signal(number)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    code, output, errors = await program.finish()
    assert (code, output) == (0, "")
    assert "Traceback" not in errors


async def test_the_end_of_standard_input_stops_it_when_asked(
    start: StartProgram, port: int, nowhere: str
) -> None:
    program = await start_proxy(start, port, nowhere, "--stop-at-eof")
    assert program.process.stdin is not None
    program.process.stdin.close()
    code, _, errors = await program.finish()
    assert code == 0
    assert "Traceback" not in errors


async def test_a_port_in_use_is_one_clear_line(start: StartProgram, nowhere: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = await start("--port", str(port), FIREHOSE_URL=nowhere, MS_AGGREGATOR_URL=nowhere)
        code, _, errors = await program.finish()
    assert code == 1
    assert errors.splitlines()[-1] == f"ERROR port {port} on 127.0.0.1 is in use"
    assert "Traceback" not in errors


async def test_an_address_that_is_not_ours_is_one_clear_line(start: StartProgram, nowhere: str) -> None:
    program = await start(
        "--host", "no-such-host.invalid", "--port", "0", POLYGON_API_KEY="k", FIREHOSE_URL=nowhere
    )
    code, _, errors = await program.finish()
    assert code == 1
    assert errors.splitlines()[-1].startswith("ERROR cannot listen on no-such-host.invalid")
    assert "Traceback" not in errors


async def test_an_open_proxy_for_other_machines_is_refused(start: StartProgram) -> None:
    code, _, errors = await (await start("--host", "0.0.0.0", "--port", "0")).finish()
    assert code == 2
    assert "FPROXY_CLIENT_KEYS" in errors
    assert "Starting" not in errors


async def test_port_0_is_a_free_port_and_told(start: StartProgram, nowhere: str) -> None:
    program = await start_proxy(start, 0, nowhere)
    told = [line for line in program.errors if "listening on port" in line] or [
        await program.error_line("listening on port")
    ]
    client = await join(int(told[0].rsplit(" ", 1)[1]))
    await client.close()
    assert (await program.finish(signal.SIGTERM))[0] == 0


async def test_an_admin_port_in_use_is_one_clear_line(start: StartProgram, nowhere: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        admin_port = taken.getsockname()[1]
        program = await start("--port", "0", "--admin-port", str(admin_port), FIREHOSE_URL=nowhere)
        code, _, errors = await program.finish()
    assert code == 1
    # Upstreams may be spoken of before or behind it: the role has started by then.
    assert errors.splitlines().count(f"ERROR admin: port {admin_port} on 127.0.0.1 is in use") == 1
    assert "Traceback" not in errors


async def test_settings_come_from_the_env_file_of_the_directory(
    start: StartProgram, port: int, nowhere: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        f"FILTERED_PROXY_PORT={port}\nFIREHOSE_URL={nowhere}\nMS_AGGREGATOR_URL={nowhere}\nLOG_LEVEL=WARNING\n"
        "FPROXY_CLIENT_KEYS=sesame\n"
    )
    program = await start()
    await program.error_line("Failed to connect to")
    await (await join(port, "sesame")).close()
    code, _, errors = await program.finish(signal.SIGTERM)
    assert code == 0
    assert "INFO" not in "".join(program.errors) + errors


async def test_the_module_is_the_same_program(start: StartProgram) -> None:
    code, output, errors = await (await start("--version")).finish()
    assert (code, output, errors) == (0, f"fproxy {fproxy.__version__}\n", "")


class Slow:
    """A role that takes its time: to start, or to stop."""

    def __init__(self, *, starts: bool) -> None:
        self._starts = starts
        self.stopped = False

    async def start(self) -> None:
        if not self._starts:
            await asyncio.Event().wait()

    async def stop(self) -> None:
        if self._starts:
            await asyncio.Event().wait()
        self.stopped = True


async def test_a_signal_ends_a_start_that_takes_long() -> None:
    role = Slow(starts=False)
    serving = asyncio.ensure_future(serve(role))
    await asyncio.sleep(0)  # the handlers of signals are there after one turn of the loop
    signal.raise_signal(signal.SIGTERM)
    assert await asyncio.wait_for(serving, TIMEOUT) == 0
    assert role.stopped


async def test_a_stop_that_takes_long_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    ready = asyncio.Event()
    serving = asyncio.ensure_future(serve(Slow(starts=True), on_ready=ready.set, stop_timeout=0.01))
    await ready.wait()
    signal.raise_signal(signal.SIGINT)
    assert await asyncio.wait_for(serving, TIMEOUT) == 0
    assert "Not everything had stopped after 0.01 s" in caplog.text


async def test_a_second_signal_ends_it_at_once(start: StartProgram, port: int, nowhere: str) -> None:
    """The first signal waits for a client that never answers the close; the second does not."""
    program = await start_proxy(start, port, nowhere)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.write(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    async with asyncio.timeout(TIMEOUT):
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        program.process.send_signal(signal.SIGTERM)
        assert (await reader.readexactly(4))[2:] == (1012).to_bytes(2)  # a close frame: it is stopping
        while program.process.returncode is None:  # signals that come together count as one
            program.process.send_signal(signal.SIGINT)
            await asyncio.wait((asyncio.ensure_future(program.process.wait()),), timeout=0.1)
        code, _, errors = await program.finish()
    assert code == 128 + signal.SIGINT
    assert "at the second signal" in errors
    writer.close()


async def test_the_close_code_is_a_setting(start: StartProgram, port: int, nowhere: str) -> None:
    program = await start_proxy(start, port, nowhere, "--close-code", "1001")
    client = await join(port)
    async with asyncio.timeout(TIMEOUT):
        program.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert (await program.finish())[0] == 0


async def test_a_hang_up_reads_the_log_level_again(
    start: StartProgram, port: int, nowhere: str, tmp_path: Path
) -> None:
    settings = tmp_path / "settings"
    settings.write_text("LOG_LEVEL=info\n")
    program = await start_proxy(start, port, nowhere, "--env-file", str(settings))
    for text, line in (
        ("LOG_LEVEL=debug\n", "INFO SIGHUP: read again; the log level is debug"),
        ("LOG_LEVEL=loud\n", "ERROR SIGHUP: nothing was read again: 'loud' is not one of"),
        ("LOG_LEVEL=info\n", "INFO SIGHUP: read again; the log level is info"),
    ):
        settings.write_text(text)
        program.process.send_signal(signal.SIGHUP)
        await program.error_line(line)
    await (await join(port)).close()
    assert (await program.finish(signal.SIGTERM))[0] == 0
