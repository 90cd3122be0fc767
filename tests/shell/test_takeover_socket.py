"""The Unix socket of a take-over: private, this user's alone, and with a socket on top of the messages."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from scripted_upstream import PATIENCE

from fproxy.core.takeover_messages import Hello, Message, Ready, TakeOverProtocolError
from fproxy.shell import takeover_socket
from fproxy.shell.takeover_socket import (
    PeerGoneError,
    TakeOverChannel,
    TakeOverOffer,
    TakeOverSocketError,
    connect,
    make_private,
)

pytestmark = pytest.mark.skipif(not takeover_socket.is_supported(), reason="Linux tells whose a process is")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "private" / "127.0.0.1-8765.sock"


@asynccontextmanager
async def offer(
    path: Path, *answers: Message, handed: socket.socket | None = None
) -> AsyncIterator[list[Message]]:
    """An offer that hears one message of each process, and answers it."""
    heard: list[Message] = []

    async def hear(channel: TakeOverChannel) -> None:
        heard.append(await channel.receive())
        for answer in answers:
            await channel.send(answer, with_socket=handed)

    waiting = TakeOverOffer(path, hear)
    waiting.start()
    try:
        async with asyncio.timeout(PATIENCE):
            yield heard
    finally:
        await waiting.stop()


async def test_messages_and_a_socket_go_over_it_one_process_after_the_other(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with offer(path, Ready(), handed=listening) as heard:
            for number in range(3):
                channel = await connect(path)
                assert channel is not None
                await channel.send(Hello("proxy", number))
                assert await channel.receive() == Ready()
                handed = channel.take_socket()
                assert handed is not None
                with handed:
                    assert handed.getsockname() == listening.getsockname()
                    assert not handed.get_inheritable()
                assert channel.take_socket() is None
                with pytest.raises(PeerGoneError):
                    await channel.receive()
                channel.close()
        assert heard == [Hello("proxy", number) for number in range(3)]


async def test_nobody_there_is_no_error_and_what_a_dead_process_left_is_replaced(path: Path) -> None:
    make_private(path.parent)
    assert await connect(path) is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert await connect(path) is None
    async with offer(path):
        channel = await connect(path)
        assert channel is not None
        channel.close()
    assert os.listdir(path.parent) == []


async def test_an_offer_does_not_take_the_next_ones_socket_away(path: Path) -> None:
    first, second = TakeOverOffer(path, _never), TakeOverOffer(path, _never)
    first.start()
    second.start()
    await first.stop()
    assert os.listdir(path.parent) == [path.name]
    await second.stop()
    assert os.listdir(path.parent) == []


async def _never(channel: TakeOverChannel) -> None:
    raise AssertionError


async def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    make_private(folder)
    folder.chmod(0o750)
    with pytest.raises(TakeOverSocketError, match="this user's alone"):
        make_private(folder)
    with pytest.raises(TakeOverSocketError, match="this user's alone"):
        TakeOverOffer(folder / "s", _never).start()
    (tmp_path / "file").touch()
    with pytest.raises(TakeOverSocketError):
        make_private(tmp_path / "file")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(TakeOverSocketError, match="not a directory"):
        make_private(tmp_path / "link")
    with pytest.raises(TakeOverSocketError, match="cannot be used: No such file"):
        make_private(tmp_path / "missing" / "folder")


async def test_another_users_process_is_not_heard(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with offer(path, Ready()) as heard:
        channel = await connect(path)
        assert channel is not None
        monkeypatch.setattr(takeover_socket, "peer_uid", lambda connection: os.geteuid() + 1)
        await channel.send(Hello("proxy", 1))
        with pytest.raises(PeerGoneError):
            await channel.receive()
        channel.close()
        assert heard == []
        assert "belongs to another user" in caplog.text
        with pytest.raises(TakeOverSocketError, match="belongs to another user"):
            await connect(path)


async def test_the_kernel_says_whose_the_other_process_is() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert takeover_socket.peer_uid(ours) == os.geteuid()


async def test_one_that_talks_nonsense_costs_the_next_one_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with offer(path, Ready()):
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b""):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(nonsense)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        channel = await connect(path)
        assert channel is not None
        await channel.send(Hello("proxy", 1))
        assert await channel.receive() == Ready()
        channel.close()
    assert "no fproxy that can be taken over" in caplog.text


async def test_the_other_side_talking_nonsense_is_said(path: Path) -> None:
    make_private(path.parent)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK welcome\r\n")
        writer.close()

    server = await asyncio.start_unix_server(talk, path)
    async with server:
        channel = await connect(path)
        assert channel is not None
        with pytest.raises(TakeOverProtocolError, match="OK welcome"):
            await channel.receive()
        channel.close()
