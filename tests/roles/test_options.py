"""Options through a proxy, with and without a firehose: chains by prefix, and the vendor's limit of 1,000 quotes."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from simulator_harness import receive, send, vendor_client

from fproxy.core.market import MARKETS
from fproxy.metrics import Metrics
from fproxy.roles.filtered_market import FilteredMarket
from fproxy.roles.firehose_market import FirehoseMarket
from fproxy.roles.served_markets import ServedMarkets
from fproxy.roles.settings import FilteredProxySettings, FirehoseSettings, ServerSettings
from fproxy.roles.simulator import Simulator
from fproxy.roles.simulator_settings import SimulatorSettings
from fproxy.simulation.options import contracts

OPTIONS = MARKETS["options"]
SERVER = ServerSettings(port=0)
LIMIT = 1_000
TOO_MANY = "too many symbols: the vendor sends Q of at most 1000 options a connection"


def quotes() -> list[str]:
    """Topics of the quotes of every contract of the simulated market, the most active first."""
    return [f"Q.{contract.symbol}" for contract in contracts(time.time_ns() // 1_000_000)]


@asynccontextmanager
async def proxy_of_options(*, behind_firehose: bool) -> AsyncIterator[int]:
    """Run a proxy, and yield its port."""
    async with roles_of_options(behind_firehose=behind_firehose) as ports:
        yield ports[-1]


@asynccontextmanager
async def roles_of_options(*, behind_firehose: bool) -> AsyncIterator[list[int]]:
    """Run a simulator, a firehose if wanted and a proxy, and yield their ports."""
    simulator = Simulator(SimulatorSettings(server=SERVER, markets=(OPTIONS,)), Metrics())
    await simulator.start()
    url = f"ws://127.0.0.1:{simulator.port}/options"
    roles: list[ServedMarkets] = [simulator]
    if behind_firehose:
        settings = FirehoseSettings(server=SERVER, vendor_url=url, data_types=("T", "FMV", "A", "AM"))
        firehose = ServedMarkets([FirehoseMarket(OPTIONS, settings, Metrics())], SERVER, Metrics())
        await firehose.start()
        url = f"ws://127.0.0.1:{firehose.port}/options"
        roles.append(firehose)
    proxy_settings = FilteredProxySettings(
        server=SERVER, firehose_url=url, aggregator_url="ws://127.0.0.1:1/options"
    )
    proxy = ServedMarkets([FilteredMarket(OPTIONS, proxy_settings, Metrics())], SERVER, Metrics())
    await proxy.start()
    try:
        yield [role.port for role in (*roles, proxy)]
    finally:
        for role in (proxy, *reversed(roles)):
            await role.stop()


@pytest.mark.parametrize("behind_firehose", [False, True])
async def test_what_is_over_the_limit_is_refused_and_clients_that_leave_make_room(
    behind_firehose: bool,
) -> None:
    topics = quotes()
    async with (
        proxy_of_options(behind_firehose=behind_firehose) as port,
        vendor_client(port, path="/options") as first,
        vendor_client(port, path="/options") as second,
    ):
        answers = await send(first, "subscribe", ",".join(topics[20 : 20 + LIMIT]))
        assert {answer["status"] for answer in answers} == {"success"}
        answers = await send(second, "subscribe", f"{topics[0]},{topics[20]},T.*")
        assert [answer["status"] for answer in answers] == ["error", "success", "success"]
        assert answers[0]["message"] == f"{TOO_MANY}: {topics[0]}"
        # What was refused is not held: nothing of it comes when there is room, unless it is asked for again. What is
        # given up makes room at once, though it would linger else.
        await send(first, "unsubscribe", ",".join(topics[1_000 : 20 + LIMIT]))
        await send(second, "unsubscribe", "T.*")
        answers = await send(second, "subscribe", ",".join(topics[1:20]))
        assert {answer["status"] for answer in answers} == {"success"}
        waited = set(topics[1:10])
        while waited:
            for event in await receive(second):
                assert event["ev"] != "status", event
                assert f"Q.{event['sym']}" != topics[0]
                waited.discard(f"Q.{event['sym']}")


async def test_what_another_client_of_the_firehose_left_no_room_for_is_to_be_had_when_it_has_left() -> None:
    topics = quotes()
    async with (
        roles_of_options(behind_firehose=True) as (_, firehose, proxy),
        vendor_client(firehose, path="/options") as other,
        vendor_client(proxy, path="/options") as client,
    ):
        answers = await send(other, "subscribe", ",".join(topics[1 : 1 + LIMIT]))
        while len(answers) < LIMIT:  # they come as the vendor's do
            answers += [event for event in await receive(other) if event["ev"] == "status"]
        assert {answer["status"] for answer in answers} == {"success"}
        # A proxy acknowledges at once, and tells of a refusal behind it.
        answers = await send(client, "subscribe", topics[0])
        answers += await receive(client) if len(answers) == 1 else []
        assert answers[-1]["message"] == f"{TOO_MANY}: {topics[0]}"
        await send(other, "unsubscribe", topics[LIMIT])
        await send(client, "unsubscribe", topics[0])
        answers = await send(client, "subscribe", topics[0])
        assert [answer["status"] for answer in answers] == ["success"]
        event = (await receive(client))[0]
        assert (event["ev"], event.get("sym")) == ("Q", topics[0].removeprefix("Q."))


@pytest.mark.parametrize("behind_firehose", [False, True])
async def test_a_chain_is_one_topic(behind_firehose: bool) -> None:
    async with (
        proxy_of_options(behind_firehose=behind_firehose) as port,
        vendor_client(port, path="/options") as client,
        vendor_client(port, "T.O:TSLA2*", path="/options") as other,
    ):
        answers = await send(client, "subscribe", "T.O:SPY2*,T.O:SP*,Q.O:SPY2*,FMV.O:QQQ2*")
        assert [answer["status"] for answer in answers] == ["success", "success", "error", "success"]
        no_wildcard = "no wildcard: options have Q for one symbol at a time only: 'Q.O:SPY2*'"
        assert answers[2]["message"] == no_wildcard
        found: set[tuple[str, str]] = set()
        while len(found) < 2:
            for event in await receive(client):
                assert event["sym"].startswith("O:SP" if event["ev"] == "T" else "O:QQQ2")
                found.add((event["ev"], event["sym"][:6]))
        assert all(event["sym"].startswith("O:TSLA2") for event in await receive(other))
        await send(client, "unsubscribe", "T.O:SP*,FMV.O:QQQ2*")
        assert all(event["sym"].startswith("O:SPY2") for event in await receive(client))
