"""A simulator over real sockets with the clock in the test's hand, and clients of it."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from fproxy.metrics import Metrics
from fproxy.roles.settings import ServerSettings
from fproxy.roles.simulator import Simulator
from fproxy.roles.simulator_settings import SimulatorSettings
from fproxy.simulation.market import Frame, Market

START = 1_767_623_400_000
RATE = 3_000.0
SYMBOLS = 12

Event = dict[str, Any]


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.milliseconds = START

    def __call__(self) -> float:
        return self.milliseconds / 1_000


def settings(**changed: Any) -> SimulatorSettings:
    server = {key: changed.pop(key) for key in ("client_keys", "limits") if key in changed}
    defaults = {"server": ServerSettings(port=0, **server), "rate": RATE, "seed": 4, "symbols": SYMBOLS}
    values: dict[str, Any] = defaults | changed
    return SimulatorSettings(**values)


@asynccontextmanager
async def simulator(
    clock: Callable[[], float], metrics: Metrics | None = None, **changed: Any
) -> AsyncIterator[Simulator]:
    simulated = Simulator(settings(**changed), metrics or Metrics(), clock=clock)
    await simulated.start()
    try:
        yield simulated
    finally:
        await simulated.stop()


def market(rate: float = RATE) -> Market:
    """Return the market that the simulator simulates, to compare with."""
    return Market(seed=4, start=START, rate=rate, symbols=SYMBOLS)


def decoded(frames: list[Frame]) -> list[Event]:
    return [event for frame in frames for event in json.loads(frame.payload)]


def events_until(until: int) -> list[Event]:
    return decoded(market().advance(until))


def topic(event: Event) -> str:
    return f"{event['ev']}.{event['T'] if event['ev'] == 'LULD' else event['sym']}"


async def receive(client: ClientConnection) -> list[Event]:
    message = await client.recv()
    assert isinstance(message, str)
    events = json.loads(message)
    assert isinstance(events, list)
    return events


async def send(client: ClientConnection, action: str, params: str) -> list[Event]:
    """Send a request and return its answer, leaving out data that was on its way."""
    await client.send(json.dumps({"action": action, "params": params}))
    while True:
        events = await receive(client)
        if events[0]["ev"] == "status":
            return events


@asynccontextmanager
async def vendor_client(
    port: int, topics: str = "", key: str = "key", path: str = "/stocks"
) -> AsyncIterator[ClientConnection]:
    """Connect as to the vendor, authenticate and subscribe."""
    async with connect(f"ws://127.0.0.1:{port}{path}", proxy=None, max_queue=None) as client:
        assert await receive(client) == [
            {"ev": "status", "status": "connected", "message": "Connected Successfully"}
        ]
        assert await send(client, "auth", key) == [
            {"ev": "status", "status": "auth_success", "message": "authenticated"}
        ]
        if topics:
            for topic, status in zip(topics.split(","), await send(client, "subscribe", topics), strict=True):
                assert status == {"ev": "status", "status": "success", "message": f"subscribed to: {topic}"}
        yield client


async def receive_events(client: ClientConnection, count: int) -> list[Event]:
    events: list[Event] = []
    while len(events) < count:
        events += await receive(client)
    return events
