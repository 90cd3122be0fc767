"""The ms-aggregator as its users meet it: a firehose before it, real clients, real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from bar_text import bar_of
from massive import WebSocketClient
from scripted_upstream import PATIENCE, ScriptedUpstream, is_notice, until_up
from websockets.asyncio.client import ClientConnection, connect

from fproxy.metrics import Metrics
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.settings import AggregatorSettings
from fproxy.shell.upstream import UpstreamOptions

KEY = "kEy-1f07"
WIDTH = 9_000
"""The width of most windows here, in milliseconds. Trades that come one by one are as far apart: so far that however
slow the machine is, the clock does not close a window before the trades in it have come; and no further, for a trade
that is further ahead of the others is not believed at once."""

START = 1_736_503_830_000
"""The beginning of a window of that width, and of one five times as wide."""

NINE = f"{WIDTH}Ms"
WIDE = f"{5 * WIDTH}Ms"


def trade(symbol: str, time: int, price: str = "150.20", size: int = 100, conditions: str = "") -> str:
    return f'{{"ev":"T","sym":"{symbol}","x":4,"p":{price},"s":{size},"t":{time},"q":1{conditions}}}'


def nth(index: float) -> int:
    """The beginning of a window, counted from the first."""
    return START + int(index * WIDTH)


def message(*events: str) -> bytes:
    return f"[{','.join(events)}]".encode()


class Client:
    """A client that keeps everything in order: data as text, statuses apart."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.received: list[dict[str, Any]] = []
        self.notices: list[dict[str, Any]] = []

    async def send(self, action: str, params: str, **more: Any) -> None:
        await self.connection.send(json.dumps({"action": action, "params": params, **more}))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while not self.received:
                for event in json.loads(await self.connection.recv()):
                    is_aside = is_notice(event) or event.get("status") == "replayed"
                    (self.notices if is_aside else self.received).append(event)
        return self.received.pop(0)

    async def take(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]

    async def bars(self, count: int) -> list[tuple[str, str, int]]:
        """The next events, which are bars: interval, symbol and start of each."""
        return [(bar["ev"], bar["sym"], bar["s"]) for bar in await self.take(count)]

    async def subscribe(self, *topics: str, **more: Any) -> None:
        await self.send("subscribe", ",".join(topics), **more)
        for topic in topics:
            assert (await self.next())["message"] == f"subscribed to: {topic}"


class System:
    """An aggregator behind a scripted firehose."""

    def __init__(self, firehose: ScriptedUpstream, **settings: Any) -> None:
        self.firehose = firehose
        self.metrics = Metrics()
        self.aggregator = Aggregator(
            AggregatorSettings(
                server=replace(AggregatorSettings().server, port=0, client_keys=(KEY,)),
                upstream=UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02, auth_wait=0.05),
                firehose_url=firehose.url,
                polygon_api_key="upstream-key",
                **{"unsubscribe_linger": 0.0, "bar_delay_ms": 0.0, **settings},
            ),
            self.metrics,
        )

    def count(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(f"fproxy_{name}", {"market": "stocks"})
        assert value is not None
        return value

    async def client(self, *topics: str, path: str = "") -> Client:
        connection = await connect(f"ws://127.0.0.1:{self.aggregator.port}{path}")
        client = Client(connection)
        await client.send("auth", KEY)
        assert (await client.next())["status"] == "auth_success"
        if topics:
            await client.subscribe(*topics)
        return client

    async def trades(self, *events: str) -> None:
        await self.firehose.send(message(*events))

    async def begin(self, *topics: str) -> None:
        """Wait until topics are asked for, and let the trade come that windows after it are whole by."""
        await self.firehose.until_subscribed(*topics)
        await self.trades(trade("AAPL", nth(-1)))


@asynccontextmanager
async def running(
    *, answers: bool = True, refuses: tuple[str, ...] = (), **settings: Any
) -> AsyncIterator[System]:
    async with ScriptedUpstream(answers=answers, refuses=refuses) as firehose:
        system = System(firehose, **settings)
        await system.aggregator.start()
        try:
            await firehose.until(lambda: firehose.messages)
            yield system
        finally:
            await system.aggregator.stop()


@pytest.fixture
async def system() -> AsyncIterator[System]:
    async with running() as system:
        yield system


async def test_bars_are_made_of_the_trades_that_are_asked_for(system: System) -> None:
    client = await system.client(f"{NINE}.AAPL", f"{WIDE}.AAPL")
    await system.begin("T.AAPL")
    assert system.firehose.topics == {"T.AAPL"}
    await system.trades(
        trade("AAPL", nth(0), "150.20", 100),
        trade("MSFT", nth(0), "1.5"),
        trade("AAPL", nth(0.5), "150.25", 300, ',"ds":"300.5"'),
        trade("AAPL", nth(1), "150.10", 7, ',"c":[37]'),
        *(trade("AAPL", nth(i), "150.10", 7, ',"c":[15]') for i in range(2, 6)),
    )
    assert await client.take(2) == [
        bar_of("AAPL", WIDTH, START, o=150.2, h=150.25, l=150.2, c=150.25, v=400.5, vw=150.2375, n=2),
        bar_of("AAPL", 5 * WIDTH, START, o=150.2, h=150.25, l=150.2, c=150.25, v=407.5, vw=150.2352, n=3),
    ]


async def test_a_bar_is_sent_by_the_clock_when_no_trade_comes(system: System) -> None:
    client = await system.client("50Ms.AAPL")
    await system.firehose.until_subscribed("T.AAPL")
    await system.trades(trade("AAPL", START), trade("AAPL", START + 50))
    assert await client.bars(1) == [("50Ms", "AAPL", START + 50)]


async def test_a_wildcard_brings_every_symbol(system: System) -> None:
    client = await system.client(f"{NINE}.*")
    await system.begin("T.*")
    await system.trades(trade("MSFT", nth(0)), trade("BRK.B", nth(0) + 1), trade("AAPL", nth(1)))
    assert await client.bars(2) == [(NINE, "MSFT", nth(0)), (NINE, "BRK.B", nth(0))]


async def test_native_bars_are_forwarded_as_they_came_and_nothing_else_is(system: System) -> None:
    native = '{"ev":"A","sym":"AAPL","v":200,"vw":25.39810,"s":1610144868000,"e":1610144869000}'
    minute = '{"ev":"AM","sym":"MSFT","v":200,"vw":25.4,"s":1610144860000,"e":1610144920000}'
    foreign = f'{{"ev":"{NINE}","sym":"AAPL","s":1,"e":9001}}'
    client = await system.client("A.AAPL", "AM.*", f"{NINE}.AAPL")
    everything = await system.client("*")
    await system.firehose.until_subscribed("A.AAPL", "AM.*", "T.AAPL", "A.*")
    await system.trades(trade("AAPL", START), foreign, native, native.replace("AAPL", "IBM"), minute)
    async with asyncio.timeout(PATIENCE):
        assert await client.connection.recv(decode=False) == message(native, minute)
    assert [event["sym"] for event in await everything.take(3)] == ["AAPL", "IBM", "MSFT"]


async def test_what_is_not_served_is_refused(system: System) -> None:
    client = await system.client()
    await client.send("subscribe", f"T.AAPL,{NINE}.AAPL,T.AAPL")
    refused = ("error", "not served by an ms-aggregator: T.AAPL")
    assert [(status["status"], status["message"]) for status in await client.take(3)] == [
        refused,
        ("success", f"subscribed to: {NINE}.AAPL"),
        refused,
    ]
    await system.begin("T.AAPL")
    await system.trades(trade("AAPL", nth(0)), trade("AAPL", nth(1)))
    assert await client.bars(1) == [(NINE, "AAPL", nth(0))]


async def test_too_many_intervals_are_refused(system: System) -> None:
    client = await system.client()
    await client.subscribe(*(f"{interval}Ms.AAPL" for interval in range(1, 257)))
    await client.send("subscribe", "257Ms.AAPL,1Ms.AAPL")
    error, success = await client.take(2)
    assert error["status"] == "error"
    assert error["message"].endswith(": 257Ms.AAPL")
    assert success["message"] == "subscribed to: 1Ms.AAPL"


async def test_a_refusal_upstream_reaches_those_whose_bars_it_ends() -> None:
    async with running(refuses=("T.AAPL",)) as system:
        client = await system.client(f"{NINE}.AAPL")
        status = await client.next()
        assert (status["status"], status["message"]) == ("error", "not authorized: T.AAPL")


async def test_subscribing_half_way_brings_the_window_whole(system: System) -> None:
    one = await system.client(f"{NINE}.AAPL")
    await system.begin("T.AAPL")
    await system.trades(trade("AAPL", nth(0)), trade("AAPL", nth(1)))
    assert await one.bars(1) == [(NINE, "AAPL", nth(0))]
    other = await system.client(f"{WIDE}.AAPL")
    await system.trades(*(trade("AAPL", nth(i)) for i in range(2, 6)))
    bar = await other.next()
    assert (bar["ev"], bar["s"], bar["n"], bar["v"]) == (WIDE, START, 5, 500)


async def test_since_replays_closed_bars_behind_the_acknowledgement_and_before_live_ones(
    system: System,
) -> None:
    one = await system.client(f"{NINE}.AAPL")
    await system.begin("T.AAPL")
    await system.trades(*(trade("AAPL", nth(i)) for i in range(6)))
    assert len(await one.bars(5)) == 5
    other = await system.client()
    await other.subscribe(f"{NINE}.AAPL", since=nth(2) + 1)
    assert await other.bars(3) == [(NINE, "AAPL", nth(i)) for i in (2, 3, 4)]
    await system.trades(trade("AAPL", nth(6)))
    assert await other.bars(1) == await one.bars(1) == [(NINE, "AAPL", nth(5))]


async def test_since_for_all_symbols_and_for_what_is_subscribed_already(system: System) -> None:
    client = await system.client(f"{NINE}.*")
    await system.begin("T.*")
    await system.trades(trade("AAPL", nth(0)), trade("MSFT", nth(0.5)), trade("AAPL", nth(1)))
    expected = [(NINE, "AAPL", nth(0)), (NINE, "MSFT", nth(0))]
    assert await client.bars(2) == expected
    await client.subscribe(f"{NINE}.*", since=0)
    assert await client.bars(2) == expected
    await system.trades(trade("AAPL", nth(2)))
    assert await client.bars(1) == [(NINE, "AAPL", nth(1))]


async def test_a_replay_of_many_topics_comes_behind_the_acknowledgement_of_all(system: System) -> None:
    one = await system.client(f"{NINE}.*")
    await system.begin("T.*")
    symbols = [f"S{number}" for number in range(500)]
    await system.trades(*(trade(symbol, nth(0)) for symbol in symbols), trade("AAPL", nth(1)))
    await one.bars(len(symbols))
    other = await system.client()
    await other.subscribe(*(f"{NINE}.{symbol}" for symbol in symbols), since=0)
    assert sorted(await other.bars(len(symbols))) == sorted((NINE, symbol, nth(0)) for symbol in symbols)


async def test_a_long_replay_comes_in_pieces_and_complete(system: System) -> None:
    count = 5000
    one = await system.client("1Ms.AAPL")
    await system.begin("T.AAPL")
    await system.trades(*(trade("AAPL", START + i) for i in range(count + 1)))
    expected = [("1Ms", "AAPL", START + i) for i in range(count)]
    assert await one.bars(count) == expected
    other = await system.client()
    await other.send("subscribe", "1Ms.AAPL", since=0)
    assert (await other.next())["status"] == "success"
    later = START + count + WIDTH
    await system.trades(*(trade("AAPL", later + i) for i in range(300)))
    more = [("1Ms", "AAPL", start) for start in (START + count, *range(later, later + 299))]
    assert await other.bars(count + len(more)) == expected + more


async def test_unsubscribing_while_a_replay_waits_ends_it(system: System) -> None:
    one = await system.client(f"{NINE}.AAPL", f"{WIDE}.AAPL")
    await system.begin("T.AAPL")
    await system.trades(trade("AAPL", nth(0)), trade("AAPL", nth(1)))
    await one.bars(1)
    other = await system.client()
    # Both in one read or not: after the acknowledgement of the second nothing of the topic comes.
    await other.send("subscribe", f"{NINE}.AAPL", since=0)
    await other.send("unsubscribe", f"{NINE}.AAPL")
    while (await other.next()).get("message") != f"unsubscribed to: {NINE}.AAPL":
        pass
    await other.subscribe(f"{WIDE}.AAPL")
    await system.trades(*(trade("AAPL", nth(i)) for i in range(2, 6)))
    assert await other.bars(1) == [(WIDE, "AAPL", START)]


async def test_a_window_across_a_lost_connection_has_no_bar(system: System) -> None:
    client = await system.client(f"{NINE}.AAPL", f"{WIDE}.AAPL")
    await system.begin("T.AAPL")
    await system.trades(trade("AAPL", nth(0)), trade("AAPL", nth(1)))
    assert await client.bars(1) == [(NINE, "AAPL", nth(0))]
    await system.firehose.stop()
    await system.firehose.start()
    await system.firehose.until(lambda: system.firehose.connections == 2 and system.firehose.topics)
    await until_up(system.aggregator.markets["stocks"].stream)
    await system.trades(*(trade("AAPL", nth(i)) for i in (1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10)))
    assert await client.bars(9) == [
        *((NINE, "AAPL", nth(i)) for i in range(2, 10)),
        (WIDE, "AAPL", nth(5)),
    ]
    assert system.count("lost_windows_total") == 2


@pytest.mark.parametrize("linger", [0.0, 0.05])
async def test_a_window_that_nobody_wants_any_more_is_not_lost(linger: float) -> None:
    async with running(unsubscribe_linger=linger) as system:
        client = await system.client(f"{NINE}.AAPL")
        await system.begin("T.AAPL")
        await system.trades(trade("AAPL", nth(0)), trade("AAPL", nth(1)))
        await client.bars(1)  # the second window is open
        await client.send("unsubscribe", f"{NINE}.AAPL")
        await system.firehose.until(lambda: not system.firehose.topics)
        assert system.count("lost_windows_total") == 0


async def test_a_firehose_that_lost_the_vendor_says_so_and_its_windows_have_no_bar(system: System) -> None:
    client = await system.client(f"{NINE}.AAPL")
    await system.begin("T.AAPL")
    await system.trades(trade("AAPL", nth(0)))
    await system.trades('{"ev":"status","status":"upstream_disconnected","message":"the vendor is away"}')
    await system.trades(trade("AAPL", nth(0.5)), trade("AAPL", nth(1)))
    await system.trades('{"ev":"status","status":"upstream_reconnected","message":"the vendor is back"}')
    await system.trades(*(trade("AAPL", nth(i)) for i in (2.5, 3, 4)))
    assert await client.bars(1) == [(NINE, "AAPL", nth(3))]
    assert system.count("lost_windows_total") == 3
    lost, back = client.notices
    assert (lost["status"], lost["upstream"], lost["since"]) == ("upstream_disconnected", "firehose", nth(0))
    assert "the vendor is away" in lost["message"]
    assert (back["status"], back["from"]) == ("upstream_reconnected", nth(0))


async def test_a_firehose_that_answers_nothing_is_taken_at_its_silence() -> None:
    async with running(answers=False) as system:
        client = await system.client("100Ms.AAPL")
        await system.firehose.until_subscribed("T.AAPL")
        time = START
        async with asyncio.timeout(PATIENCE):
            while not system.count("bars_total"):
                time += 100
                await system.trades(trade("AAPL", time))
                await asyncio.sleep(0.05)
        assert (await client.bars(1))[0][:2] == ("100Ms", "AAPL")


async def test_late_trades_are_counted_and_change_nothing(system: System) -> None:
    client = await system.client(f"{NINE}.AAPL")
    await system.begin("T.AAPL")
    await system.trades(trade("AAPL", nth(0)), trade("AAPL", nth(1)))
    await system.trades(trade("AAPL", nth(0.5), "999"), trade("AAPL", nth(2)))
    assert await client.bars(2) == [(NINE, "AAPL", nth(0)), (NINE, "AAPL", nth(1))]
    assert system.count("late_trades_total") == 1


async def test_a_client_that_comes_back_soon_misses_nothing() -> None:
    async with running(unsubscribe_linger=60.0) as system:
        client = await system.client(f"{NINE}.AAPL")
        await system.begin("T.AAPL")
        await system.trades(trade("AAPL", nth(0)), trade("AAPL", nth(1)))
        await client.bars(1)
        await client.connection.close()
        await system.trades(trade("AAPL", nth(2)), trade("AAPL", nth(3)))
        other = await system.client()
        await other.subscribe(f"{NINE}.AAPL", since=nth(1) + 1)
        assert await other.bars(2) == [(NINE, "AAPL", nth(1)), (NINE, "AAPL", nth(2))]


async def test_all_trades_count_when_told_so() -> None:
    async with running(all_trades=True) as system:
        client = await system.client(f"{NINE}.AAPL")
        await system.begin("T.AAPL")
        await system.trades(trade("AAPL", nth(0), "7", 3, ',"c":[15]'), trade("AAPL", nth(1)))
        assert await client.next() == bar_of("AAPL", WIDTH, START, o=7, h=7, l=7, c=7, v=3, vw=7, n=1)


async def test_the_official_client_gets_native_and_millisecond_bars(system: System) -> None:
    official = WebSocketClient(
        api_key=KEY,
        feed=f"127.0.0.1:{system.aggregator.port}",  # type: ignore[arg-type]
        market="stocks",
        secure=False,
        raw=True,
        subscriptions=["A.AAPL", f"{NINE}.AAPL"],
    )
    received: list[dict[str, Any]] = []
    done = asyncio.Event()

    async def process(data: str | bytes) -> None:
        received.extend(event for event in json.loads(data) if event["ev"] != "status")
        if len(received) >= 2:
            done.set()

    task = asyncio.ensure_future(official.connect(process))
    try:
        await system.begin("A.AAPL", "T.AAPL")
        await system.trades(trade("AAPL", nth(0)), trade("AAPL", nth(1)))
        await system.trades('{"ev":"A","sym":"AAPL","v":200,"vw":25.4,"s":1610144868000,"e":1610144869000}')
        async with asyncio.timeout(PATIENCE):
            await done.wait()
    finally:
        await official.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [event["ev"] for event in received] == [NINE, "A"]
