"""An aggregator that begins, or that nobody asked for bars before, builds those of the past from kept trades."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from bar_oracle import BarOracle, Trade, payload
from cut_line import CutLine
from scripted_upstream import PATIENCE, ScriptedUpstream, until_state, until_up
from test_bar_recovery import DELAY, aggregator_behind, until_number
from test_recovery import notices, proxy_behind
from test_since import TIME, Client, array, client_of, firehose_of

from fproxy.core.market import Upstream
from fproxy.core.stream import StreamState
from fproxy.metrics import Metrics
from fproxy.roles import served_markets
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import AggregatorSettings, HistorySettings, ServerSettings

INTERVALS = (100, 250, 1000)
TOPICS = ",".join(f"{interval}Ms.A" for interval in INTERVALS)


class Market:
    """Random trades of some symbols, now and then a late one; and which bars they are, by the oracle.

    Attributes:
        sent: how many trades have been sent.
        time: the latest of their times.
    """

    def __init__(self, vendor: ScriptedUpstream, *, seed: int = 7) -> None:
        self.vendor = vendor
        self.sent = 0
        self.time = TIME
        self.chance = random.Random(seed)
        self.begin()

    def begin(self) -> None:
        """What is sent from now on is all there is."""
        self.oracle = BarOracle(DELAY)
        for interval in INTERVALS:
            self.oracle.want(interval, "*")
        self.oracle.trades_started("*")

    async def send(self, count: int) -> None:
        """Send trades, three to a message."""
        for _ in range(0, count, 3):
            trades = []
            for _ in range(3):
                self.time += self.chance.randrange(0, 150)
                ago = self.chance.choice([0, 0, 0, 10, 120, 800, DELAY + 500])
                price = f"{self.chance.randrange(100, 200)}.5"
                trades.append(Trade(self.chance.choice("ABC"), self.time - ago, price, "100"))
            self.oracle.feed(trades, 0)
            self.sent += 3
            await self.vendor.send(payload(trades))

    def bars(self, symbol: str, interval: int, *, ending_from: int = 0) -> list[dict[str, Any]]:
        """The bars that have closed."""
        return [
            json.loads(text)
            for end, name, length, text in self.oracle.sent
            if (name, length) == (symbol, interval) and end >= ending_from
        ]


def bars_of(client: Client, symbol: str, interval: int) -> list[dict[str, Any]]:
    return [event for event in client.received if event["ev"] == f"{interval}Ms" and event["sym"] == symbol]


@asynccontextmanager
async def filled_firehose(trades: int = 240, **more: Any) -> AsyncIterator[tuple[Market, Firehose, Client]]:
    """A firehose that has kept trades, and a client that sees what it has sent."""
    async with (
        ScriptedUpstream() as vendor,
        firehose_of(vendor, **more) as firehose,
        client_of(firehose) as watcher,
    ):
        market = Market(vendor)
        await market.send(trades)
        await until_number(watcher, market.sent)
        yield market, firehose, watcher


async def replayed(client: Client, topics: str, since: int) -> dict[str, Any]:
    await client.ask("subscribe", topics, since=since)
    return await client.until_status("replayed")


async def until_all(client: Client, market: Market, symbols: Iterable[str], intervals: Sequence[int]) -> None:
    """Send trades that close what was open, and wait for the last bars."""
    await market.send(120)
    for symbol in symbols:
        for interval in intervals:
            last = market.bars(symbol, interval)[-1]
            await client.until(lambda s=symbol, i=interval, last=last: bars_of(client, s, i)[-1:] == [last])


async def part_of_bars(client: Client, market: Market) -> dict[int, list[dict[str, Any]]]:
    """Ask for all bars of A, some of which are told as missing; return those that come, by interval."""
    told = await replayed(client, TOPICS, TIME)
    assert told["complete"] is False
    await until_all(client, market, "A", INTERVALS)
    return {interval: bars_of(client, "A", interval) for interval in INTERVALS}


async def test_bars_of_before_the_start_are_those_that_would_have_been_sent() -> None:
    async with (
        filled_firehose() as (market, firehose, _),
        aggregator_behind(firehose.port, bar_delay_ms=DELAY) as aggregator,
        client_of(aggregator) as client,
    ):
        since = TIME + 7_000
        told = await replayed(client, f"{TOPICS},100Ms.B", since)
        assert told["complete"], told
        assert told["count"] == len([event for event in client.received if event["ev"] != "status"]) > 60
        await until_all(client, market, "A", INTERVALS)
        for interval in INTERVALS:
            assert bars_of(client, "A", interval) == market.bars("A", interval, ending_from=since)
        expected = market.bars("B", 100, ending_from=since)
        await client.until(lambda: bars_of(client, "B", 100)[-1:] == expected[-1:])
        assert bars_of(client, "B", 100) == expected


async def test_who_asks_long_after_the_start_gets_them_too_and_nobody_gets_any_twice() -> None:
    async with (
        filled_firehose(180) as (market, firehose, watcher),
        aggregator_behind(firehose.port, bar_delay_ms=DELAY) as aggregator,
        client_of(aggregator, "100Ms.A") as live,
        client_of(aggregator) as late,
        client_of(aggregator) as everything,
    ):
        began = market.time - 2 * DELAY
        await market.send(150)
        await until_number(watcher, market.sent)
        await live.until(lambda: bars_of(live, "A", 100))
        since = TIME + 7_000
        # Of A, somebody has had these bars for a while; of B, nobody.
        told = await replayed(late, "100Ms.A,100Ms.B", since)
        assert told["complete"], told
        told = await replayed(everything, "100Ms.*,100Ms.A,100Ms.B*", since)
        assert told["complete"], told
        await until_all(late, market, "AB", [100])
        for client, symbols in ((late, "AB"), (everything, "ABC")):
            for symbol in symbols:
                expected = market.bars(symbol, 100, ending_from=since)
                await client.until(
                    lambda client=client, symbol=symbol, last=expected[-1]: (
                        bars_of(client, symbol, 100)[-1:] == [last]
                    )
                )
                assert bars_of(client, symbol, 100) == expected
        assert bars_of(live, "A", 100)[0]["s"] > began, "who did not ask gets nothing of before"


async def test_what_the_firehose_no_longer_has_is_told_as_missing() -> None:
    async with (
        filled_firehose(420, history=HistorySettings(history_bytes=36_000)) as (market, firehose, _),
        aggregator_behind(firehose.port, bar_delay_ms=DELAY) as aggregator,
        client_of(aggregator) as client,
    ):
        for interval, bars in (await part_of_bars(client, market)).items():
            assert len(bars) > 1
            assert bars == market.bars("A", interval, ending_from=bars[0]["e"]), (
                "those that there are are whole"
            )
            assert bars[0]["s"] > TIME + 500
        recent = market.time - DELAY - 500
        async with client_of(aggregator) as other:
            assert (await replayed(other, "100Ms.C", recent))["complete"]
            assert bars_of(other, "C", 100) == market.bars("C", 100, ending_from=recent)


async def test_windows_that_a_loss_of_the_vendor_has_cut_are_not_built() -> None:
    async with filled_firehose() as (market, firehose, watcher):
        stream = firehose.markets["stocks"].stream
        await market.vendor.stop()
        await until_state(stream, StreamState.DOWN)
        await market.vendor.start()
        await until_up(stream)
        lost_until = market.time
        market.begin()
        await market.send(120)
        await until_number(watcher, market.sent)
        async with (
            aggregator_behind(firehose.port, bar_delay_ms=DELAY) as aggregator,
            client_of(aggregator) as client,
        ):
            for interval, bars in (await part_of_bars(client, market)).items():
                assert bars[0]["s"] > lost_until
                assert bars == market.bars("A", interval, ending_from=lost_until + interval)


async def test_without_a_history_nothing_of_before_is_kept() -> None:
    async with (
        filled_firehose() as (market, firehose, _),
        aggregator_behind(
            firehose.port, bar_delay_ms=DELAY, history=HistorySettings(history=0)
        ) as aggregator,
        client_of(aggregator, "100Ms.A") as client,
    ):
        assert aggregator.markets["stocks"]._builder.retained_trades == 0
        began = market.time
        await market.send(180)  # or else the clock has to close the first whole window
        await client.until(lambda: bars_of(client, "A", 100))
        assert bars_of(client, "A", 100)[0]["s"] > began


@asynccontextmanager
async def chain_with_aggregators() -> AsyncIterator[tuple[Market, Client, CutLine, FilteredProxy, Any]]:
    """A firehose, a proxy, and between them an aggregator that can be replaced by the next one."""
    async with filled_firehose() as (market, firehose, watcher), AsyncExitStack() as stack:
        running: list[tuple[AsyncExitStack, Aggregator]] = []

        async def begin() -> None:
            """Begin a run of the aggregator, behind the end of the one before it."""
            for before, _ in running:
                await before.aclose()
            running.clear()
            own = await stack.enter_async_context(AsyncExitStack())
            running.append(
                (own, await own.enter_async_context(aggregator_behind(firehose.port, bar_delay_ms=DELAY)))
            )

        await begin()
        line = await stack.enter_async_context(CutLine(lambda: running[-1][1].port))
        proxy = await stack.enter_async_context(proxy_behind(firehose.port, line))
        await until_up(proxy.markets["stocks"].streams[Upstream.AGGREGATOR])
        yield market, watcher, line, proxy, begin


def native_bar(number: int) -> bytes:
    return b'{"ev":"A","sym":"A","s":%d,"e":%d,"q":%d}' % (TIME + number - 1_000, TIME + number, number)


async def test_a_client_of_the_proxy_misses_no_bar_when_the_aggregator_is_started_again() -> None:
    """Whatever byte the line to the aggregator was cut at: neither bars that are built nor those that it forwards."""
    chance = random.Random(5)
    async with chain_with_aggregators() as (market, watcher, line, proxy, begin):
        async with client_of(proxy, f"{TOPICS},A.A") as client, client_of(proxy, "100Ms.*") as broad:
            await market.send(24)
            await until_number(watcher, market.sent)
            natives = 0
            for cut in range(6):
                line.cut_after(chance.randrange(1, 6_000))
                while line.cuts == cut:
                    for _ in range(chance.randrange(1, 4)):
                        await market.vendor.send(array(native_bar(natives)))
                        natives += 1
                    await market.send(12)
                    await until_number(watcher, market.sent)
                await line.break_off()
                await until_state(proxy.markets["stocks"].streams[Upstream.AGGREGATOR], StreamState.DOWN)
                await market.send(chance.choice([0, 24, 120]))
                await begin()
                await line.mend()
                await until_up(proxy.markets["stocks"].streams[Upstream.AGGREGATOR])
            await market.vendor.send(array(native_bar(natives)))
            await until_all(client, market, "A", INTERVALS)
            await client.until(lambda: natives in [event.get("q") for event in client.received])
            for interval in INTERVALS:
                bars = bars_of(client, "A", interval)
                assert bars == market.bars("A", interval, ending_from=bars[0]["e"])
            for symbol in "ABC":
                last = market.bars(symbol, 100)[-1]
                await broad.until(lambda symbol=symbol, last=last: bars_of(broad, symbol, 100)[-1:] == [last])
                bars = bars_of(broad, symbol, 100)
                assert bars == market.bars(symbol, 100, ending_from=bars[0]["e"])
            assert [event["q"] for event in client.received if event["ev"] == "A"] == list(range(natives + 1))
            told = notices(client)
            assert len(told) >= 12
            assert all(notice["recovered"] for notice in told[1::2]), told


async def test_bars_that_the_proxy_has_kept_do_not_come_twice_when_it_asks_the_aggregator_for_them() -> None:
    """The proxy has given the topic up meanwhile: its own bars end there, and the aggregator has all of them."""
    async with (
        filled_firehose() as (market, firehose, watcher),
        aggregator_behind(firehose.port, bar_delay_ms=DELAY) as aggregator,
        proxy_behind(firehose.port, aggregator, unsubscribe_linger=0.0) as proxy,
    ):
        upstream = proxy.markets["stocks"].streams[Upstream.AGGREGATOR]
        await until_up(upstream)
        async with client_of(proxy, "100Ms.A") as client:
            await until_all(client, market, "A", [100])
        demand = proxy.markets["stocks"].demands[Upstream.AGGREGATOR]
        async with asyncio.timeout(PATIENCE):
            while demand.active:  # noqa: ASYNC110 (nothing to wait on)
                await asyncio.sleep(0.01)
        await market.send(24)
        await until_number(watcher, market.sent)
        async with client_of(proxy) as client:
            since = TIME + 7_000
            told = await replayed(client, "100Ms.A", since)
            assert told["complete"], told
            assert told["count"] == len(bars_of(client, "A", 100))
            await until_all(client, market, "A", [100])
            assert bars_of(client, "A", 100) == market.bars("A", 100, ending_from=since)


async def test_bars_of_before_are_not_live_for_who_came_before_the_firehose_had_brought_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a busy machine: an aggregator does not wait long for what the firehose keeps before it lets clients in."""
    monkeypatch.setattr(served_markets, "FILL_TIME", 0.0)
    async with filled_firehose() as (market, firehose, _):
        settings = AggregatorSettings(
            server=ServerSettings(port=0),
            firehose_url=f"ws://127.0.0.1:{firehose.port}",
            bar_delay_ms=DELAY,
        )
        aggregator = Aggregator(settings, Metrics())
        aggregator.markets["stocks"].hold(True)
        await aggregator.start()
        try:
            async with client_of(aggregator, "100Ms.A") as early, client_of(aggregator) as client:
                aggregator.markets["stocks"].hold(False)
                await until_up(aggregator.markets["stocks"].stream)
                closed = len(market.bars("A", 100))
                assert closed > 10
                since = TIME + 7_000
                told = await replayed(client, "100Ms.A", since)
                assert told["complete"], told
                await until_all(client, market, "A", [100])
                await early.until(lambda: bars_of(early, "A", 100)[-1:] == market.bars("A", 100)[-1:])
                assert bars_of(early, "A", 100) == market.bars("A", 100)[closed:]
                assert bars_of(client, "A", 100) == market.bars("A", 100, ending_from=since)
        finally:
            await aggregator.stop()


async def test_who_asks_a_proxy_for_the_past_of_bars_that_others_have_gets_all_of_it() -> None:
    """As when a proxy is started again: some clients ask since their last event, others just subscribe.

    Nobody gets anything twice.
    """
    async with (
        filled_firehose() as (market, firehose, _),
        aggregator_behind(firehose.port, bar_delay_ms=DELAY) as aggregator,
        proxy_behind(firehose.port, aggregator) as proxy,
    ):
        await until_up(proxy.markets["stocks"].streams[Upstream.AGGREGATOR])
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(client_of(proxy, TOPICS))
            wide = await stack.enter_async_context(client_of(proxy, "100Ms.*"))
            await until_all(first, market, "A", INTERVALS)
            asking: dict[int, Client] = {}
            # One that asks for more than has been brought, ones that ask for less, and one under a wildcard.
            for since in (TIME + 8_000, TIME + 7_000, TIME + 7_500, TIME + 9_000):
                client = asking[since] = await stack.enter_async_context(client_of(proxy))
                told = await replayed(client, f"{TOPICS},100Ms.B", since)
                assert told["complete"], told
                assert told["count"] == len([event for event in client.received if event["ev"] != "status"])
                await until_all(client, market, "A", INTERVALS)
            for client in (first, wide):
                last = market.bars("A", 100)[-1]
                await client.until(lambda client=client, last=last: bars_of(client, "A", 100)[-1:] == [last])
                bars = bars_of(client, "A", 100)
                assert bars == market.bars("A", 100, ending_from=bars[0]["e"])
            for since, client in asking.items():
                expected = {i: market.bars("A", i, ending_from=since) for i in INTERVALS}
                await client.until(lambda c=client, e=expected: bars_of(c, "A", 100)[-1:] == e[100][-1:])
                assert {i: bars_of(client, "A", i) for i in INTERVALS} == expected
                expected_b = market.bars("B", 100, ending_from=since)
                await client.until(lambda c=client, e=expected_b: bars_of(c, "B", 100)[-1:] == e[-1:])
                assert bars_of(client, "B", 100) == expected_b


@pytest.mark.parametrize("seed", range(3))
async def test_however_requests_for_the_past_of_bars_cross_each_other_all_comes_once_and_in_order(
    seed: int,
) -> None:
    """Some clients ask since a time, at any moment and for topics that others have or have not; bars flow meanwhile."""
    chance = random.Random(seed)
    async with (
        filled_firehose() as (market, firehose, _),
        aggregator_behind(firehose.port, bar_delay_ms=DELAY) as aggregator,
        proxy_behind(firehose.port, aggregator, unsubscribe_linger=0.0) as proxy,
    ):
        await until_up(proxy.markets["stocks"].streams[Upstream.AGGREGATOR])
        earliest = TIME + 7_000

        async def be_a_client() -> None:
            async with client_of(proxy) as client:
                topics = [f"{i}Ms.{symbol}" for i in INTERVALS for symbol in "ABC" if chance.random() < 0.5]
                if chance.random() < 0.4:
                    await client.ask("subscribe", ",".join(topics or ["100Ms.A"]))
                    await client.until_status("success")
                since = chance.randrange(earliest, earliest + 4_000)
                told = await replayed(client, "100Ms.A,250Ms.B", since)
                assert told["complete"], told
                client.received = client.received[asked_at(client) :]
                for interval, symbol in ((100, "A"), (250, "B")):
                    await client.until(lambda i=interval, s=symbol: len(bars_of(client, s, i)) > 60)
                    bars = bars_of(client, symbol, interval)
                    assert bars == market.bars(symbol, interval, ending_from=since)[: len(bars)]

        clients = [asyncio.ensure_future(be_a_client()) for _ in range(12)]
        while not all(client.done() for client in clients):
            await market.send(9)
            await asyncio.sleep(chance.choice([0, 0.001, 0.003]))
        await asyncio.gather(*clients)


def asked_at(client: Client) -> int:
    """Return where the acknowledgement of its last request begins in what a client got: live events end there."""
    last = [
        at for at, event in enumerate(client.received) if event.get("message") == "subscribed to: 100Ms.A"
    ]
    return last[-1]
