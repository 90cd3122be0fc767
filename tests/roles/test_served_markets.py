"""Several markets in one role: each on its path, with upstreams, streams and spellings of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from scripted_upstream import PATIENCE, ScriptedUpstream, is_notice, until_state, until_up
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from fproxy.core.market import MARKETS, Market, Upstream
from fproxy.core.stream import StreamState
from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import FilteredProxySettings, FirehoseSettings, ServerSettings
from fproxy.roles.simulator import Simulator
from fproxy.roles.simulator_settings import SimulatorSettings
from fproxy.shell.upstream import UpstreamOptions

COMMON: dict[str, Any] = {
    "server": ServerSettings(port=0),
    "upstream": UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02, auth_wait=0.05),
    "unsubscribe_linger": 0.0,
}

SAMPLES = {
    "options": (
        "T.O:SPY251219C00650000",
        b'{"ev":"T","sym":"O:SPY251219C00650000","p":1.5,"s":1,"t":1700000000000}',
    ),
    "crypto": ("XT.BTC-USD", b'{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":1700000000000,"s":0.01}'),
    "forex": ("C.EUR-USD", b'{"ev":"C","p":"EUR/USD","x":"44","a":1.1,"b":1.0,"t":1700000000000}'),
    "indices": ("V.I:SPX", b'{"ev":"V","val":3988.5,"T":"I:SPX","t":1700000000000}'),
    "futures/cme": ("T.ESZ6", b'{"ev":"T","sym":"ESZ6","p":6000.25,"s":1,"t":1700000000000}'),
}
"""An event of each market, with its topic."""


class Client:
    """A client of one path."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def ask(self, action: str, params: str, **more: Any) -> None:
        await self.connection.send(json.dumps({"action": action, "params": params, **more}))

    async def message(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.connection.recv(decode=False)

    async def statuses(self) -> list[tuple[str, str]]:
        return [(event["status"], event["message"]) for event in json.loads(await self.message())]

    async def subscribe(self, topic: str, **more: Any) -> None:
        await self.ask("subscribe", topic, **more)
        assert await self.statuses() == [("success", f"subscribed to: {topic}")]


@asynccontextmanager
async def client_of(role: FilteredProxy | Firehose, path: str, key: str = "any") -> AsyncIterator[Client]:
    async with connect(f"ws://127.0.0.1:{role.port}{path}") as connection:
        client = Client(connection)
        if path != "/":
            assert (await client.statuses())[0][0] == "connected"
        await client.ask("auth", key)
        assert (await client.statuses())[0][0] == "auth_success"
        yield client


class System:
    """A proxy of several markets, with upstreams for each."""

    def __init__(self, *names: str, **more: Any) -> None:
        self.settings = more
        self.markets = tuple(MARKETS[name] for name in names)
        self.firehoses = {name: ScriptedUpstream() for name in names}
        self.aggregators = {name: ScriptedUpstream() for name in names}
        self.metrics = Metrics()
        self.proxy: FilteredProxy

    @asynccontextmanager
    async def running(self) -> AsyncIterator["System"]:
        async with AsyncExitStack() as stack:
            for upstream in (*self.firehoses.values(), *self.aggregators.values()):
                await stack.enter_async_context(upstream)
            own = {
                market: {
                    "firehose_url": self.firehoses[market.name].url,
                    "aggregator_url": self.aggregators[market.name].url,
                }
                for market in self.markets
            }
            settings = FilteredProxySettings(
                markets=self.markets, own_of_markets=own, **COMMON, **self.settings
            )
            self.proxy = FilteredProxy(settings, self.metrics)
            await self.proxy.start()
            stack.push_async_callback(self.proxy.stop)
            for served in self.proxy.markets.values():
                await until_up(*served.streams.values())
            yield self


async def test_each_market_is_served_on_its_path_from_its_own_upstreams() -> None:
    async with System(*SAMPLES).running() as system:
        for name, (topic, event) in SAMPLES.items():
            async with client_of(system.proxy, f"/{name}") as client:
                await client.subscribe(topic)
                await system.firehoses[name].until_subscribed(topic)
                for other, firehose in system.firehoses.items():
                    assert firehose.topics == ({topic} if other == name else set())
                    if other != name:
                        await firehose.send(b"[" + SAMPLES[other][1] + b"]")
                await system.firehoses[name].send(b"[" + event + b"]")
                assert await client.message() == b"[" + event + b"]"
            await system.firehoses[name].until(lambda name=name: not system.firehoses[name].topics)


async def test_the_first_market_is_served_without_a_path_and_a_path_that_is_not_served_is_named() -> None:
    async with System("crypto", "forex").running() as system:
        topic, event = SAMPLES["crypto"]
        async with client_of(system.proxy, "/") as client:
            await client.subscribe(topic)
            await system.firehoses["crypto"].until_subscribed(topic)
            await system.firehoses["crypto"].send(b"[" + event + b"]")
            assert await client.message() == b"[" + event + b"]"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{system.proxy.port}/options")
        assert refused.value.response.status_code == 404
        assert (
            refused.value.response.body
            == b"Nothing is served here; WebSocket clients connect to /crypto, /forex or /\n"
        )


async def test_a_lost_stream_concerns_its_market_alone() -> None:
    async with System("options", "crypto").running() as system:
        async with client_of(system.proxy, "/options") as one, client_of(system.proxy, "/crypto") as other:
            for client, name in ((one, "options"), (other, "crypto")):
                await client.subscribe(SAMPLES[name][0])
                await system.firehoses[name].until_subscribed(SAMPLES[name][0])
            await system.firehoses["options"].stop()
            [notice] = json.loads(await one.message())
            assert is_notice(notice)
            await until_state(system.proxy.markets["options"].streams[Upstream.FIREHOSE], StreamState.DOWN)
            await system.firehoses["crypto"].send(b"[" + SAMPLES["crypto"][1] + b"]")
            assert await other.message() == b"[" + SAMPLES["crypto"][1] + b"]"
            await system.firehoses["options"].start()

        def value(name: str, **labels: str) -> float | None:
            return system.metrics.registry.get_sample_value(f"fproxy_{name}", labels)

        assert value("stream_interruptions_total", upstream="firehose", market="options") == 1
        assert value("stream_interruptions_total", upstream="firehose", market="crypto") == 0
        assert value("events_matched_total", market="crypto") == 1
        assert value("events_matched_total", market="indices") is None


async def test_what_has_passed_comes_again_in_the_spelling_of_its_market() -> None:
    topic, event = SAMPLES["forex"]
    async with (
        System("forex").running() as system,
        client_of(system.proxy, "/forex") as first,
        client_of(system.proxy, "/forex") as second,
    ):
        await first.subscribe(topic)
        await system.firehoses["forex"].until_subscribed(topic)
        await system.firehoses["forex"].send(b"[" + event + b"]")
        await first.message()
        await second.subscribe(topic, since=1_600_000_000_000)
        assert await second.message() == b"[" + event + b"]"
        [end] = json.loads(await second.message())
        assert (end["status"], end["count"]) == ("replayed", 1)


async def test_a_client_is_brought_what_it_missed_of_the_market_that_it_was_on() -> None:
    async with (
        System("forex", "crypto", resume=True).running() as system,
        client_of(system.proxy, "/crypto", key="another") as watcher,
    ):
        topic, event = SAMPLES["crypto"]
        await watcher.subscribe(topic)
        async with client_of(system.proxy, "/crypto") as client:
            await client.subscribe(topic)
            await system.firehoses["crypto"].until_subscribed(topic)
        async with client_of(system.proxy, "/forex") as other:
            # The same key, and a topic that would match; but it was never here.
            await other.subscribe(topic)
            await system.firehoses["crypto"].send(b"[" + event + b"]")
            await watcher.message()
            await system.firehoses["forex"].send(b"[" + event + b"]")
            assert await other.message() == b"[" + event + b"]"
            async with client_of(system.proxy, "/crypto") as client:
                await client.subscribe(topic)
                assert await client.message() == b"[" + event + b"]"
                [end] = json.loads(await client.message())
                assert (end["status"], end["resumed"], end["count"]) == ("replayed", True, 1)


@pytest.fixture
async def vendor() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as vendor:
        yield vendor


@asynccontextmanager
async def firehose_of(vendor: ScriptedUpstream, *markets: Market, **more: Any) -> AsyncIterator[Firehose]:
    settings = FirehoseSettings(markets=markets, vendor_url=f"{vendor.url}/stocks", **COMMON)
    firehose = Firehose(replace(settings, **more), Metrics())
    await firehose.start()
    try:
        await until_up(firehose.markets[markets[0].name].stream)
        yield firehose
    finally:
        await firehose.stop()


async def test_a_firehose_keeps_a_connection_to_the_vendor_for_each_market(vendor: ScriptedUpstream) -> None:
    crypto = MARKETS["crypto"]
    async with firehose_of(vendor, crypto) as firehose:
        assert vendor.path == "/crypto"
        await vendor.until_subscribed("XT.*", "XQ.*", "XL2.*", "XA.*", "XAS.*", "FMV.*")
        assert len(vendor.topics) == 6
        async with client_of(firehose, "/crypto") as client:
            await vendor.send(b"[" + SAMPLES["crypto"][1] + b"]")
            assert await client.message() == b"[" + SAMPLES["crypto"][1] + b"]"
    async with ScriptedUpstream() as other:
        markets = (crypto, MARKETS["options"])
        own = {MARKETS["options"]: {"vendor_url": other.url}}
        async with firehose_of(vendor, *markets, own_of_markets=own) as firehose:
            await until_up(firehose.markets["options"].stream)
            assert (vendor.connections, other.connections) == (2, 1)


async def test_what_has_no_wildcard_and_what_is_new_is_asked_for_when_a_client_wants_it(
    vendor: ScriptedUpstream,
) -> None:
    async with firehose_of(vendor, MARKETS["options"]) as firehose, client_of(firehose, "/options") as client:
        await vendor.until_subscribed("T.*", "A.*", "AM.*", "FMV.*")
        fixed = set(vendor.topics)
        wanted = {"Q.O:SPY251219C00650000", "NEW.O:SPY251219C00650000"}
        for topic in [*wanted, "T.O:SPY251219C00650000"]:
            await client.subscribe(topic)
        assert vendor.topics == fixed | wanted
        await client.ask("unsubscribe", ",".join(wanted))
        await client.statuses()
        await vendor.until(lambda: vendor.topics == fixed)


async def test_a_type_that_is_new_passes_the_proxy() -> None:
    event = b'{"ev":"NEW","sym":"O:SPY251219C00650000","x":1}'
    async with System("options").running() as system, client_of(system.proxy, "/options") as client:
        await client.subscribe("NEW.O:SPY251219C00650000")
        await system.firehoses["options"].until_subscribed("NEW.O:SPY251219C00650000")
        await system.firehoses["options"].send(b"[" + event + b"]")
        assert await client.message() == b"[" + event + b"]"


async def test_a_market_outside_the_plan_is_lost_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    stocks, options = MARKETS["stocks"], MARKETS["options"]
    simulation = SimulatorSettings(
        markets=(stocks, options), not_in_plan=(options,), server=ServerSettings(port=0), rate=1_000.0
    )
    vendor = Simulator(simulation, Metrics())
    await vendor.start()
    settings = FirehoseSettings(
        markets=(stocks, options),
        vendor_url=f"ws://127.0.0.1:{vendor.port}/stocks",
        polygon_api_key="any",
        **COMMON,
    )
    firehose = Firehose(settings, Metrics())
    await firehose.start()
    try:
        await until_up(firehose.markets["stocks"].stream)
        async with client_of(firehose, "/stocks") as client:
            assert b'"sym"' in await client.message()
        async with client_of(firehose, "/options") as client:
            [notice] = json.loads(await client.message())
            assert is_notice(notice)
            assert "Your plan doesn't include websocket access." in notice["message"]
        assert firehose.markets["stocks"].stream.interruptions == 0
        [line] = {record.getMessage() for record in caplog.records if "Failed" in record.getMessage()}
        assert line.startswith(
            f"Failed to connect to options vendor at ws://127.0.0.1:{vendor.port}/options: "
        )
    finally:
        await firehose.stop()
        await vendor.stop()
