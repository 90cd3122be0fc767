"""The firehose over real sockets: one vendor in, everything out to everybody."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from massive import WebSocketClient
from massive.websocket.models import EquityTrade
from scripted_upstream import PATIENCE, ScriptedUpstream, until_up
from websockets.asyncio.client import ClientConnection, connect

from fproxy.metrics import Metrics
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import FirehoseSettings, ServerSettings
from fproxy.shell.upstream import UpstreamOptions

KEY = "kEy-77aa"
TRADES = b'[ {"ev":"T","sym":"AAPL","p":1.50} ,{"ev":"T","sym":"MSFT","p":2}]'
QUOTE = b'[{"ev":"Q","sym":"AAPL","bp":1.5}]'


@asynccontextmanager
async def running(vendor: ScriptedUpstream, **settings: Any) -> AsyncIterator[Firehose]:
    firehose = Firehose(
        FirehoseSettings(
            server=ServerSettings(port=0, client_keys=(KEY,)),
            upstream=UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02),
            vendor_url=vendor.url + "/stocks",
            polygon_api_key="vendor-key",
            unsubscribe_linger=0.0,
            **settings,
        ),
        Metrics(),
    )
    await firehose.start()
    try:
        await until_up(firehose.markets["stocks"].stream)
        yield firehose
    finally:
        await firehose.stop()


@pytest.fixture
async def vendor() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as vendor:
        yield vendor


async def join(firehose: Firehose, *topics: str) -> ClientConnection:
    client = await connect(f"ws://127.0.0.1:{firehose.port}/stocks")
    assert b"connected" in await received(client)
    await client.send(json.dumps({"action": "auth", "params": KEY}))
    assert b"auth_success" in await received(client)
    if topics:
        await client.send(json.dumps({"action": "subscribe", "params": ",".join(topics)}))
        answers = 0
        while answers < len(topics):
            answers += (await received(client)).count(b'"message"')
    return client


async def received(client: ClientConnection) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await client.recv(decode=False)


async def test_the_vendor_is_asked_for_every_type_once(vendor: ScriptedUpstream) -> None:
    async with running(vendor) as firehose:
        await vendor.until_subscribed("T.*", "Q.*", "A.*", "AM.*", "LULD.*", "FMV.*")
        client = await join(firehose, "NOI.AAPL", "T.AAPL")
        await client.close()
        assert vendor.topics == {"T.*", "Q.*", "A.*", "AM.*", "LULD.*", "FMV.*"}
        assert vendor.connections == 1
        assert vendor.messages[0] == {"action": "auth", "params": "vendor-key"}


async def test_the_types_are_a_setting(vendor: ScriptedUpstream) -> None:
    async with running(vendor, data_types=("T", "NOI")):
        await vendor.until_subscribed("T.*", "NOI.*")
        assert vendor.topics == {"T.*", "NOI.*"}


async def test_every_message_goes_to_every_client_as_it_came(vendor: ScriptedUpstream) -> None:
    async with running(vendor) as firehose:
        await vendor.until_subscribed("T.*")
        clients = [await join(firehose), await join(firehose, "A.MSFT"), await join(firehose, "*")]
        for message in (TRADES, QUOTE, b'{"ev":"ODD"}'):
            await vendor.send(message)
        for client in clients:
            assert [await received(client) for _ in range(3)] == [TRADES, QUOTE, b'{"ev":"ODD"}']
            await client.close()


async def test_on_demand_the_vendor_is_asked_for_what_clients_want(vendor: ScriptedUpstream) -> None:
    async with running(vendor, on_demand=True) as firehose:
        one, other = await join(firehose, "T.AAPL", "A.AAPL"), await join(firehose, "T.AAPL", "Q.*")
        await vendor.until_subscribed("T.AAPL", "A.AAPL", "Q.*")
        assert vendor.topics == {"T.AAPL", "A.AAPL", "Q.*"}
        await vendor.send(QUOTE)
        assert await received(one) == await received(other) == QUOTE
        await one.close()
        await vendor.until(lambda: vendor.topics == {"T.AAPL", "Q.*"})
        everything = await join(firehose, "*")
        await vendor.until_subscribed("T.*", "Q.*", "LULD.*", "FMV.*", "A.*", "AM.*")
        await everything.close()
        await other.close()


async def test_on_demand_a_topic_is_answered_as_the_vendor_answers_it() -> None:
    async with ScriptedUpstream(refuses=["NOI.AAPL"]) as vendor, running(vendor, on_demand=True) as firehose:
        client = await join(firehose)
        await client.send(json.dumps({"action": "subscribe", "params": "T.AAPL,NOI.AAPL"}))
        assert await answers(client, 2) == {
            ("success", "subscribed to: T.AAPL"),
            ("error", "not authorized: NOI.AAPL"),
        }
        await client.close()


async def test_on_demand_no_topic_is_acknowledged_before_the_vendor_has() -> None:
    async with ScriptedUpstream() as vendor, running(vendor, on_demand=True) as firehose:
        vendor.answers = False
        client = await join(firehose)
        await client.send(json.dumps({"action": "subscribe", "params": "T.AAPL"}))
        await vendor.until_subscribed("T.AAPL")
        await vendor.send(TRADES)
        assert await received(client) == TRADES, "what comes before the acknowledgement is no promise"
        await vendor.send(b'[{"ev":"status","status":"success","message":"subscribed to: T.AAPL"}]')
        assert await answers(client, 1) == {("success", "subscribed to: T.AAPL")}
        other = await join(firehose, "T.AAPL")  # what the vendor has acknowledged is so at once
        await other.close()
        await client.close()


async def test_on_demand_a_vendor_that_is_lost_leaves_no_topic_unanswered() -> None:
    async with ScriptedUpstream() as vendor, running(vendor, on_demand=True) as firehose:
        vendor.answers = False
        client = await join(firehose)
        await client.send(json.dumps({"action": "subscribe", "params": "T.AAPL"}))
        await vendor.until_subscribed("T.AAPL")
        await vendor.stop()
        first, second = json.loads(await received(client)) + json.loads(await received(client))
        lost, answer = (first, second) if first["status"] == "upstream_disconnected" else (second, first)
        assert lost["status"] == "upstream_disconnected"
        assert answer["message"] == "subscribed to: T.AAPL"
        await client.send(json.dumps({"action": "subscribe", "params": "T.MSFT"}))
        assert await answers(client, 1) == {("success", "subscribed to: T.MSFT")}
        assert json.loads(await received(client)) == [lost]
        await client.close()


async def test_on_demand_a_vendor_that_is_back_acknowledges_before_we_do() -> None:
    """A topic that is asked for while the first requests are being answered waits for its own answer."""
    async with ScriptedUpstream() as vendor, running(vendor, on_demand=True) as firehose:
        client = await join(firehose, "T.AAPL")
        await vendor.stop()
        assert json.loads(await received(client))[0]["status"] == "upstream_disconnected"
        vendor.answers = False
        await vendor.start()
        await vendor.send_when_connected(b'[{"ev":"status","status":"auth_success","message":""}]')
        await vendor.until_subscribed("T.AAPL")
        await client.send(json.dumps({"action": "subscribe", "params": "T.MSFT"}))
        await vendor.until_subscribed("T.MSFT")
        # The first request is answered, so the stream is whole; the second is not.
        await vendor.send(b'[{"ev":"status","status":"success","message":"subscribed to: T.AAPL"}]')
        told: list[str] = []
        while "upstream_reconnected" not in told:
            told += [event["status"] for event in json.loads(await received(client))]
        assert "success" not in told
        await vendor.send(b'[{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}]')
        assert await answers(client, 1) == {("success", "subscribed to: T.MSFT")}
        await client.close()


async def test_on_demand_a_confirmed_wildcard_answers_for_what_it_covers() -> None:
    async with ScriptedUpstream() as vendor, running(vendor, on_demand=True) as firehose:
        vendor.answers = False
        client = await join(firehose)
        for params in ("T.*", "T.AAPL", "T.AAPL"):
            await client.send(json.dumps({"action": "subscribe", "params": params}))
        await vendor.until_subscribed("T.*")
        await vendor.send(b'[{"ev":"status","status":"success","message":"subscribed to: T.*"}]')
        got: list[str] = []
        while len(got) < 3:
            got += [event["message"] for event in json.loads(await received(client))]
        assert sorted(got) == ["subscribed to: T.*", "subscribed to: T.AAPL", "subscribed to: T.AAPL"]
        await client.close()


async def test_on_demand_what_is_given_up_while_it_waits_is_answered_all_the_same() -> None:
    async with ScriptedUpstream() as vendor, running(vendor, on_demand=True) as firehose:
        vendor.answers = False
        client = await join(firehose)
        await client.send(json.dumps({"action": "subscribe", "params": "T.AAPL"}))
        await client.send(json.dumps({"action": "unsubscribe", "params": "T.AAPL"}))
        told: list[str] = []
        while len(told) < 2:
            told += [event["message"] for event in json.loads(await received(client))]
        assert told == ["subscribed to: T.AAPL", "unsubscribed to: T.AAPL"]
        await client.close()


async def answers(client: ClientConnection, count: int) -> set[tuple[str, str]]:
    """The statuses and messages of the next answers, in whatever messages they come."""
    found: set[tuple[str, str]] = set()
    while len(found) < count:
        found |= {(event["status"], event["message"]) for event in json.loads(await received(client))}
    return found


@pytest.mark.parametrize("on_demand", [False, True])
async def test_bars_that_no_vendor_has_are_refused(vendor: ScriptedUpstream, on_demand: bool) -> None:
    async with running(vendor, on_demand=on_demand) as firehose:
        client = await join(firehose)
        await client.send(json.dumps({"action": "subscribe", "params": "100Ms.AAPL,T.AAPL"}))
        assert await answers(client, 2) == {
            ("error", "not served by a firehose: 100Ms.AAPL"),
            ("success", "subscribed to: T.AAPL"),
        }
        if on_demand:
            await vendor.until_subscribed("T.AAPL")
            assert vendor.topics == {"T.AAPL"}
        await client.close()


async def test_many_refusals_at_once_are_told_in_few_messages() -> None:
    topics = [f"NOI.S{number}" for number in range(300)]
    async with ScriptedUpstream(refuses=topics) as vendor, running(vendor, on_demand=True) as firehose:
        client = await join(firehose)
        await client.send(json.dumps({"action": "subscribe", "params": ",".join(topics)}))
        told: list[str] = []
        messages = 0
        while len(told) < len(topics):
            told += (status["message"] for status in json.loads(await received(client)))
            messages += 1
        assert sorted(told) == sorted(f"not authorized: {topic}" for topic in topics)
        assert messages < len(topics) / 4
        await client.close()


async def test_clients_are_told_when_the_vendor_is_lost_and_when_it_is_back(vendor: ScriptedUpstream) -> None:
    async with running(vendor) as firehose:
        client = await join(firehose)
        await vendor.send(b'[{"ev":"T","sym":"AAPL","t":1736503800000}]')
        await received(client)
        await vendor.stop()
        [lost] = json.loads(await received(client))
        assert (lost["ev"], lost["status"], lost["upstream"]) == ("status", "upstream_disconnected", "vendor")
        assert lost["since"] == 1736503800000
        late = await connect(f"ws://127.0.0.1:{firehose.port}/")
        await late.send(json.dumps({"action": "auth", "params": KEY}))
        assert b"auth_success" in await received(late)
        [told_late] = json.loads(await received(late))
        # The reason may be that of the next attempt by now.
        assert told_late | {"message": lost["message"]} == lost, "who comes meanwhile is told, too"
        await vendor.start()
        for told in (client, late):
            [back] = json.loads(await received(told))
            assert (back["status"], back["from"]) == ("upstream_reconnected", lost["since"])
            assert back["to"] > back["from"]
        await vendor.send(QUOTE)
        for told in (client, late):
            assert await received(told) == QUOTE
            await told.close()


async def test_status_events_stay_here_and_unsound_messages_too(vendor: ScriptedUpstream) -> None:
    async with running(vendor) as firehose:
        await vendor.until_subscribed("T.*")
        client = await join(firehose)
        await vendor.send(b'[{"ev":"status","status":"success","message":"subscribed to: T.*"}]')
        await vendor.send(TRADES[:-1])
        await vendor.send(QUOTE)
        assert await received(client) == QUOTE
        await client.close()


async def test_the_official_client(vendor: ScriptedUpstream) -> None:
    async with running(vendor) as firehose:
        await vendor.until_subscribed("T.*")
        got: asyncio.Queue[Any] = asyncio.Queue()
        client = WebSocketClient(
            api_key=KEY,
            feed=f"127.0.0.1:{firehose.port}",
            market="stocks",
            secure=False,
            subscriptions=["T.AAPL"],
        )
        listening = asyncio.create_task(client.connect(got.put))
        async with asyncio.timeout(PATIENCE):
            messages: list[Any] = []
            while not messages:
                await vendor.send(TRADES)
                # The client may not have joined yet: what came before is not for it.
                await asyncio.wait([listening], timeout=0.01)
                messages = [] if got.empty() else got.get_nowait()
        assert isinstance(messages[0], EquityTrade)
        assert [message.symbol for message in messages] == ["AAPL", "MSFT"]
        await client.close()
        await listening
