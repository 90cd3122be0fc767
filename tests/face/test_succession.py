"""One proxy taking over from another: what the other one had is there before it serves, and nothing is lost."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from scripted_upstream import PATIENCE
from succession_stage import Stage, array

from fproxy.core import takeover_messages as messages
from fproxy.face.succession import take_over_folder, take_over_path
from fproxy.roles.resumption import EndedConnection, Follower
from fproxy.roles.settings import ServerSettings
from fproxy.shell import takeover_socket
from fproxy.shell.server import ServerStartError
from fproxy.shell.takeover_socket import TakeOverChannel, TakeOverOffer

pytestmark = pytest.mark.skipif(not takeover_socket.is_supported(), reason="Linux tells whose a process is")


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    log = logging.getLogger("fproxy")
    async with AsyncExitStack() as stack:
        made = Stage(stack, tmp_path / "run", monkeypatch)
        log.addHandler(made.said)
        monkeypatch.setattr(log, "level", logging.INFO)
        yield made
    log.removeHandler(made.said)


async def test_the_next_one_has_all_that_is_wanted_before_the_first_one_lets_anybody_go(stage: Stage) -> None:
    first = await stage.first()
    client = await stage.client("T.A,Q.*,100Ms.A")
    await first.firehose.send(array(1))
    await client.until(lambda: client.numbers == [1])
    second = await stage.program(take_over=True)
    second.firehose.delay = 0.2
    starting = asyncio.create_task(second.start())
    await second.firehose.until_subscribed("T.A", "Q.*")
    assert not first.proxy._hand_over.succeeded.is_set()  # type: ignore[union-attr]
    await first.firehose.send(array(2))
    await starting
    assert second.firehose.acknowledged >= {"T.A", "Q.*"}
    await second.firehose.send(array(3))  # which only the next one gets: the client is with neither now
    assert await client.until_closed() == 1012
    assert client.numbers == [1, 2]
    assert first.ending is not None
    assert await first.ending == 0
    await stage.until(lambda: second.served._history.next == 1)
    back = await stage.client("T.A")
    assert (await back.until_status("replayed"))["resumed"] is True
    await second.firehose.send(array(4))
    await back.until(lambda: back.numbers == [3, 4])
    await stage.next_offer()
    third = await stage.program(take_over=True)
    await third.start()
    assert await back.until_closed() == 1012


async def test_what_was_left_behind_before_is_handed_over_and_resumed_once(stage: Stage) -> None:
    first = await stage.first(resume_overlap=5.0)
    for key in ("gone", "back"):
        client = await stage.client("T.A", key=key)
        await client.connection.close()
        await client.connection.wait_closed()
    resumption = first.served._resumption
    left: asyncio.Queue[EndedConnection] = asyncio.Queue()
    resumption.follow(Follower(left.put_nowait, lambda number: None))
    async with asyncio.timeout(PATIENCE):
        assert {len((await left.get()).topics) for _ in range(2)} == {1}
    back = await stage.client("T.A", key="back")
    assert await back.until_status("replayed")
    second = await stage.program(take_over=True, resume_overlap=0.0)
    await second.start()
    assert await back.until_closed() == 1012
    for key in ("gone", "back"):
        again = await stage.client("T.A", key=key)
        assert (await again.until_status("replayed"))["resumed"] is True
        other = await stage.client("T.A", key=key)
        await second.firehose.send(array(7))
        await other.until(lambda: other.numbers)  # noqa: B023
        assert "replayed" not in [event.get("status") for event in other.received], "it is resumed once"


async def test_one_that_does_not_become_ready_changes_nothing(stage: Stage) -> None:
    first = await stage.first()
    client = await stage.client("T.A")
    second = await stage.program(take_over=True, time_limit=0.3, upstream=False)
    with pytest.raises(ServerStartError, match=r"was not ready within 0.3 s; process \d+ goes on serving"):
        await second.start()
    await stage.said.until("serving on as if nothing had happened")
    newcomer = await stage.client("T.A")
    await first.firehose.send(array(1))
    for each in (client, newcomer):
        await each.until(lambda: each.numbers == [1])  # noqa: B023
    third = await stage.program(take_over=True)
    await third.start()
    assert await client.until_closed() == 1012


async def test_the_first_ones_patience_ends_too(stage: Stage) -> None:
    program = await stage.first(time_limit=0.3)
    client = await stage.client("T.A")
    second = await stage.program(take_over=True, upstream=False)
    with pytest.raises(ServerStartError, match=r"refuses: it was not ready within 0.3 s"):
        await second.start()
    assert "serving on as if nothing had happened" in stage.said.text
    await program.firehose.send(array(1))
    await client.until(lambda: client.numbers == [1])


async def test_one_that_dies_on_the_way_changes_nothing(stage: Stage) -> None:
    first = await stage.first()
    client = await stage.client("T.A")
    for heard in range(3):
        channel = await takeover_socket.connect(stage.path)
        assert channel is not None
        await channel.send(messages.Hello("proxy", 1))
        if heard:
            await until(channel, messages.AllWanted)
        if heard > 1:
            await channel.send(messages.Ready())
            await until(channel, messages.Serve)
        channel.close()
        await stage.said.until("serving on as if nothing", heard + 1)
    newcomer = await stage.client()
    await first.firehose.send(array(1))
    await client.until(lambda: client.numbers == [1])
    assert newcomer.connection.close_code is None


async def until(channel: TakeOverChannel, wanted: type[messages.Message]) -> messages.Message:
    async with asyncio.timeout(PATIENCE):
        while not isinstance(message := await channel.receive(), wanted):
            pass
    return message


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (messages.encode(messages.Hello("firehose", 1)), "to take over a firehose, and this is a proxy"),
        (b"fpto" + struct.pack(">HI", 7, 0), "speaks version 7 of the take-over, this one 1"),
        (b"GET / HTTP/1.1\r\n\r\n", "no fproxy that can be taken over"),
        (b"fpto" + struct.pack(">HI", 1, 2**31), "are the most that is taken"),
        (
            messages.encode(messages.Hello("proxy", 1)) + messages.encode(messages.Done()),
            "Done at the wrong time",
        ),
    ],
)
async def test_others_are_answered_and_change_nothing(stage: Stage, said: bytes, wanted: str) -> None:
    await stage.first()
    reader, writer = await asyncio.open_unix_connection(stage.path)
    writer.write(said)
    frames = messages.FrameReader()
    async with asyncio.timeout(PATIENCE):
        while not isinstance(answer := frames.next(), messages.Refusal):
            if answer is None:
                data = await reader.read(4096)
                assert data, "it was not answered"
                frames.feed(data)
    assert wanted in answer.reason
    writer.close()
    await writer.wait_closed()
    await stage.client("T.A")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (b"220 mail.example ESMTP\r\n", "no fproxy that can be taken over: it says b'220 mail"),
        (b"fpto" + struct.pack(">HI", 7, 0), "speaks version 7"),
        (messages.encode(messages.Refusal("not today")), "it refuses: not today"),
        (messages.encode(messages.Welcome(1, "00", ())), "did not hand its listening socket over"),
    ],
)
async def test_something_else_at_the_socket_is_said(stage: Stage, said: bytes, wanted: str) -> None:
    stage.port = 1
    takeover_socket.make_private(stage.folder)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(talk, stage.path):
        program = await stage.program(take_over=True)
        with pytest.raises(ServerStartError, match="cannot take over from the process at") as raised:
            await program.start()
    assert wanted in str(raised.value)


async def test_one_that_dies_before_it_is_taken_over_is_replaced_all_the_same(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stage.port = listening.getsockname()[1]

        async def die_halfway(channel: TakeOverChannel) -> None:
            await until(channel, messages.Hello)
            welcome = messages.Welcome(1, "00", ("stocks/firehose",))
            await channel.send(welcome, with_socket=listening)
            await channel.send(messages.Wanted("stocks/firehose", ("T.A",)))

        offer = TakeOverOffer(stage.path, die_halfway)
        offer.start()
        program = await stage.program(take_over=True)
        await program.start()
        await offer.stop()
    assert "process 1 is gone before this process had all that it had" in stage.said.text
    await stage.client("T.A")


async def test_another_socket_than_the_service_managers_is_refused(stage: Stage) -> None:
    await stage.first()
    with socket.create_server(("127.0.0.1", 0)) as own:
        server = ServerSettings(port=stage.port, listening=own)
        program = await stage.program(take_over=True, server=server)
        with pytest.raises(ServerStartError, match="another socket than the one that LISTEN_FDS announces"):
            await program.start()


async def test_with_nobody_there_it_starts_as_usual(stage: Stage) -> None:
    program = await stage.program(take_over=True)
    await program.start()
    assert "nobody to take over from" in stage.said.text
    stage.port = program.proxy.port
    await stage.client("T.A")


async def test_who_is_just_connecting_is_not_refused(stage: Stage) -> None:
    first = await stage.first()
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(b"GET /stocks HTTP/1.1\r\nHost: localhost\r\n")
    await writer.drain()
    await stage.until(lambda: first.proxy._proxy._server.connections == 1)  # type: ignore[union-attr]
    second = await stage.program(take_over=True)
    await second.start()
    await stage.until(lambda: first.proxy._proxy._server._shared is None)  # type: ignore[union-attr]  # it stops
    writer.write(
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = b""
    async with asyncio.timeout(PATIENCE):
        while b"service restart" not in answer:
            piece = await reader.read(4096)
            assert piece, "a reset, and no close frame"
            answer += piece
    assert answer.startswith(b"HTTP/1.1 101 ")
    writer.close()
    await writer.wait_closed()


async def test_nobody_is_let_go_before_the_next_one_has_noted_what_it_leaves_behind(stage: Stage) -> None:
    first = await stage.first()
    client = await stage.client("T.A")
    channel = await serving_in_place(stage)
    left = await until(channel, messages.Ended)
    assert isinstance(left, messages.Ended)
    assert (left.market, left.topics, left.last) == ("stocks", ("T.A",), True)
    await first.firehose.send(array(1))
    await client.until(lambda: client.numbers == [1])
    await channel.send(messages.Kept("stocks", left.number))
    assert await client.until_closed() == 1012
    await until(channel, messages.Done)
    channel.close()


async def serving_in_place(stage: Stage) -> TakeOverChannel:
    """Take over by hand, as a process does that serves from now on."""
    channel = await takeover_socket.connect(stage.path)
    assert channel is not None
    await channel.send(messages.Hello("proxy", 1))
    await until(channel, messages.AllWanted)
    await channel.send(messages.Ready())
    await until(channel, messages.Serve)
    await channel.send(messages.Serving())
    return channel


async def test_the_next_one_gone_while_the_first_drains_costs_its_clients_no_more(stage: Stage) -> None:
    await stage.first(drain=0.2)
    clients = [await stage.client("T.A") for _ in range(4)]
    channel = await serving_in_place(stage)
    await until(channel, messages.Ended)
    channel.close()
    for client in clients:
        assert await client.until_closed() == 1012
    assert "has taken over, but is gone" in stage.said.text


def test_where_the_socket_is() -> None:
    assert take_over_folder("/run/x", {}) == Path("/run/x")
    assert take_over_folder(None, {"XDG_RUNTIME_DIR": "/run/user/7"}) == Path("/run/user/7/fproxy")
    assert take_over_folder(None, {}).name.startswith("fproxy-")
    folder = Path("/run")
    assert take_over_path(folder, "127.0.0.1", 8765) == Path("/run/127.0.0.1-8765.sock")
    names = {take_over_path(folder, host, 1).name for host in ("::1", "../::1", "a" * 300, "a" * 299)}
    assert len(names) == 4
    assert all("/" not in name and len(name) < 70 for name in names)
