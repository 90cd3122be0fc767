"""What a role missed while it was cut off from our own firehose comes after all: each event once, in order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from cut_line import CutLine
from scripted_upstream import ScriptedUpstream, until_state, until_up
from test_since import TIME, Client, array, client_of, firehose_of, trade

from fproxy.core.market import Upstream
from fproxy.core.stream import StreamState
from fproxy.metrics import Metrics
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import FilteredProxySettings, HistorySettings, ServerSettings
from fproxy.shell.upstream import UpstreamOptions

PROMPT = UpstreamOptions(reconnect_min=0.005, peer_reconnect_min=0.005, reconnect_max=0.02)


def stream_of(proxy: FilteredProxy) -> Any:
    return proxy.markets["stocks"].streams[Upstream.FIREHOSE]


@asynccontextmanager
async def proxy_behind(
    port: int, aggregator: ScriptedUpstream | Aggregator | CutLine, **more: Any
) -> AsyncIterator[FilteredProxy]:
    """A filtered proxy whose firehose is at a port."""
    more.setdefault("unsubscribe_linger", 60.0)
    settings = FilteredProxySettings(
        server=ServerSettings(port=0),
        upstream=PROMPT,
        firehose_url=f"ws://127.0.0.1:{port}",
        aggregator_url=f"ws://127.0.0.1:{aggregator.port}",
        **more,
    )
    proxy = FilteredProxy(settings, Metrics())
    await proxy.start()
    try:
        await until_up(stream_of(proxy))
        yield proxy
    finally:
        await proxy.stop()


@asynccontextmanager
async def cuttable_chain(
    firehose_settings: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[ScriptedUpstream, Firehose, CutLine, FilteredProxy]]:
    """A vendor, a firehose, a line that can be cut, and a filtered proxy."""
    async with (
        ScriptedUpstream() as vendor,
        ScriptedUpstream() as aggregator,
        firehose_of(vendor, **firehose_settings or {}) as firehose,
        CutLine(lambda: firehose.port) as line,
        proxy_behind(line.port, aggregator, **more) as proxy,
    ):
        yield vendor, firehose, line, proxy


async def send_trades(vendor: ScriptedUpstream, first: int, stop: int, *, per_message: int = 3) -> None:
    for number in range(first, stop, per_message):
        await vendor.send(array(*(trade("A", at) for at in range(number, min(stop, number + per_message)))))


def notices(client: Client) -> list[dict[str, Any]]:
    return [
        event
        for event in client.received
        if event.get("status") in ("upstream_disconnected", "upstream_reconnected")
    ]


async def test_what_was_missed_comes_in_order_and_once_and_the_notice_says_so() -> None:
    async with cuttable_chain() as (vendor, _, line, proxy), client_of(proxy, "T.A") as client:
        await send_trades(vendor, 0, 10)
        await client.until(lambda: len(client.numbers) == 10)
        await line.break_off()
        await until_state(stream_of(proxy), StreamState.DOWN)
        await send_trades(vendor, 10, 20)
        await line.mend()
        await client.until(lambda: len(client.numbers) == 20)
        await send_trades(vendor, 20, 30)
        await client.until(lambda: len(client.numbers) == 30)
        assert client.numbers == list(range(30))
        lost, back = notices(client)
        assert (lost["since"], back["from"], back["recovered"]) == (TIME + 9, TIME + 9, True)
        at = client.received.index(back)
        assert [event["q"] for event in client.received[:at] if event["ev"] == "T"] == list(range(20))
        asked = await until_replayed(client, "T.A", since=TIME + 5)
        assert asked["complete"] is False, "nobody had asked so early"


async def until_replayed(client: Client, topic: str, *, since: int) -> dict[str, Any]:
    client.received.clear()
    await client.ask("subscribe", topic, since=since)
    return await client.until_status("replayed")


async def test_a_stream_cut_at_any_byte_loses_and_doubles_nothing() -> None:
    """Two hundred cuts, each somewhere in what the firehose sends: in a header, in an event, between two messages."""
    chance = random.Random(20261125)
    async with cuttable_chain() as (vendor, _, line, proxy), client_of(proxy, "T.A") as client:
        sent = 0
        for cut in range(200):
            line.cut_after(chance.randrange(1, 3_000))
            while line.cuts == cut:
                count = chance.randrange(1, 30)
                await send_trades(vendor, sent, sent + count, per_message=chance.randrange(1, 6))
                sent += count
                await until_got_or_cut(client, line, sent, cut)
        await client.until(lambda: len(client.numbers) >= sent)
        assert client.numbers == list(range(sent))
        told = notices(client)
        assert {notice["status"] for notice in told[::2]} == {"upstream_disconnected"}
        assert all(notice["recovered"] for notice in told[1::2])


async def until_got_or_cut(client: Client, line: CutLine, sent: int, cuts: int) -> None:
    """Wait until a client has all that was sent, or the line has been cut."""
    got = asyncio.ensure_future(client.until(lambda: client.numbers and client.numbers[-1] == sent - 1))
    cut = asyncio.ensure_future(line.until(lambda: line.cuts > cuts))
    await asyncio.wait({got, cut}, return_when=asyncio.FIRST_COMPLETED)
    for task in (got, cut):
        task.cancel()
    await asyncio.gather(got, cut, return_exceptions=True)


async def test_more_than_the_firehose_keeps_is_told_as_missing() -> None:
    small = {"history": HistorySettings(history_bytes=40_000)}
    async with cuttable_chain(small) as (vendor, firehose, line, proxy), client_of(proxy, "T.A") as client:
        async with client_of(firehose) as watcher:
            await send_trades(vendor, 0, 10)
            await client.until(lambda: len(client.numbers) == 10)
            await line.break_off()
            await send_trades(vendor, 10, 2_000)
            await watcher.until(lambda: 1_999 in watcher.numbers)
            await line.mend()
            await client.until(lambda: 1_999 in client.numbers)
            assert client.numbers == sorted(set(client.numbers))
            assert client.numbers[:10] == list(range(10))
            assert client.numbers[10] > 10
            await client.until_status("upstream_reconnected")
            [_, back] = notices(client)
            assert back["recovered"] is False
            assert back["from"] <= TIME + 9


async def test_a_firehose_that_starts_again_brings_what_it_has_and_says_what_it_has_not() -> None:
    async with ScriptedUpstream() as vendor, ScriptedUpstream() as aggregator, AsyncExitStack() as stack:
        first = await stack.enter_async_context(firehose_of(vendor))
        running = [first]
        async with (
            CutLine(lambda: running[-1].port) as line,
            proxy_behind(line.port, aggregator) as proxy,
            client_of(proxy, "T.A") as client,
        ):
            await send_trades(vendor, 0, 10)
            await client.until(lambda: len(client.numbers) == 10)
            await line.break_off()
            await until_state(stream_of(proxy), StreamState.DOWN)
            await stack.aclose()
            await asyncio.sleep(0.002)  # the new one begins at a later millisecond
            async with firehose_of(vendor) as second:
                running.append(second)
                async with client_of(second) as watcher:
                    await send_trades(vendor, 20, 30)
                    await watcher.until(lambda: 29 in watcher.numbers)
                await line.mend()
                await client.until(lambda: 29 in client.numbers)
                await client.until_status("upstream_reconnected")
                assert client.numbers == [*range(10), *range(20, 30)]
                [_, back] = notices(client)
                assert back["recovered"] is False


async def test_another_firehose_of_the_same_data_doubles_nothing() -> None:
    """Behind one name may be two firehoses: what one has sent the other keeps too, under numbers of its own."""
    async with (
        ScriptedUpstream() as vendor,
        ScriptedUpstream() as other_vendor,
        ScriptedUpstream() as aggregator,
    ):
        async with firehose_of(vendor) as firehose, firehose_of(other_vendor) as other:
            running = [firehose]
            async with (
                CutLine(lambda: running[-1].port) as line,
                proxy_behind(line.port, aggregator) as proxy,
                client_of(proxy, "T.A") as client,
                client_of(other) as watcher,
            ):
                for each in (vendor, other_vendor):
                    await send_trades(each, 0, 10)
                await watcher.until(lambda: 9 in watcher.numbers)
                await client.until(lambda: len(client.numbers) == 10)
                running.append(other)
                line.cut()
                await client.until_status("upstream_reconnected")
                await send_trades(other_vendor, 10, 20)
                await client.until(lambda: 19 in client.numbers)
                assert client.numbers == list(range(20))
                assert notices(client)[-1]["recovered"] is False


async def test_a_loss_of_the_vendor_while_the_proxy_was_cut_off_is_told() -> None:
    async with cuttable_chain() as (vendor, firehose, line, proxy), client_of(proxy, "T.A") as client:
        await send_trades(vendor, 0, 10)
        await client.until(lambda: len(client.numbers) == 10)
        await line.break_off()
        await vendor.stop()
        await until_state(firehose.markets["stocks"].stream, StreamState.DOWN)
        await vendor.start()
        await until_up(firehose.markets["stocks"].stream)
        await send_trades(vendor, 20, 30)
        await line.mend()
        await client.until(lambda: 29 in client.numbers)
        assert client.numbers == [*range(10), *range(20, 30)]
        await client.until_status("upstream_reconnected")
        assert notices(client)[-1]["recovered"] is False
        # And that is over with: the next gap is recovered as any other.
        client.received.clear()
        line.cut()
        await client.until_status("upstream_reconnected")
        assert notices(client)[-1]["recovered"] is True


async def test_a_vendor_that_is_still_away_is_told_behind_what_was_recovered() -> None:
    async with cuttable_chain() as (vendor, firehose, line, proxy), client_of(proxy, "T.A") as client:
        async with client_of(firehose) as watcher:
            await send_trades(vendor, 0, 10)
            await client.until(lambda: len(client.numbers) == 10)
            await line.break_off()
            await send_trades(vendor, 10, 20)
            await watcher.until(lambda: 19 in watcher.numbers)
        await vendor.stop()
        await until_state(firehose.markets["stocks"].stream, StreamState.DOWN)
        await line.mend()
        await client.until(lambda: 19 in client.numbers)
        await until_state(stream_of(proxy), StreamState.INTERRUPTED)
        assert client.numbers == list(range(20))
        assert [notice["status"] for notice in notices(client)] == ["upstream_disconnected"]
        await vendor.start()
        await client.until_status("upstream_reconnected")
        assert notices(client)[-1]["recovered"] is False


async def test_a_proxy_that_starts_again_has_what_its_firehose_keeps_for_those_who_ask() -> None:
    async with (
        ScriptedUpstream() as vendor,
        ScriptedUpstream() as aggregator,
        firehose_of(vendor) as firehose,
        client_of(firehose) as watcher,
    ):
        began = TIME + 1
        await send_trades(vendor, 0, 1_000)
        await watcher.until(lambda: 999 in watcher.numbers)
        async with proxy_behind(firehose.port, aggregator) as proxy:
            async with client_of(proxy, "T.A") as live, client_of(proxy) as client:
                await client.ask("subscribe", "T.A", since=began)
                await client.until_status("replayed")
                assert client.numbers == list(range(1, 1_000))
                await send_trades(vendor, 1_000, 1_010)
                for each in (client, live):
                    await each.until(lambda each=each: 1_009 in each.numbers)
                assert client.numbers == list(range(1, 1_010))
                assert live.numbers == list(range(1_000, 1_010)), "who did not ask gets nothing of before"


async def test_an_upstream_that_is_not_ours_is_told_nothing_of_this() -> None:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        async with proxy_behind(firehose.port, aggregator) as proxy, client_of(proxy, "T.A"):
            await firehose.stop()
            await firehose.start()
            await firehose.until_subscribed("T.A")
        assert [set(message) for message in firehose.messages] == [{"action", "params"}] * len(
            firehose.messages
        )
