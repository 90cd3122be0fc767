"""The vendor's own clients on every market: by their ``market`` argument alone, each event is parsed into its model."""

import asyncio
import json
import logging
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from massive import WebSocketClient
from massive.websocket.models import MARKET_EVENT_MAP
from massive.websocket.models import Market as OfficialMarket
from scripted_upstream import PATIENCE, until_up

from fproxy.core.market import MARKETS
from fproxy.metrics import Metrics
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.market_settings import everything_of
from fproxy.roles.settings import AggregatorSettings, FilteredProxySettings, FirehoseSettings, ServerSettings
from fproxy.roles.simulator import Simulator
from fproxy.roles.simulator_settings import SimulatorSettings

RATE = 150.0
"""Events a second in each market."""

MINUTE = 4.0
"""How long a minute of theirs takes, in seconds: the rest of it is left out, so that their minute bars come soon."""


def hasty_clock() -> Callable[[], float]:
    """Return a clock that leaves out the most of every minute."""
    began = time.time()

    def clock() -> float:
        passed = time.time() - began
        return began + passed + (60 - MINUTE) * int(passed / MINUTE)

    return clock


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a proxy with every market, behind a firehose and an aggregator, behind simulated markets."""
    markets = tuple(MARKETS.values())
    common: dict[str, Any] = {"markets": markets, "server": ServerSettings(port=0), "polygon_api_key": "any"}
    async with AsyncExitStack() as stack:

        async def run(role: Any) -> str:
            await role.start()
            stack.push_async_callback(role.stop)
            return f"ws://127.0.0.1:{role.port}/stocks"

        simulation = SimulatorSettings(markets=markets, server=ServerSettings(port=0), rate=RATE)
        vendor = await run(Simulator(simulation, Metrics(), clock=hasty_clock()))
        firehose = await run(Firehose(FirehoseSettings(vendor_url=vendor, **common), Metrics()))
        aggregator = await run(Aggregator(AggregatorSettings(firehose_url=firehose, **common), Metrics()))
        proxy = FilteredProxy(
            FilteredProxySettings(firehose_url=firehose, aggregator_url=aggregator, **common), Metrics()
        )
        await run(proxy)
        for served in proxy.markets.values():
            await until_up(*served.streams.values())
        yield proxy.port


class Warned(logging.Handler):
    """Keeps what the client warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def test_the_python_client_parses_every_type_of_every_market(port: int) -> None:
    warned = Warned()
    logging.getLogger("WebSocketClient").addHandler(warned)
    try:
        async with asyncio.TaskGroup() as followers:
            for official in OfficialMarket:
                followers.create_task(follow(port, official))
    finally:
        logging.getLogger("WebSocketClient").removeHandler(warned)
    assert warned.lines == []


async def follow(port: int, official: OfficialMarket) -> None:
    """Follow one market with the client until each type has come that the topic ``*`` means, as its model."""
    missing = set(everything_of(MARKETS[official.value]))
    client = WebSocketClient(
        api_key="any",
        feed=f"127.0.0.1:{port}",
        market=official.value,
        secure=False,
        subscriptions=[f"{event_type}.*" for event_type in missing],
    )
    done = asyncio.Event()

    async def take(events: list[Any]) -> None:
        for event in events:
            assert type(event) is MARKET_EVENT_MAP[official][event.event_type]
            symbols = [getattr(event, name, None) for name in ("symbol", "pair", "ticker")]
            assert any(symbols), event
            missing.discard(event.event_type)
        if not missing:
            done.set()

    listening = asyncio.create_task(client.connect(take))
    waiting = asyncio.create_task(done.wait())
    await asyncio.wait((listening, waiting), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert not missing, f"{official.value}: never came"
    await client.close()
    await listening


async def test_the_javascript_client_gets_every_market(port: int, javascript_client: Path) -> None:
    async with asyncio.TaskGroup() as followers:
        for official in OfficialMarket:
            followers.create_task(follow_in_javascript(port, official, javascript_client))


async def follow_in_javascript(port: int, official: OfficialMarket, program: Path) -> None:
    """Run the program until it has printed an event of a market's first type."""
    event_type = next(iter(MARKETS[official.value].event_types))
    process = await asyncio.create_subprocess_exec(
        *("node", program, f"ws://127.0.0.1:{port}", f"{event_type}.*", official.value),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            while json.loads(await process.stdout.readline())["ev"] != event_type:
                pass
    finally:
        process.kill()
        await process.wait()
