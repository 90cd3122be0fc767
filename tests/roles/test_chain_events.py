"""The chain end to end: a client gets what the vendor sent, event for event, and the bars that follow from it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from bar_oracle import Trade, bar_text
from market_data import split_events
from scripted_upstream import PATIENCE, ScriptedUpstream
from websockets.asyncio.client import ClientConnection, connect

from fproxy.metrics import Metrics
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import AggregatorSettings, FilteredProxySettings, FirehoseSettings, ServerSettings
from fproxy.shell.upstream import UpstreamOptions
from fproxy.simulation.market import Market

KEY = "kEy-1f07"
START = 1_767_623_400_000
TOPICS = ("T.SPY", "Q.SPY", "A.SPY", "100Ms.SPY")
DELAY = 5_000
"""How long bars wait, in milliseconds: a machine that stands still for less than this makes no trade late."""


@asynccontextmanager
async def chain(vendor: ScriptedUpstream) -> AsyncIterator[FilteredProxy]:
    """Run firehose, aggregator and proxy behind a vendor."""
    common: dict[str, Any] = {
        "server": ServerSettings(port=0, client_keys=(KEY,)),
        "upstream": UpstreamOptions(reconnect_min=0.01, reconnect_max=0.05),
        "polygon_api_key": KEY,
    }
    async with AsyncExitStack() as stack:

        async def run(role: Any) -> Any:
            await role.start()
            stack.push_async_callback(role.stop)
            return role

        firehose = await run(Firehose(FirehoseSettings(vendor_url=vendor.url, **common), Metrics()))
        firehose_url = f"ws://127.0.0.1:{firehose.port}"
        aggregator = await run(
            Aggregator(AggregatorSettings(firehose_url=firehose_url, bar_delay_ms=DELAY, **common), Metrics())
        )
        yield await run(
            FilteredProxy(
                FilteredProxySettings(
                    firehose_url=firehose_url, aggregator_url=f"ws://127.0.0.1:{aggregator.port}", **common
                ),
                Metrics(),
            )
        )


class Client:
    """A client that sorts what it gets by type, byte for byte."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: dict[str, list[bytes]] = {}

    async def ask(self, action: str, params: str) -> None:
        await self.connection.send(json.dumps({"action": action, "params": params}))
        assert b'"status"' in await self.connection.recv(decode=False)

    async def receive(self) -> None:
        for event in split_events(await self.connection.recv(decode=False)):
            self.events.setdefault(json.loads(event)["ev"], []).append(event)


def probe(number: int) -> bytes:
    """Events of every type, dated before `START`, each time so much later that bars close."""
    time = START - 3_600_000 + 2 * DELAY * number
    shared = f'"sym":"SPY","t":{time}'
    events = (
        f'{{"ev":"T",{shared},"p":1,"s":1}}',
        f'{{"ev":"Q",{shared}}}',
        f'{{"ev":"A","sym":"SPY","s":{time},"e":{time + 1000}}}',
    )
    return f"[{','.join(events)}]".encode()


def trade_of(event: bytes) -> Trade:
    found = json.loads(event, parse_float=str, parse_int=str)
    conditions = tuple(int(number) for number in found["c"]) if "c" in found else None
    return Trade(found["sym"], int(found["t"]), found["p"], found["s"], found.get("ds"), conditions)


async def test_a_client_of_the_chain_gets_what_the_vendor_sent_and_the_bars_of_it() -> None:
    async with ScriptedUpstream() as vendor, chain(vendor) as proxy:
        await vendor.until_subscribed("T.*", "Q.*", "A.*")
        async with connect(f"ws://127.0.0.1:{proxy.port}", max_size=None, max_queue=None) as connection:
            client = Client(connection)
            await client.ask("auth", KEY)
            await client.ask("subscribe", ",".join(TOPICS))
            probes = 0
            async with asyncio.timeout(PATIENCE):
                while client.events.keys() != {"T", "Q", "A", "100Ms"}:
                    await vendor.send(probe(probes))
                    probes += 1
                    try:
                        async with asyncio.timeout(0.05):
                            await client.receive()
                    except TimeoutError:
                        pass

            sent: dict[str, list[bytes]] = {}
            for frame in Market(seed=5, start=START, rate=400, symbols=4).advance(START + 30_000):
                await vendor.send(frame.payload)
                for event in split_events(frame.payload):
                    fields = json.loads(event)
                    if fields.get("sym") == "SPY":
                        sent.setdefault(fields["ev"], []).append(event)

            trades = [trade_of(event) for event in sent["T"]]
            windows: dict[int, list[Trade]] = {}
            for trade in trades:
                windows.setdefault(trade.time - trade.time % 100, []).append(trade)
            last = max(trade.time for trade in trades)
            bars = [
                text.encode()
                for start, inside in sorted(windows.items())
                if start + 100 + DELAY <= last and (text := bar_text(100, "SPY", start, inside)) is not None
            ]
            assert len(bars) > 50
            expected = {"T": sent["T"], "Q": sent["Q"], "A": sent["A"], "100Ms": bars}

            def from_market(event_type: str) -> list[bytes]:
                time = "t" if event_type in "TQ" else "s"
                return [event for event in client.events[event_type] if json.loads(event)[time] >= START]

            async with asyncio.timeout(PATIENCE):
                while any(
                    len(from_market(event_type)) < len(events) for event_type, events in expected.items()
                ):
                    await client.receive()
            for event_type, events in expected.items():
                # By the time all is compared, the clock may have closed more windows.
                assert from_market(event_type)[: len(events)] == events, event_type
