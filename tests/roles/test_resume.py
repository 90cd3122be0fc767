"""Clients that come back: with ``--resume`` they are brought what they missed, without asking for it."""

import asyncio
import json
import socket

from scripted_upstream import PATIENCE
from test_since import array, client_of, system, trade
from websockets.frames import Frame, Opcode

from fproxy.core.client_key import ClientKey, key_digest
from fproxy.roles.settings import ServerSettings


async def test_a_client_that_comes_back_is_brought_what_it_missed() -> None:
    async with system(resume=True) as (proxy, firehose, _), client_of(proxy, "T.*") as watcher:
        await firehose.until_subscribed("T.*")
        async with client_of(proxy, "T.A", key="ours") as client:
            await firehose.send(array(trade("A", 1), trade("B", 2)))
            await client.until(lambda: client.numbers == [1])
        await firehose.send(array(trade("A", 3), trade("B", 4)))
        await firehose.send(array(trade("A", 5)))
        await watcher.until(lambda: 5 in watcher.numbers)
        async with client_of(proxy, key="ours") as client, client_of(proxy, key="ours") as second:
            await client.ask("subscribe", "T.A,T.B")
            told = await client.until_status("replayed")
            assert client.numbers == [1, 3, 5], "its own topics, with what lies in the overlap"
            assert (told["count"], told["resumed"]) == (3, True)
            await second.ask("subscribe", "T.A")
            await second.until_status("success")
            await firehose.send(array(trade("A", 6), trade("B", 7)))
            await client.until(lambda: 7 in client.numbers)
            await second.until(lambda: second.numbers)
            assert client.numbers == [1, 3, 5, 6, 7]
            assert second.numbers == [6], "the connection that ended is resumed once"


async def test_nobody_resumes_what_was_of_another_key() -> None:
    async with system(resume=True) as (proxy, firehose, _), client_of(proxy, "T.*") as watcher:
        await firehose.until_subscribed("T.*")
        async with client_of(proxy, "T.A", key="theirs"):
            pass
        await firehose.send(array(trade("A", 1)))
        await watcher.until(lambda: watcher.numbers)
        async with client_of(proxy, key="ours") as client:
            await client.ask("subscribe", "T.A")
            await client.until_status("success")
            await firehose.send(array(trade("A", 2)))
            await client.until(lambda: client.numbers)
            assert client.numbers == [2]


async def test_a_wildcard_covers_the_symbols_that_are_asked_for_later() -> None:
    async with system(resume=True) as (proxy, firehose, _), client_of(proxy, "T.*") as watcher:
        await firehose.until_subscribed("T.*")
        async with client_of(proxy, "T.*", key="ours"):
            pass
        await firehose.send(array(trade("A", 1), trade("B", 2)))
        await watcher.until(lambda: watcher.numbers)
        async with client_of(proxy, key="ours") as client:
            for topic in ("T.A", "T.B"):  # as some programs do: a message each
                await client.ask("subscribe", topic)
            await client.until(lambda: client.statuses.count("replayed") == 2)
            assert client.numbers == [1, 2]


async def test_what_never_reached_the_client_is_brought_however_long_ago_it_was_sent() -> None:
    """Without an overlap only the acknowledgements of the client's machine tell what it has got."""
    async with system(resume=True, resume_overlap=0.0) as (proxy, firehose, _):
        async with client_of(proxy, "T.*") as watcher:
            await firehose.until_subscribed("T.*")
            loop = asyncio.get_running_loop()
            stalled = socket.socket()
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.setblocking(False)
            await loop.sock_connect(stalled, ("127.0.0.1", proxy.port))
            request = (
                f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{proxy.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await loop.sock_sendall(stalled, request.encode())
            for message in (
                {"action": "auth", "params": "ours"},
                {"action": "subscribe", "params": "T.A"},
            ):
                await loop.sock_sendall(
                    stalled, Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)
                )
            head = b""
            async with asyncio.timeout(PATIENCE):
                while b"subscribed to: T.A" not in head:
                    head += await loop.sock_recv(stalled, 4096)
            count = 60_000
            for first in range(0, count, 1000):
                await firehose.send(array(*(trade("A", number) for number in range(first, first + 1000))))
            await watcher.until(lambda: len(watcher.numbers) == count)
            stalled.close()
            await firehose.send(array(trade("A", count)))
            await watcher.until(lambda: watcher.numbers[-1] == count)
        async with client_of(proxy, key="ours") as client:
            await client.ask("subscribe", "T.A")
            assert (await client.until_status("replayed"))["complete"] is True
            assert client.numbers == list(range(client.numbers[0], count + 1))
            assert client.numbers[0] <= 4_000, "more than that fits no buffer of the client's"


async def test_without_the_setting_nothing_is_resumed() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as watcher:
        await firehose.until_subscribed("T.*")
        async with client_of(proxy, "T.A"):
            pass
        await firehose.send(array(trade("A", 1)))
        await watcher.until(lambda: watcher.numbers)
        async with client_of(proxy) as client:
            await client.ask("subscribe", "T.A")
            await client.until_status("success")
            await firehose.send(array(trade("A", 2)))
            await client.until(lambda: client.numbers)
            assert client.numbers == [2]


async def test_a_key_that_is_not_to_be_resumed_gets_what_is_live() -> None:
    key = ClientKey(name="ours", digest=key_digest("ours"), resume=False)
    settings = ServerSettings(port=0, client_keys=("any",), named_keys=(key,))
    async with (
        system(resume=True, server=settings) as (proxy, firehose, _),
        client_of(proxy, "T.*") as watcher,
    ):
        await firehose.until_subscribed("T.*")
        async with client_of(proxy, "T.A", key="ours"):
            pass
        await firehose.send(array(trade("A", 1)))
        await watcher.until(lambda: watcher.numbers)
        async with client_of(proxy, key="ours") as client:
            await client.ask("subscribe", "T.A")
            await client.until_status("success")
            await firehose.send(array(trade("A", 2)))
            await client.until(lambda: client.numbers)
            assert client.numbers == [2]
