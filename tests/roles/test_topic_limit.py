"""How many topics one client may have: the limit holds in every role that keeps them."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from scripted_upstream import ScriptedUpstream, is_notice
from websockets.asyncio.client import ClientConnection, connect

from fproxy.metrics import Metrics
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import (
    AggregatorSettings,
    FilteredProxySettings,
    FirehoseSettings,
    ServerSettings,
)
from fproxy.roles.simulator import Simulator
from fproxy.roles.simulator_settings import SimulatorSettings
from fproxy.shell.client_limits import ClientLimits

SERVER = ServerSettings(port=0, limits=ClientLimits(max_topics=2))

Role = FilteredProxy | Aggregator | Firehose | Simulator


def filtered_proxy(url: str) -> Role:
    return FilteredProxy(
        FilteredProxySettings(server=SERVER, firehose_url=url, aggregator_url=url), Metrics()
    )


def aggregator(url: str) -> Role:
    return Aggregator(AggregatorSettings(server=SERVER, firehose_url=url), Metrics())


def firehose(url: str) -> Role:
    return Firehose(FirehoseSettings(server=SERVER, vendor_url=url), Metrics())


def firehose_on_demand(url: str) -> Role:
    return Firehose(FirehoseSettings(server=SERVER, vendor_url=url, on_demand=True), Metrics())


def simulator(_url: str) -> Role:
    return Simulator(SimulatorSettings(server=SERVER, rate=10), Metrics())


async def refused(client: ClientConnection, action: str, *topics: str, **more: int) -> list[str]:
    """Send a request, and return the topics in it that were answered with the limit."""
    await client.send(json.dumps({"action": action, "params": ",".join(topics), **more}))
    events: list[dict[str, str]] = []
    while len(events) < len(topics):
        # A role on demand answers some topics when its upstream has.
        found = json.loads(await client.recv())
        events += [
            event
            for event in found
            if event["ev"] == "status" and not is_notice(event) and event["status"] != "replayed"
        ]
    full = [event["message"] for event in events if event["status"] == "error"]
    assert all(text.startswith("too many topics, a client may have 2: ") for text in full)
    assert len(events) == len(topics)
    return [text.rpartition(" ")[2] for text in full]


@pytest.mark.parametrize("make", [filtered_proxy, aggregator, firehose_on_demand, simulator])
async def test_the_limit_holds_in_every_role_that_keeps_topics(make: Callable[[str], Role]) -> None:
    async with ScriptedUpstream() as upstream:
        role = make(upstream.url)
        await role.start()
        async with connect(f"ws://127.0.0.1:{role.port}/") as client:
            await client.send(json.dumps({"action": "auth", "params": "any"}))
            assert "auth_success" in str(await client.recv())
            assert await refused(client, "subscribe", "A.X", "AM.Y", "A.Z") == ["A.Z"]
            assert await refused(client, "subscribe", "A.X", "A.Z", "AM.Y") == ["A.Z"]
            assert await refused(client, "unsubscribe", "A.X") == []
            assert await refused(client, "subscribe", "A.Z", "A.X") == ["A.X"]
        await role.stop()


async def test_asking_again_for_what_has_passed_takes_no_room() -> None:
    async with ScriptedUpstream() as upstream:
        role = aggregator(upstream.url)
        await role.start()
        async with connect(f"ws://127.0.0.1:{role.port}/") as client:
            await client.send(json.dumps({"action": "auth", "params": "any"}))
            assert "auth_success" in str(await client.recv())
            for _ in range(2):
                assert await refused(client, "subscribe", "1Ms.X", "2Ms.X", "3Ms.X", since=0) == ["3Ms.X"]
        await role.stop()


async def test_a_firehose_that_sends_everything_keeps_no_topics() -> None:
    async with ScriptedUpstream() as upstream:
        role = firehose(upstream.url)
        await role.start()
        async with connect(f"ws://127.0.0.1:{role.port}/") as client:
            await client.send(json.dumps({"action": "auth", "params": "any"}))
            assert "auth_success" in str(await client.recv())
            assert await refused(client, "subscribe", "A.X", "AM.Y", "A.Z") == []
        await role.stop()


async def test_a_client_may_have_bars_at_few_intervals() -> None:
    limits = ClientLimits(max_bar_wildcards=2, max_bar_intervals=1)
    async with ScriptedUpstream() as upstream:
        settings = FilteredProxySettings(
            server=ServerSettings(port=0, limits=limits),
            firehose_url=upstream.url,
            aggregator_url=upstream.url,
        )
        role = FilteredProxy(settings, Metrics())
        await role.start()
        async with connect(f"ws://127.0.0.1:{role.port}/") as client:
            await client.send(json.dumps({"action": "auth", "params": "any"}))
            assert "auth_success" in str(await client.recv())
            await client.send(
                json.dumps({"action": "subscribe", "params": "1Ms.*,2Ms.*,3Ms.*,1Ms.A,2Ms.A,1Ms.B,T.*"})
            )
            assert [event["message"] for event in json.loads(await client.recv())] == [
                "subscribed to: 1Ms.*",
                "subscribed to: 2Ms.*",
                "too many intervals, a client may have 2 of all symbols: 3Ms.*",
                "subscribed to: 1Ms.A",
                "too many intervals, a client may have 1 of one symbol: 2Ms.A",
                "subscribed to: 1Ms.B",
                "subscribed to: T.*",
            ]
        await role.stop()


@pytest.mark.parametrize("upstream", [AggregatorSettings(), FirehoseSettings()])
def test_one_client_with_all_its_topics_leaves_room_upstream_for_nine_more(
    upstream: AggregatorSettings | FirehoseSettings,
) -> None:
    of_a_client = FilteredProxySettings().server.limits.max_topics
    assert upstream.server.limits.max_topics >= 10 * of_a_client


async def test_a_client_is_told_when_it_is_all_clients_together_who_have_too_much() -> None:
    limits = replace(AggregatorSettings().server.limits, max_bar_wildcards=1, max_topics=2)
    async with ScriptedUpstream() as firehose:
        bars = Aggregator(
            AggregatorSettings(server=ServerSettings(port=0, limits=limits), firehose_url=firehose.url),
            Metrics(),
        )
        await bars.start()
        url = f"ws://127.0.0.1:{bars.port}"
        proxy = FilteredProxy(
            FilteredProxySettings(
                server=ServerSettings(port=0), firehose_url=firehose.url, aggregator_url=url
            ),
            Metrics(),
        )
        await proxy.start()
        try:
            async with connect(f"ws://127.0.0.1:{proxy.port}/") as client:
                await client.send(json.dumps({"action": "auth", "params": "any"}))
                await client.recv()
                await client.send(json.dumps({"action": "subscribe", "params": "1Ms.*,2Ms.*,3Ms.X,3Ms.Y"}))
                refused: set[str] = set()
                while len(refused) < 2:
                    refused |= {
                        e["message"] for e in json.loads(await client.recv()) if e["status"] == "error"
                    }
                assert refused == {
                    "too many intervals, all clients together may have 1 of all symbols: 2Ms.*",
                    "too many topics, all clients together may have 2: 3Ms.Y",
                }
        finally:
            await proxy.stop()
            await bars.stop()
