"""What bars are missed, between the firehose, the aggregator and the proxy, comes after all: each once, in order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cut_line import CutLine
from scripted_upstream import PATIENCE, ScriptedUpstream, until_state, until_up
from test_recovery import PROMPT, notices
from test_since import TIME, Client, array, client_of, firehose_of, trade
from websockets.asyncio.client import connect

from fproxy.core.market import Upstream
from fproxy.core.stream import StreamState
from fproxy.metrics import Metrics
from fproxy.roles import aggregator_market
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.settings import AggregatorSettings, FilteredProxySettings, ServerSettings

DELAY = 5_000
"""For how long windows wait for late trades, in milliseconds: longer than any step of a test takes."""


@asynccontextmanager
async def aggregator_behind(port: int, **more: Any) -> AsyncIterator[Aggregator]:
    """An ms-aggregator whose firehose is at a port."""
    more.setdefault("bar_delay_ms", 0)
    settings = AggregatorSettings(
        server=ServerSettings(port=0),
        upstream=PROMPT,
        firehose_url=f"ws://127.0.0.1:{port}",
        unsubscribe_linger=60.0,
        **more,
    )
    aggregator = Aggregator(settings, Metrics())
    await aggregator.start()
    try:
        await until_up(aggregator.markets["stocks"].stream)
        yield aggregator
    finally:
        await aggregator.stop()


async def send_trades_of(vendor: ScriptedUpstream, first: int, stop: int) -> None:
    """Send trades 10 ms of the market's time apart, several to a message: of a whole window of 100 ms there are ten."""
    for number in range(first, stop, 3):
        events = (
            b'{"ev":"T","sym":"A","p":%d,"s":1,"t":%d}' % (at, TIME + 10 * at)
            for at in range(number, min(stop, number + 3))
        )
        await vendor.send(array(*events))


def bars_of(client: Client) -> list[dict[str, Any]]:
    return [event for event in client.received if event["ev"] == "100Ms"]


async def test_windows_across_a_gap_of_the_aggregator_are_whole() -> None:
    chance = random.Random(9)
    async with (
        ScriptedUpstream() as vendor,
        firehose_of(vendor) as firehose,
        client_of(firehose) as watcher,
        CutLine(lambda: firehose.port) as line,
        aggregator_behind(line.port) as aggregator,
        client_of(aggregator, "100Ms.A") as client,
    ):
        stream = aggregator.markets["stocks"].stream
        sent = 0
        for _ in range(5):
            line.cut_after(chance.randrange(1, 2_000))
            before = line.cuts
            while line.cuts == before:
                await send_trades_of(vendor, sent, sent + 7)
                sent += 7
                await until_number(watcher, sent)
            await until_state(stream, StreamState.UP)
        await send_trades_of(vendor, sent, sent + 10 - sent % 10 + 5)
        sent += 10 - sent % 10 + 5
        await client.until(lambda: bars_of(client) and bars_of(client)[-1]["e"] == TIME + 10 * (sent - 5))
        builder = aggregator.markets["stocks"]._builder
        await line.break_off()
        # Half a window is there, and its end passes: trades of it are missing all the same.
        closes = builder.next_advance()
        assert closes is not None
        async with asyncio.timeout(PATIENCE):
            while asyncio.get_running_loop().time() * 1000 < closes + 50:  # noqa: ASYNC110 (it is time that passes)
                await asyncio.sleep(0.01)
        await send_trades_of(vendor, sent, sent + 30)
        sent += 30
        await line.mend()
        await until_state(stream, StreamState.UP)
        end = (sent // 10 + 2) * 10
        await send_trades_of(vendor, sent, end + 1)
        await client.until(lambda: bars_of(client) and bars_of(client)[-1]["e"] == TIME + 10 * end)
        bars = bars_of(client)
        starts = [bar["s"] for bar in bars]
        assert starts == list(range(starts[0], TIME + 10 * end, 100)), "a window is missing, or comes twice"
        assert starts[0] <= TIME + 200
        for bar in bars:
            number = (bar["s"] - TIME) // 10
            assert (bar["o"], bar["c"], bar["n"]) == (number, number + 9, 10)
        assert builder.counts.lost_windows == 0
        assert all(notice["recovered"] for notice in notices(client)[1::2])


async def until_number(client: Client, count: int) -> None:
    """Wait until a client has so many trades."""
    await client.until(lambda: sum(event["ev"] == "T" for event in client.received) == count)


@asynccontextmanager
async def proxy_behind_cuttable_aggregator() -> AsyncIterator[
    tuple[ScriptedUpstream, CutLine, FilteredProxy, Aggregator]
]:
    """A vendor, a firehose, an ms-aggregator, a line that can be cut, and a filtered proxy."""
    async with (
        ScriptedUpstream() as vendor,
        firehose_of(vendor) as firehose,
        # So long that no window ends by the clock, however busy the machine is.
        aggregator_behind(firehose.port, bar_delay_ms=DELAY) as aggregator,
        CutLine(lambda: aggregator.port) as line,
    ):
        settings = FilteredProxySettings(
            server=ServerSettings(port=0),
            upstream=PROMPT,
            firehose_url=f"ws://127.0.0.1:{firehose.port}",
            aggregator_url=f"ws://127.0.0.1:{line.port}",
            unsubscribe_linger=60.0,
        )
        proxy = FilteredProxy(settings, Metrics())
        await proxy.start()
        try:
            await until_up(*proxy.markets["stocks"].streams.values())
            yield vendor, line, proxy, aggregator
        finally:
            await proxy.stop()


def native_bar(number: int) -> bytes:
    return b'{"ev":"A","sym":"A","s":%d,"e":%d,"q":%d}' % (TIME + number - 1_000, TIME + number, number)


async def test_bars_missed_between_aggregator_and_proxy_come_in_order_and_once() -> None:
    chance, cuts = random.Random(3), random.Random(5)
    async with proxy_behind_cuttable_aggregator() as (vendor, line, proxy, aggregator):
        async with (
            client_of(proxy, "100Ms.A", "A.A") as client,
            client_of(aggregator, "100Ms.A", "A.A") as watcher,
        ):
            sent = 0
            for cut in range(40):
                # Who gets nowhere three times gives up.
                line.cut_after(cuts.randrange(1, 3_000) if cut % 2 else cuts.randrange(2_000, 4_000))
                while line.cuts == cut:
                    for _ in range(chance.randrange(1, 5)):
                        await send_trades_of(vendor, 10 * sent, 10 * sent + 10)
                        await vendor.send(array(native_bar(sent), trade("A", sent)))
                        sent += 1
                    await watcher.until(lambda sent=sent: numbers_of(watcher, "A") == list(range(sent)))
            await until_up(proxy.markets["stocks"].streams[Upstream.AGGREGATOR])
            await send_trades_of(vendor, 10 * sent, 10 * sent + 10)
            behind_delay = 10 * sent + 11 + DELAY // 10
            await send_trades_of(vendor, behind_delay, behind_delay + 1)
            await vendor.send(array(native_bar(sent)))
            for kind, last in (("A", sent), ("100Ms", TIME + 100 * sent)):
                for each in (watcher, client):
                    await each.until(lambda e=each, k=kind, last=last: numbers_of(e, k)[-1:] == [last])
                assert numbers_of(client, kind) == numbers_of(watcher, kind)
            told = notices(client)
            assert told
            assert all(notice["recovered"] for notice in told[1::2])


def numbers_of(client: Client, kind: str) -> list[int]:
    return [event.get("q", event.get("s")) for event in client.received if event["ev"] == kind]


async def test_a_role_that_has_caught_up_is_told_at_once_where_the_stream_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it asks for meanwhile has a place in the stream then, and is recovered from there."""
    monkeypatch.setattr(aggregator_market, "HOUSEKEEPING_INTERVAL", 3_600.0)
    async with (
        ScriptedUpstream() as vendor,
        firehose_of(vendor) as firehose,
        aggregator_behind(firehose.port) as aggregator,
    ):
        recover: dict[str, Any] = {}
        for _ in range(2):
            async with connect(f"ws://127.0.0.1:{aggregator.port}/", max_size=None) as connection:
                role = Client(connection)
                await role.ask("auth", "any", recover=recover)
                told = await role.until_status("position")
                role.received.clear()
                if recover:
                    await role.ask("subscribe", "100Ms.A", recover=1)
                    await role.until_status("recovered")
                else:
                    await role.ask("subscribe", "100Ms.A")
                await role.until(lambda role=role: role.statuses[-1:] == ["position"])
                recover = {name: told[name] for name in ("epoch", "next", "gaps")} | {"lost_at": 0}
        assert role.statuses == ["success", "recovered", "position"]
