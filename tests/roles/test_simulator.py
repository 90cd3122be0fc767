"""The simulator over real sockets, with the clock in the test's hand wherever the data is compared."""

import asyncio
import contextlib
import logging
import socket
import time
from typing import Any

import pytest
from massive import WebSocketClient  # type: ignore[import-untyped]
from massive.websocket.models import EquityAgg, EquityQuote, EquityTrade  # type: ignore[import-untyped]
from simulator_harness import (
    RATE,
    START,
    Clock,
    Event,
    decoded,
    events_until,
    market,
    receive,
    receive_events,
    send,
    settings,
    simulator,
    topic,
    vendor_client,
)
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from fproxy.metrics import Metrics
from fproxy.roles.settings import ServerSettings
from fproxy.roles.simulator import Simulator
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.server import ServerStartError

EVERY_TYPE = "T.*,Q.*,A.*,AM.*,LULD.*,FMV.*"


async def test_a_client_gets_all_that_happens_when_it_is_due() -> None:
    clock = Clock()
    async with simulator(clock) as simulated, vendor_client(simulated.port, EVERY_TYPE) as client:
        received: list[Event] = []
        for step in (1, 40, 300, 1_999, 700):
            clock.milliseconds += step
            expected = events_until(clock.milliseconds)
            received += await receive_events(client, len(expected) - len(received))
            assert received == expected
    assert {"T", "Q", "A", "FMV"} <= {event["ev"] for event in received}
    assert len(received) == pytest.approx(RATE * 3.04, rel=0.05)


async def test_clients_get_what_they_subscribed_to() -> None:
    clock = Clock()
    wanted = ["T.SPY,A.SPY,Q.AAPL", "Q.*", "AM.*,LULD.*,T.TSLA"]
    async with contextlib.AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(simulator(clock))
        clients = [
            await stack.enter_async_context(vendor_client(simulated.port, topics, key=f"key {number}"))
            for number, topics in enumerate(wanted)
        ]
        clock.milliseconds += 1_800
        everything = events_until(clock.milliseconds)
        for client, topics in zip(clients, wanted, strict=True):
            expected = [
                event
                for event in everything
                if topic(event) in topics.split(",") or f"{event['ev']}.*" in topics.split(",")
            ]
            assert expected
            assert await receive_events(client, len(expected)) == expected


async def test_nothing_of_a_topic_comes_after_its_unsubscription() -> None:
    clock = Clock()
    async with simulator(clock) as simulated, vendor_client(simulated.port, "T.SPY,T.TSLA") as client:
        clock.milliseconds += 500
        before = [event for event in events_until(clock.milliseconds) if topic(event) in ("T.SPY", "T.TSLA")]
        assert await receive_events(client, len(before)) == before
        assert await send(client, "unsubscribe", "T.SPY") == [
            {"ev": "status", "status": "success", "message": "unsubscribed to: T.SPY"}
        ]
        clock.milliseconds += 500
        both = [event for event in events_until(clock.milliseconds) if topic(event) == "T.TSLA"]
        after = [event for event in both if event not in before]
        assert await receive_events(client, len(after)) == after


async def test_the_market_goes_on_while_nobody_listens() -> None:
    # The market leaves out what it is more than 2 s late with: so each stretch is waited for, or is shorter.
    clock = Clock()
    async with simulator(clock) as simulated:
        clock.milliseconds += 1_900
        async with vendor_client(simulated.port, "T.SPY") as listener:
            clock.milliseconds += 100
            *_, latest = (event for event in events_until(clock.milliseconds) if topic(event) == "T.SPY")
            assert latest["t"] > START + 1_900
            while latest not in await receive(listener):
                pass
        clock.milliseconds += 500
        async with vendor_client(simulated.port, "A.*", key="another") as client:
            clock.milliseconds += 1_000
            expected = [
                event
                for event in events_until(clock.milliseconds)
                if event["ev"] == "A" and event["s"] == START + 2_000
            ]
            bars: list[Event] = []
            while expected[-1] not in bars:
                bars += [bar for bar in await receive(client) if bar["s"] == START + 2_000]
            assert bars == expected
    assert any(bar["av"] > bar["v"] for bar in expected)


async def test_one_connection_too_many_costs_the_account_its_oldest() -> None:
    clock = Clock()
    async with (
        simulator(clock) as simulated,
        vendor_client(simulated.port, "T.*", key="shared") as first,
        vendor_client(simulated.port, "T.*", key="other") as other,
        vendor_client(simulated.port, "T.*", key="shared") as second,
    ):
        [status] = await receive(first)
        assert status["ev"] == "status"
        assert status["status"] == "max_connections"
        assert status["message"].startswith("Maximum number of websocket connections exceeded. ")
        with pytest.raises(ConnectionClosedError) as closed:
            await first.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        clock.milliseconds += 300
        expected = [event for event in events_until(clock.milliseconds) if event["ev"] == "T"]
        assert await receive_events(second, len(expected)) == expected
        assert await receive_events(other, len(expected)) == expected


async def test_a_connection_that_has_left_does_not_count() -> None:
    clock = Clock()
    metrics = Metrics()
    async with simulator(clock, metrics) as simulated:
        for _ in range(3):
            async with vendor_client(simulated.port, "T.*"):
                pass
        async with vendor_client(simulated.port, "T.*") as client:
            clock.milliseconds += 300
            expected = [event for event in events_until(clock.milliseconds) if event["ev"] == "T"]
            assert await receive_events(client, len(expected)) == expected


@pytest.mark.parametrize("max_connections", [0, 3])
async def test_an_account_may_have_more_connections(max_connections: int) -> None:
    clock = Clock()
    async with contextlib.AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(simulator(clock, max_connections=max_connections))
        clients = [
            await stack.enter_async_context(vendor_client(simulated.port, "Q.SPY", key="shared"))
            for _ in range(3)
        ]
        clock.milliseconds += 300
        expected = [event for event in events_until(clock.milliseconds) if topic(event) == "Q.SPY"]
        for client in clients:
            assert await receive_events(client, len(expected)) == expected


async def test_configured_keys_are_the_only_ones() -> None:
    async with simulator(Clock(), client_keys=("right",)) as simulated:
        async with vendor_client(simulated.port, "T.SPY", key="right"):
            pass
        async with connect(f"ws://127.0.0.1:{simulated.port}/stocks", proxy=None) as client:
            await receive(client)
            assert await send(client, "auth", "wrong") == [
                {"ev": "status", "status": "auth_failed", "message": "authentication failed"}
            ]
            with pytest.raises(ConnectionClosedError):
                await client.recv()


async def test_a_client_of_the_plain_path_is_not_greeted() -> None:
    async with (
        simulator(Clock()) as simulated,
        connect(f"ws://127.0.0.1:{simulated.port}", proxy=None) as client,
    ):
        assert [status["status"] for status in await send(client, "auth", "any")] == ["auth_success"]


async def test_a_slow_reader_is_cut_off_and_others_lose_nothing() -> None:
    clock = Clock()
    metrics = Metrics()
    limits = ClientLimits(max_unsent_bytes=256 * 1024)
    async with (
        simulator(clock, metrics, rate=50_000.0, limits=limits) as simulated,
        vendor_client(simulated.port, EVERY_TYPE, key="reader") as reader,
    ):
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, ("127.0.0.1", simulated.port))
            # The greeting was sent, so what follows may be a burst: a handshake and two masked messages.
            await loop.sock_sendall(slow, HANDSHAKE + masked(AUTH) + masked(SUBSCRIBE))
            head = b""
            while b"subscribed to: Q.*" not in head:
                head += await loop.sock_recv(slow, 4_096)
            oracle = market(50_000.0)
            while metrics.registry.get_sample_value("fproxy_slow_consumers_total", SLOW) == 0:
                clock.milliseconds += 40
                expected = decoded(oracle.advance(clock.milliseconds))
                assert await receive_events(reader, len(expected)) == expected
            rest = b""
            while not rest.endswith(b"\x03\xf0slow consumer"):  # the close frame: 1008 and the reason
                data = await loop.sock_recv(slow, 1 << 20)
                assert data
                rest += data
        assert b'"slow_consumer"' in rest


SLOW = {"reason": "bytes", "market": "stocks"}
HANDSHAKE = (
    b"GET /stocks HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
AUTH = b'{"action":"auth","params":"slow"}'
SUBSCRIBE = b'{"action":"subscribe","params":"T.*,Q.*"}'


def masked(message: bytes) -> bytes:
    """Return a short message as a client's text frame, masked with zeros."""
    assert len(message) < 126
    return bytes([0x81, 0x80 | len(message)]) + bytes(4) + message


async def test_flat_out_the_market_runs_ahead_of_the_clock_at_the_readers_pace() -> None:
    limits = ClientLimits(max_unsent_bytes=256 * 1024)
    async with (
        simulator(Clock(), rate=0.0, limits=limits) as simulated,
        vendor_client(simulated.port, EVERY_TYPE) as client,
    ):
        received = await receive_events(client, 30_000)
    assert received[-1].get("t", 0) > START + 250  # 30,000 events are 300 ms of market time
    assert decoded(market(100_000.0).advance(START + 1_000))[: len(received)] == received


async def test_time_that_was_slept_through_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    caplog.set_level(logging.WARNING, "fproxy.simulator")
    async with simulator(clock) as simulated, vendor_client(simulated.port, "T.*,A.*") as client:
        clock.milliseconds += 100
        trades = [event for event in events_until(clock.milliseconds) if event["ev"] == "T"]
        assert await receive_events(client, len(trades)) == trades
        clock.milliseconds += 7_200_000
        bars = await receive(client)
        assert {bar["s"] for bar in bars} == {START}
        clock.milliseconds += 500
        later = await receive(client)
        assert all(event["t"] >= START + 7_200_100 for event in later)
    assert [record.getMessage() for record in caplog.records] == [
        "Left out 7200000 ms of the market: this machine does not make 3000 events/s, or it was asleep"
    ]


async def test_the_official_client_runs_against_it() -> None:
    async with simulator(time.time) as simulated:
        client = WebSocketClient(
            "any key",
            feed=f"127.0.0.1:{simulated.port}",
            market="stocks",
            secure=False,
            subscriptions=["T.SPY", "Q.SPY", "A.*"],
        )
        received: asyncio.Queue[Any] = asyncio.Queue()

        async def put(messages: list[Any]) -> None:
            for message in messages:
                received.put_nowait(message)

        task = asyncio.create_task(client.connect(put, proxy=None))
        try:
            kinds: dict[type, list[Any]] = {EquityTrade: [], EquityQuote: [], EquityAgg: []}
            while not all(kinds.values()):
                message = await received.get()
                kinds[type(message)].append(message)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    trade = kinds[EquityTrade][0]
    assert trade.symbol == "SPY"
    assert trade.price > 0
    assert float(trade.fractional_shares) > 0
    quote = kinds[EquityQuote][0]
    assert quote.bid_price < quote.ask_price
    bar = kinds[EquityAgg][0]
    assert bar.low <= bar.open <= bar.high
    assert bar.end_timestamp - bar.start_timestamp == 1_000


async def test_stopping_closes_clients_with_going_away() -> None:
    simulated = Simulator(settings(), Metrics(), clock=Clock())
    await simulated.start()
    async with vendor_client(simulated.port, "T.*") as client:
        await asyncio.gather(simulated.stop(), client.wait_closed())
        assert client.close_code == 1012
    await simulated.stop()


async def test_a_port_in_use_is_said() -> None:
    async with simulator(Clock()) as simulated:
        second = Simulator(settings(server=ServerSettings(port=simulated.port)), Metrics(), clock=Clock())
        with pytest.raises(ServerStartError, match=f"port {simulated.port} "):
            await second.start()
        await second.stop()


@pytest.mark.parametrize(("setting", "value"), [("rate", -1.0), ("symbols", 0), ("symbols", 10_000)])
def test_a_setting_out_of_range_is_refused(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        Simulator(settings(**{setting: value}), Metrics())
