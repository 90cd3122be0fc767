"""Clients that do not read as fast as they are written to: what becomes of them, and that no one else notices."""

import asyncio
import json
import logging
from contextlib import suppress

import pytest
from server_harness import (
    RawClient,
    RecordingRole,
    Server,
    joined_client,
    masked_frame,
    raw_client,
    serving,
    soon,
)

from fproxy.core.frames import text_frame
from fproxy.shell.client import Client
from fproxy.shell.client_limits import ClientLimits

LIMIT = 1 << 20
FRAME = text_frame(b'[{"ev":"T","sym":"A","padding":"%s"}]' % (b"x" * 65_000))
NEVER = 3600.0


def limits(*, max_unsent_bytes: int = LIMIT, close_timeout: float = NEVER) -> ClientLimits:
    return ClientLimits(max_unsent_bytes=max_unsent_bytes, close_timeout=close_timeout, ping_interval=0)


def overflow(client: Client) -> int:
    """Write to a client until it is closed for not reading; return how many frames were written."""
    written = 0
    while client.authenticated:
        client.write(FRAME)
        written += 1
    return written


async def stalled_client(server: Server, client: RawClient) -> Client:
    """Let a client join, and not read any more. Return the server's side of it."""
    await client.join()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    sink: Client = server.role.clients[-1]
    return sink


async def test_a_slow_client_gets_whole_messages_and_is_told_why_it_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(limits=limits()) as server, raw_client(server) as client:
        sink = await stalled_client(server, client)
        written = overflow(sink)
        unsent = sink.unsent_bytes
        assert unsent < 2 * len(FRAME), "the rest of one message, and the goodbye"
        assert server.backlog.bytes < 3 * len(FRAME)
        sink.write(FRAME)
        sink.send_status(b"[]")
        assert sink.unsent_bytes == unsent
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        received = 0
        while (message := (await client.frame())[1]) == FRAME[-len(FRAME) + 4 :]:
            received += 1
        assert LIMIT // len(FRAME) <= written - received <= LIMIT // len(FRAME) + 2
        [status] = json.loads(message)
        assert status["status"] == "slow_consumer"
        assert await client.close_frame() == (1008, "slow consumer")
        client.send(0x88, (1008).to_bytes(2))
        assert await client.ended()
        await server.emptied()
        assert server.role.calls == [("joined",), ("left",)]
        assert server.metric("slow_consumers_total", reason="bytes") == 1
        assert server.metric("backlog_bytes") == 0
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "disconnected as a slow consumer" in warning.getMessage()
    assert sink.peer in warning.getMessage()


async def test_the_role_hears_of_it_soon_but_not_from_within_a_write() -> None:
    async with serving(limits=limits()) as server, raw_client(server) as client:
        sink = await stalled_client(server, client)
        overflow(sink)
        assert server.role.count("left") == 0
        await server.role.wait_for("left")
        assert server.metric("clients") == 0


async def test_a_slow_client_that_never_reads_is_dropped() -> None:
    async with serving(limits=limits(close_timeout=0.02)) as server, raw_client(server) as client:
        overflow(await stalled_client(server, client))
        await server.emptied()
        assert server.role.calls == [("joined",), ("left",)]


async def test_a_client_that_closes_is_not_dropped_while_it_reads() -> None:
    # More than the kernel takes in one go.
    roomy = limits(max_unsent_bytes=64 << 20)
    async with serving(limits=roomy) as server, raw_client(server, limit=1 << 16) as client:
        sink = await stalled_client(server, client)
        while sink.unsent_bytes < 32 << 20:
            sink.write(FRAME)
        sink.close(1000, "")
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(3):
            unsent = sink.unsent_bytes
            while sink.unsent_bytes == unsent:
                await soon(client.reader.readexactly(1 << 16))
            sink.timer_expired()
            assert server.connections == 1
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(10):
            while server.connections:
                sink.timer_expired()
                await asyncio.sleep(0.01)
        assert server.metric("backlog_bytes") == 0


async def test_no_one_else_notices() -> None:
    async with (
        serving(limits=limits()) as server,
        raw_client(server) as slow,
        joined_client(server) as good,
        raw_client(server) as other_slow,
    ):
        sinks = [server.role.clients[0], await stalled_client(server, slow)]
        sinks.append(await stalled_client(server, other_slow))
        received = asyncio.create_task(count_messages(good))
        written = 0
        async with asyncio.timeout(10):
            while any(sink.authenticated for sink in sinks[1:]):
                for sink in sinks:
                    sink.write(FRAME)
                written += 1
                while sinks[0].unsent_bytes:  # noqa: ASYNC110 - the good client is to be quick, not lucky
                    await asyncio.sleep(0)
        assert sinks[0].authenticated
        sinks[0].close(1000, "")
        assert await soon(received) == written
        assert server.metric("slow_consumers_total", reason="bytes") == 2


async def count_messages(client: object) -> int:
    count = 0
    async for _ in client:  # type: ignore[attr-defined]
        count += 1
    return count


async def test_a_client_that_never_reads_its_replies_is_a_slow_client_too() -> None:
    small = ClientLimits(max_unsent_bytes=1 << 16, ping_interval=0)
    async with serving(limits=small) as server, raw_client(server) as client:
        await stalled_client(server, client)
        with suppress(ConnectionError):
            async with asyncio.timeout(20):
                while not server.role.count("left"):
                    client.send(0x81, b'{"action":"subscribe","params":"' + b"," * 40_000 + b'"}')
                    await asyncio.sleep(0)
        await server.role.wait_for("left")
        assert server.metric("slow_consumers_total", reason="bytes") == 1


async def test_pings_do_not_pile_up_pongs_for_a_client_that_is_closing() -> None:
    async with serving(limits=limits()) as server, raw_client(server) as client:
        sink = await stalled_client(server, client)
        overflow(sink)
        unsent = sink.unsent_bytes
        for _ in sink.take(100 * masked_frame(0x89, b"x" * 125)):
            pass
        assert sink.unsent_bytes == unsent


async def test_a_role_may_drop_its_clients_while_it_writes_to_them() -> None:
    role = RecordingRole()
    async with (
        serving(role, limits=limits()) as server,
        raw_client(server) as slow,
        raw_client(server) as other,
    ):
        members = {await stalled_client(server, slow), await stalled_client(server, other)}
        role.hooks["left"] = members.discard
        while any(member.authenticated for member in members):
            for member in members:
                member.write(FRAME)
        await role.wait_for("left", 2)
        assert members == set()
