"""What waits for clients that lag: kept once for all, in order, bounded in bytes and in age, given back."""

import asyncio
import gc
import random
import ssl
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest
import trustme
from server_harness import serving, soon
from stalled_clients import limits, listening, read_again, serving_slowly, stalled, until

from fproxy._fastpath import Fanout
from fproxy._socket_writer import TRANSPORT_BYTES, BacklogPool, SocketWriter
from fproxy.core.frames import text_frame
from fproxy.core.topics import parse_topic
from fproxy.shell import lag_watch

EVENT = b'{"ev":"T","sym":"A","i":%d,"padding":"' + b"x" * 2_000 + b'"}'


async def test_what_waits_for_many_is_kept_once_and_each_gets_all_of_it() -> None:
    async with serving_slowly() as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(stalled(server)) for _ in range(8)]
        fanout = Fanout()
        for _, sink in clients:
            fanout.subscribe(fanout.add_client(sink.sink), [parse_topic("T.A")])
        for number in range(1_000):
            fanout.feed(0, EVENT % number)
            fanout.flush()
            if number % 200 == 0:
                clients[number // 200][1].send_status(b"[]")  # what only one of them gets
        waiting = max(sink.unsent_bytes for _, sink in clients)
        assert waiting > 1_000_000
        assert server.metric("lagging_clients") == 8
        assert server.metric("backlog_waiting_bytes") > 6 * waiting
        assert server.metric("backlog_bytes") < 1.3 * waiting
        for index, (client, _) in enumerate(clients):
            read_again(client)
            told = 0
            for number in range(1_000):
                assert (await client.frame())[1] == b"[%s]" % (EVENT % number)
                if number % 200 == 0 and number // 200 == index:
                    assert (await client.frame())[1] == b"[]"
                    told += 1
            assert told == (index < 5)
        await until(lambda: server.metric("lagging_clients") == 0)
        assert server.metric("backlog_bytes") == 0


async def test_when_memory_is_short_the_oldest_backlog_goes_first_and_the_others_stay() -> None:
    async with (
        serving_slowly(max_backlog=4 << 20) as server,
        stalled(server) as (first, oldest),
        stalled(server) as (_, younger),
        stalled(server) as (_, youngest),
    ):
        frame = text_frame(b"y" * 100_000)
        for client in (oldest, younger, youngest):
            while client.unsent_bytes < 1 << 20:
                client.write(frame)
            await asyncio.sleep(0.02)  # older than the next by more than the clock's steps
        while oldest.authenticated:
            youngest.write(frame)
            assert server.backlog.bytes <= (4 << 20) + 2 * len(frame)
            assert younger.authenticated
            assert youngest.authenticated
        assert server.metric("slow_consumers_total", reason="memory") == 1
        assert oldest.unsent_bytes <= 2 * len(frame)
        read_again(first)
        assert await first.close_frame() == (1008, "slow consumer")


@pytest.mark.parametrize("changes", [{"max_unsent_bytes": 1 << 20}, {"max_backlog": 1 << 20}])
async def test_many_clients_that_are_too_slow_at_once_are_told_so_in_steps(changes: dict[str, int]) -> None:
    count = 50
    async with serving_slowly(**changes) as server, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(stalled(server)) for _ in range(count)]
        fanout = Fanout()
        for _, sink in clients:
            fanout.subscribe(fanout.add_client(sink.sink), [parse_topic("T.A")])

        def feed(events: int) -> None:
            for number in range(events):
                fanout.feed(0, EVENT % number)
                fanout.flush()

        def unsent() -> list[int]:
            return [sink.unsent_bytes for _, sink in clients if not sink.closing]

        while all(sink.authenticated for _, sink in clients):
            feed(1)
        feed(300)  # the kernel has not taken as much for each
        assert count / 2 < len(unsent()) < count, "the others are told in the next turns of the loop"
        assert server.backlog.waiting_bytes < 1 << 20, (
            "whoever is told, all but the rests of frames is given up"
        )
        before = unsent()
        feed(20)
        assert unsent() == before
        await server.role.wait_for("left", count)
        assert (
            sum(server.metric("slow_consumers_total", reason=each) for each in ("bytes", "memory")) == count
        )
        for client, _ in clients:
            read_again(client)
            assert await client.close_frame() == (1008, "slow consumer")


async def test_a_client_in_the_middle_of_a_long_message_is_dropped_without_a_goodbye() -> None:
    async with serving_slowly(max_unsent_bytes=1 << 20) as server, stalled(server) as (client, sink):
        sink.write(text_frame(b"m" * (3 << 20)))
        assert server.backlog.bytes == 0
        await server.emptied()
        read_again(client)
        assert await client.ended()


async def test_when_even_the_goodbyes_take_too_much_they_go() -> None:
    async with serving_slowly(max_backlog=1) as server, stalled(server) as (client, sink):
        while sink.authenticated:
            sink.write(text_frame(b"z" * 10_000))
        assert server.backlog.bytes == 0
        read_again(client)
        assert await client.ended()
        await server.emptied()
        assert server.metric("slow_consumers_total", reason="memory") == 1


async def test_a_client_that_lags_for_too_long_is_cut_off_however_little_waits() -> None:
    async with (
        serving_slowly(max_lag=0.05) as server,
        stalled(server) as (client, sink),
        stalled(server) as (reading_client, reading),
    ):
        read_again(reading_client)
        draining = asyncio.create_task(reading_client.ended())
        while sink.authenticated:
            if not sink.unsent_bytes:
                sink.write(text_frame(b"w" * 1_000))
                reading.write(text_frame(b"w" * 1_000))
            assert sink.unsent_bytes < 10_000
            await asyncio.sleep(0)
        await server.role.wait_for("left")
        assert server.metric("slow_consumers_total", reason="lag") == 1
        assert reading.authenticated
        read_again(client)
        assert await client.close_frame() == (1008, "slow consumer")
        draining.cancel()


async def test_a_pool_lives_as_long_as_a_writer_that_the_garbage_collector_takes_apart() -> None:
    transport, loop = FullTransport(), asyncio.get_running_loop()
    for _ in range(5):
        pool = BacklogPool(max_bytes=1 << 20)
        # Made before what it forms a cycle with, and so the first that is taken apart.
        writer = SocketWriter.__new__(SocketWriter, transport, pool)
        writer.__init__(  # type: ignore[misc]
            transport, pool, loop=loop, max_bytes=1 << 20, too_slow=lambda _, cycle=writer: None
        )
        writer.write(text_frame(b"waits"))
        assert pool.lagging == 1
        del pool, writer
        gc.collect()


class FullTransport(asyncio.Transport):
    """Takes nothing."""

    def get_write_buffer_size(self) -> int:
        return TRANSPORT_BYTES


async def test_lag_is_that_of_what_still_waits() -> None:
    async with serving_slowly() as server, stalled(server) as (client, sink):
        assert server.backlog.lag == 0
        while sink.unsent_bytes < 1 << 20:
            sink.write(text_frame(b"v" * 10_000))
        await until(lambda: server.backlog.lag >= 0.3)
        sink.write(text_frame(b"the last"))
        read_again(client)
        while (await client.frame())[1] != b"the last":
            pass
        await until(lambda: server.backlog.lag == 0)


async def test_a_client_that_sends_no_more_still_gets_what_waits() -> None:
    async with serving_slowly() as server, stalled(server) as (client, sink):
        for number in range(200):
            sink.write(text_frame(b"%d" % number + b"u" * 10_000))
        client.writer.write_eof()
        await server.role.wait_for("left")
        assert sink.unsent_bytes > 1 << 20
        read_again(client)
        for number in range(200):
            assert (await client.frame())[1] == b"%d" % number + b"u" * 10_000
        assert await client.ended()
        await server.emptied()


async def test_a_close_comes_behind_what_waits() -> None:
    async with serving_slowly() as server, stalled(server) as (client, sink):
        for number in range(200):
            sink.write(text_frame(b"%d" % number + b"t" * 10_000))
        sink.close(1012, "service restart")
        read_again(client)
        for number in range(200):
            assert (await client.frame())[1] == b"%d" % number + b"t" * 10_000
        assert await client.close_frame() == (1012, "service restart")


async def test_a_client_that_breaks_off_gives_its_backlog_back() -> None:
    async with serving_slowly() as server, stalled(server) as (client, sink):
        while sink.unsent_bytes < 1 << 20:
            sink.write(text_frame(b"s" * 10_000))
        client.writer.transport.abort()
        await server.emptied()
        assert server.backlog.bytes == 0
        assert server.backlog.lagging == 0
        sink.write(text_frame(b"too late"))
        assert server.backlog.bytes == 0


async def test_memory_that_a_burst_took_is_ready_for_the_next_and_goes_back_when_it_is_not_needed() -> None:
    async with serving_slowly() as server:
        for _ in range(2):
            async with stalled(server) as (_, sink):
                while sink.unsent_bytes < 10 << 20:
                    sink.write(text_frame(b"q" * 60_000))
            await server.emptied()
            assert server.backlog.bytes == 0
            assert server.backlog.spare_bytes > 9 << 20
            server.backlog.look_at_use()
            assert not server.backlog.tidy(), "it was needed just now"
            assert server.backlog.spare_bytes > 9 << 20
        server.backlog.look_at_use()
        steps = [server.backlog.spare_bytes]
        while server.backlog.tidy():
            steps.append(server.backlog.spare_bytes)
        assert all(before - after <= 4 << 20 for before, after in pairwise(steps)), "in steps"
        assert len(steps) > 2
        assert server.backlog.spare_bytes == 1 << 20


async def test_of_memory_that_is_to_go_back_what_is_needed_after_all_stays() -> None:
    async with serving_slowly() as server:
        async with stalled(server) as (_, sink):
            while sink.unsent_bytes < 10 << 20:
                sink.write(text_frame(b"r" * 60_000))
        await server.emptied()
        server.backlog.look_at_use()
        server.backlog.look_at_use()
        async with stalled(server) as (_, sink):
            while sink.unsent_bytes < 6 << 20:
                sink.write(text_frame(b"s" * 60_000))
            while server.backlog.tidy():
                pass
            assert server.backlog.spare_bytes == 1 << 20
        await server.emptied()
        assert server.backlog.spare_bytes > 6 << 20


async def test_memory_is_given_back_while_clients_may_lag_for_any_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lag_watch, "TIDYING_INTERVAL", 0.01)
    async with serving_slowly(max_lag=0) as server:
        async with stalled(server) as (_, sink):
            while sink.unsent_bytes < 2 << 20:
                sink.write(text_frame(b"p" * 60_000))
        await until(lambda: server.backlog.spare_bytes == 1 << 20)


async def test_memory_that_is_kept_ready_is_never_more_than_the_limit_leaves() -> None:
    async with serving_slowly(max_backlog=4 << 20) as server:
        async with stalled(server) as (_, sink):
            while sink.unsent_bytes < 3 << 20:
                sink.write(text_frame(b"o" * 60_000))
        await server.emptied()
        assert server.backlog.spare_bytes > 2 << 20
        async with stalled(server) as (_, sink):
            while sink.unsent_bytes < 3 << 20:
                sink.write(text_frame(b"n" * 500_000))  # in blocks of their own
                assert server.backlog.bytes + server.backlog.spare_bytes <= 4 << 20
            assert sink.authenticated


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_a_client_reads_when_the_bytes_are_those_that_were_written(
    secure: bool, seed: int
) -> None:
    chance = random.Random(seed)
    authority, options = trustme.CA(), {}
    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        options = {"ssl": trusting}
    async with (
        serving(limits=limits(), listening=listening(), ssl_context=context) as server,
        stalled(server, **options) as (client, sink),
        stalled(server, **options) as (other_client, other),
    ):
        fanout = Fanout()
        for each in (sink, other):
            fanout.subscribe(fanout.add_client(each.sink), [parse_topic("T.A")])
        read_again(other_client)
        others = asyncio.create_task(other_client.ended())
        written: list[bytes] = []
        received: list[bytes] = []
        for number in range(600):
            match chance.randrange(4):
                case 0:
                    sink.write(text_frame(written_now := b"%d" % number + b"r" * chance.randrange(30_000)))
                    written.append(written_now)
                case 1 | 2:
                    fanout.feed(0, EVENT % number)
                    fanout.flush()
                    written.append(b"[%s]" % (EVENT % number))
                case 3:
                    read_again(client)
                    for _ in range(min(chance.randrange(6), len(written) - len(received))):
                        received.append((await client.frame())[1])
                    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while sink.unsent_bytes < 100_000:  # it lags now, if it did not before
            fanout.feed(0, EVENT % len(written))
            fanout.flush()
            written.append(b"[%s]" % (EVENT % len(written)))
        read_again(client)
        while len(received) < len(written):
            received.append((await client.frame())[1])
        assert received == written
        sink.close(1000, "")
        other.close(1000, "")
        await client.close_frame()
        client.send(0x88, b"")
        other_client.send(0x88, b"")
        await soon(others)
