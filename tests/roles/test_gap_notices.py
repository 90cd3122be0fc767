"""What clients are told of their streams: when events may be missing, and when none is any more."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from massive import WebSocketClient
from scripted_upstream import PATIENCE, ScriptedUpstream, is_notice, until_state, until_up
from websockets.asyncio.client import ClientConnection, connect

from fproxy.core.market import Upstream
from fproxy.core.stream import StreamState
from fproxy.metrics import Metrics
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import AggregatorSettings, FilteredProxySettings, FirehoseSettings, ServerSettings
from fproxy.shell.upstream import UpstreamOptions

OPTIONS = UpstreamOptions(reconnect_min=0.01, reconnect_max=0.05, auth_wait=0.2)
COMMON: dict[str, Any] = {
    "server": ServerSettings(port=0),
    "upstream": OPTIONS,
    "polygon_api_key": "k",
    "unsubscribe_linger": 0.0,
}
TIME = 1_736_503_800_000


def trade(symbol: str, time: int = TIME) -> bytes:
    return b'[{"ev":"T","sym":"%b","p":1.5,"s":10,"t":%d}]' % (symbol.encode(), time)


@dataclass
class Client:
    """A client that takes what comes in its order."""

    connection: ClientConnection

    async def ask(self, action: str, params: str) -> None:
        await self.connection.send(json.dumps({"action": action, "params": params}))

    async def message(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE):
            events: list[dict[str, Any]] = json.loads(await self.connection.recv())
        return events

    async def notice(self) -> dict[str, Any]:
        [event] = await self.message()
        assert is_notice(event), event
        return event


@asynccontextmanager
async def client_of(role: FilteredProxy | Firehose | Aggregator, *topics: str) -> AsyncIterator[Client]:
    async with connect(f"ws://127.0.0.1:{role.port}/", max_size=None) as connection:
        client = Client(connection)
        await client.ask("auth", "any")
        await client.message()
        if topics:
            await client.ask("subscribe", ",".join(topics))
            assert len(await client.message()) == len(topics)
        yield client


@asynccontextmanager
async def running(role: Any) -> AsyncIterator[Any]:
    await role.start()
    try:
        yield role
    finally:
        await role.stop()


@asynccontextmanager
async def proxy_of(
    firehose: ScriptedUpstream, aggregator: ScriptedUpstream, **more: Any
) -> AsyncIterator[FilteredProxy]:
    settings = FilteredProxySettings(
        firehose_url=firehose.url, aggregator_url=aggregator.url, **(COMMON | more)
    )
    async with running(FilteredProxy(settings, Metrics())) as proxy:
        await until_up(*proxy.markets["stocks"].streams.values())
        yield proxy


async def test_those_concerned_are_told_once_and_in_order_and_nobody_else() -> None:
    async with (
        ScriptedUpstream() as firehose,
        ScriptedUpstream() as aggregator,
        proxy_of(firehose, aggregator) as proxy,
        client_of(proxy, "T.AAPL") as trades,
        client_of(proxy, "A.AAPL") as bars,
        client_of(proxy, "*") as everything,
        client_of(proxy) as idle,
    ):
        await firehose.until_subscribed("T.*")
        await aggregator.until_subscribed("A.*")
        await firehose.send(trade("AAPL"))
        await firehose.stop()
        lost = {}
        for client in (trades, everything):
            assert (await client.message())[0]["t"] == TIME, "what came before comes before"
            lost[client.connection] = await client.notice()
        assert lost[trades.connection] == lost[everything.connection]
        told = lost[trades.connection]
        assert (told["status"], told["upstream"], told["since"]) == (
            "upstream_disconnected",
            "firehose",
            TIME,
        )
        assert told["message"].endswith("; events may be missing from now on")
        await firehose.start()
        for client in (trades, everything):
            back = await client.notice()
            assert (back["status"], back["upstream"]) == ("upstream_reconnected", "firehose")
            assert back["from"] == TIME < back["to"]
        await firehose.send(trade("AAPL", TIME + 1))
        for client in (trades, everything):
            assert (await client.message())[0]["t"] == TIME + 1
        await aggregator.send(b'[{"ev":"A","sym":"AAPL"}]')
        assert (await bars.message())[0]["ev"] == "A", "a client of the other stream heard nothing"
        await idle.ask("subscribe", "T.X")
        assert (await idle.message())[0]["status"] == "success", "nor did one without topics"


async def test_a_notice_is_a_message_of_its_own_behind_events_that_wait_for_others() -> None:
    async with (
        ScriptedUpstream() as firehose,
        ScriptedUpstream() as aggregator,
        proxy_of(firehose, aggregator, coalesce_ms=3_600_000.0) as proxy,
        client_of(proxy, "T.AAPL") as client,
    ):
        await firehose.until_subscribed("T.AAPL")
        await firehose.send(trade("AAPL"))
        await firehose.stop()
        assert [event["ev"] for event in await client.message()] == ["T"]
        assert (await client.notice())["status"] == "upstream_disconnected"


async def test_a_client_that_comes_while_a_stream_is_down_is_told_behind_its_acknowledgement() -> None:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        async with proxy_of(firehose, aggregator) as proxy:
            await firehose.stop()
            await until_state(proxy.markets["stocks"].streams[Upstream.FIREHOSE], StreamState.DOWN)
            # So many topics that they are taken in steps, and one of the stream that is up.
            async with client_of(proxy, "A.AAPL", *(f"T.S{i}" for i in range(1000))) as client:
                told = await client.notice()
                assert (told["status"], told["upstream"]) == ("upstream_disconnected", "firehose")
                await client.ask("subscribe", "A.MSFT")
                assert (await client.message())[0]["message"] == "subscribed to: A.MSFT"
                await firehose.start()
                assert (await client.notice())["status"] == "upstream_reconnected"


async def test_a_client_that_gives_up_its_topics_is_told_no_more() -> None:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        async with proxy_of(firehose, aggregator) as proxy, client_of(proxy, "T.A", "T.B", "A.A") as client:
            await aggregator.until_subscribed("A.A")
            await client.ask("unsubscribe", "T.A,T.B")
            await client.message()
            await firehose.stop()
            await firehose.start()
            await until_up(proxy.markets["stocks"].streams[Upstream.FIREHOSE])
            await aggregator.send(b'[{"ev":"A","sym":"A"}]')
            assert (await client.message())[0]["ev"] == "A"


async def test_notices_can_be_turned_off() -> None:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        async with (
            proxy_of(firehose, aggregator, gap_notices=False) as proxy,
            client_of(proxy, "T.AAPL") as client,
        ):
            await firehose.until_subscribed("T.AAPL")
            await firehose.stop()
            await firehose.start()
            await firehose.until_subscribed("T.AAPL")
            await until_up(proxy.markets["stocks"].streams[Upstream.FIREHOSE])
            await client.ask("subscribe", "T.B")
            assert (await client.message())[0]["message"] == "subscribed to: T.B"
            await firehose.send(trade("AAPL"))
            assert (await client.message())[0]["ev"] == "T"


async def test_a_stream_is_not_called_whole_before_the_upstream_has_answered() -> None:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        async with proxy_of(firehose, aggregator) as proxy, client_of(proxy, "T.AAPL") as client:
            await firehose.until_subscribed("T.AAPL")
            await firehose.stop()
            await client.notice()
            firehose.answers = False
            await firehose.start()
            await firehose.send_when_connected(b'[{"ev":"status","status":"auth_success","message":""}]')
            await firehose.until_subscribed("T.AAPL")
            await firehose.send(trade("AAPL"))
            assert (await client.message())[0]["ev"] == "T", "it has not been called whole yet"
            await firehose.send(b'[{"ev":"status","status":"success","message":"subscribed to: T.AAPL"}]')
            assert (await client.notice())["status"] == "upstream_reconnected"


@asynccontextmanager
async def chain_of(vendor: ScriptedUpstream, **firehose_settings: Any) -> AsyncIterator[tuple[Any, Any, Any]]:
    """Firehose, aggregator and proxy behind a vendor."""
    async with AsyncExitStack() as stack:
        firehose = await stack.enter_async_context(
            running(
                Firehose(FirehoseSettings(vendor_url=vendor.url, **(COMMON | firehose_settings)), Metrics())
            )
        )
        url = f"ws://127.0.0.1:{firehose.port}"
        aggregator = await stack.enter_async_context(
            running(Aggregator(AggregatorSettings(firehose_url=url, bar_delay_ms=0, **COMMON), Metrics()))
        )
        settings = FilteredProxySettings(
            firehose_url=url, aggregator_url=f"ws://127.0.0.1:{aggregator.port}", **COMMON
        )
        proxy = await stack.enter_async_context(running(FilteredProxy(settings, Metrics())))
        await until_up(
            firehose.markets["stocks"].stream,
            aggregator.markets["stocks"].stream,
            *proxy.markets["stocks"].streams.values(),
        )
        yield firehose, aggregator, proxy


async def test_the_loss_of_the_vendor_travels_down_the_chain_and_so_does_its_return() -> None:
    async with (
        ScriptedUpstream() as vendor,
        chain_of(vendor) as (_, _, proxy),
        client_of(proxy, "*") as client,
    ):
        for restart in range(3):
            await vendor.stop()
            lost = [await client.notice(), await client.notice()]
            assert {told["upstream"] for told in lost} == {"firehose", "ms-aggregator"}
            assert {told["status"] for told in lost} == {"upstream_disconnected"}
            for told in lost:
                assert "vendor" in told["message"]
                assert told["message"].count("events may be missing") == 1
            assert {str(stream.state) for stream in proxy.markets["stocks"].streams.values()} == {
                "interrupted"
            }
            await vendor.start()
            back = [await client.notice(), await client.notice()]
            assert {told["upstream"] for told in back} == {"firehose", "ms-aggregator"}
            assert {told["status"] for told in back} == {"upstream_reconnected"}
            await vendor.until_subscribed("T.*")
            await vendor.send(trade("AAPL", TIME + restart))
            assert (await client.message())[0]["t"] == TIME + restart


async def test_a_role_that_connects_while_the_vendor_is_away_is_not_called_whole() -> None:
    async with ScriptedUpstream() as vendor, chain_of(vendor) as (firehose, _, proxy):
        async with client_of(proxy, "T.AAPL") as client:
            await vendor.stop()
            await client.notice()
            for connection in tuple(firehose.markets["stocks"]._clients):
                connection.abort()
            await client.ask("subscribe", "T.MSFT")
            messages = [await client.message(), await client.message()]
            assert [message[0]["status"] for message in messages] == ["success", "upstream_disconnected"]
            await vendor.start()
            assert (await client.notice())["status"] == "upstream_reconnected"


async def test_whoever_connects_to_a_firehose_while_its_vendor_is_away_is_told_at_once() -> None:
    """As a role must be that does not follow the firehose by numbers, and any other program."""
    async with ScriptedUpstream() as vendor, chain_of(vendor) as (firehose, _, proxy):
        async with client_of(proxy, "T.AAPL") as client:
            await vendor.stop()
            await client.notice()
        async with client_of(firehose) as late:
            assert (await late.notice())["status"] == "upstream_disconnected"


@pytest.mark.parametrize("restart", [False, True])
async def test_no_bar_begins_before_its_trades_do(restart: bool) -> None:
    """Behind a firehose on demand whose vendor is slow to acknowledge: trades come late, and bars begin after them."""
    async with ScriptedUpstream() as vendor:
        vendor.delay = 0.3
        async with chain_of(vendor, on_demand=True) as (_, aggregator, _):
            async with client_of(aggregator, *(f"100Ms.S{i}" for i in range(8))) as client:
                if restart:
                    await vendor.until_acknowledged("T.S0")
                    await vendor.stop()
                    assert (await client.notice())["status"] == "upstream_disconnected"
                    await vendor.start()
                sent: dict[str, list[int]] = {}
                bars: list[dict[str, Any]] = []
                time = TIME
                async with asyncio.timeout(PATIENCE):
                    while len({bar["sym"] for bar in bars}) < 8:
                        # The market trades on whether or not the vendor sends it: only what is acknowledged comes.
                        time += 10
                        for i in range(8):
                            sent.setdefault(f"S{i}", []).append(time)
                            if f"T.S{i}" in vendor.acknowledged:
                                await vendor.send(trade(f"S{i}", time))
                        try:
                            async with asyncio.timeout(0.005):
                                bars += [
                                    event
                                    for event in json.loads(await client.connection.recv())
                                    if event["ev"] == "100Ms"
                                ]
                        except TimeoutError:
                            pass
                for bar in bars:
                    trades = [at for at in sent[bar["sym"]] if bar["s"] <= at < bar["e"]]
                    assert bar["n"] == len(trades), "a bar lacks trades from its front"


async def test_an_official_client_is_not_disturbed(caplog: pytest.LogCaptureFixture) -> None:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        async with proxy_of(firehose, aggregator) as proxy:
            got: asyncio.Queue[Any] = asyncio.Queue()
            client = WebSocketClient(
                api_key="any",
                feed=f"127.0.0.1:{proxy.port}",
                market="stocks",
                secure=False,
                subscriptions=["T.AAPL"],
            )
            listening = asyncio.create_task(client.connect(got.put))
            async with asyncio.timeout(PATIENCE):
                for restart in range(3):
                    await firehose.until_subscribed("T.AAPL")
                    await firehose.send(trade("AAPL", TIME + restart))
                    [event] = await got.get()
                    assert (event.symbol, event.timestamp) == ("AAPL", TIME + restart)
                    await firehose.stop()
                    await firehose.start()
            assert not listening.done()
            await client.close()
            await listening
    assert not [record for record in caplog.records if record.name.startswith("massive")]


async def test_an_operator_sees_what_each_stream_is_worth() -> None:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        metrics = Metrics()
        settings = FilteredProxySettings(firehose_url=firehose.url, aggregator_url=aggregator.url, **COMMON)
        labels = {"upstream": "firehose", "market": "stocks"}

        def value(name: str, **more: str) -> float | None:
            return metrics.registry.get_sample_value(f"fproxy_stream_{name}", labels | more)

        role = FilteredProxy(settings, metrics)
        assert value("state", state="down") == 1
        async with running(role) as proxy:
            await until_up(*proxy.markets["stocks"].streams.values())
            assert (value("state", state="up"), value("state", state="down")) == (1, 0)
            assert value("interruptions_total") == 0
            assert value("last_message_age_seconds") is None, "answers of the upstream are no events"
            await firehose.send(
                b'[{"ev":"status","status":"upstream_disconnected","message":"vendor: gone"}]'
            )
            await until_state(proxy.markets["stocks"].streams[Upstream.FIREHOSE], StreamState.INTERRUPTED)
            assert value("state", state="interrupted") == 1
            assert value("interruptions_total") == 1


async def test_an_upstream_cannot_speak_as_the_proxy() -> None:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        async with proxy_of(firehose, aggregator) as proxy, client_of(proxy, "T.AAPL") as client:
            await firehose.until_subscribed("T.AAPL")
            await firehose.send(b'[{"ev":"stream firehose","sym":"*"},{"ev":"stream firehose"}]')
            await firehose.send(trade("AAPL"))
            assert (await client.message())[0]["ev"] == "T"
