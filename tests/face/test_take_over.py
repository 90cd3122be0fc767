"""A restart under load without a gap: real processes, and clients that check every event."""

import asyncio
import json
import re
import signal
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from own_ports import own_port
from running_program import TIMEOUT, Program, StartProgram
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fproxy.shell import takeover_socket

pytestmark = pytest.mark.skipif(not takeover_socket.is_supported(), reason="Linux tells whose a process is")

RATE = 5_000
"""Events a second of the simulated market: a fifth of them trades."""


class Oracle:
    """A client that comes back whenever it is let go, and knows which trades of each symbol it must have.

    The simulated market numbers the trades of each symbol without a gap.

    Attributes:
        closed: the close codes with which it was let go.
        connections: how often it has connected.
    """

    def __init__(self, port: int, topics: str, *, asks: bool) -> None:
        self.closed: list[int | None] = []
        self.connections = 0
        self._port = port
        self._topics = topics
        self._asks = asks  # for what has passed, since the last event; else it relies on --resume
        self._last_time: int | None = None
        self._seen: dict[str, set[int]] = {}
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while True:
            async with connect(
                f"ws://127.0.0.1:{self._port}/", max_size=None, max_queue=None, ping_interval=None
            ) as connection:
                self.connections += 1
                try:
                    await self._follow(connection)
                except ConnectionClosed:
                    self.closed.append(connection.close_code)

    async def _follow(self, connection: ClientConnection) -> None:
        await connection.send(json.dumps({"action": "auth", "params": str(id(self))}))
        subscribe: dict[str, Any] = {"action": "subscribe", "params": self._topics}
        if self._asks and self._last_time is not None:
            subscribe["since"] = self._last_time
        await connection.send(json.dumps(subscribe))
        async for message in connection:
            for event in json.loads(message):
                if event["ev"] == "T":
                    self._last_time = event["t"]
                    self._seen.setdefault(event["sym"], set()).add(int(event["i"]))
                else:
                    assert event.get("status") not in ("error", "upstream_disconnected"), event
                    assert event.get("complete") is not False, event

    async def until(self, condition: Any) -> None:
        """Wait until a condition holds; fail with what the client failed with."""
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.01)

    async def until_newer(self) -> None:
        """Wait until a trade that is newer than all so far has come, on the connection of now."""
        before, connections = self._last_time, self.connections
        await self.until(
            lambda: (
                self._last_time is not None
                and self._last_time > (before or 0) + 100
                and self.connections >= connections
            )
        )

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def missing(self) -> dict[str, list[int]]:
        """Return the trades between the first and the last of each symbol that have not come."""
        gaps = {
            symbol: sorted(set(range(min(seen), max(seen))) - seen) for symbol, seen in self._seen.items()
        }
        return {symbol: gap for symbol, gap in gaps.items() if gap}

    @property
    def trades(self) -> int:
        return sum(map(len, self._seen.values()))


async def newcomers(port: int) -> AsyncIterator[str]:
    """Connect again and again, and give what was said first: no connection may be refused or reset."""
    while True:
        async with connect(f"ws://127.0.0.1:{port}/stocks", ping_interval=None) as connection:
            try:
                yield json.loads(await connection.recv())[0]["status"]
            except ConnectionClosed:
                assert connection.close_code == 1012
                yield "let go"


async def metrics_of(port: int) -> str:
    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            text: str = page.read().decode()
            return text

    return await asyncio.to_thread(read)


async def test_a_restart_under_load_loses_nothing(start: StartProgram, tmp_path: Path) -> None:
    market = await start("sim", "--port", "0", "--rate", str(RATE), "--max-connections", "0")
    upstream = (await market.error_line("Now listening on port")).split()[-1]
    port, admin_port = own_port(), own_port()

    async def proxy(*arguments: str) -> Program:
        return await start(
            *("--port", str(port), "--admin-port", str(admin_port), "--resume", "on", "--drain", "500ms"),
            *("--resume-overlap", "500ms"),
            *arguments,
            FIREHOSE_URL=f"ws://127.0.0.1:{upstream}",
            MS_AGGREGATOR_URL=f"ws://127.0.0.1:{upstream}",
            FPROXY_TAKE_OVER_DIR=str(tmp_path / "run"),
        )

    serving = await proxy()
    await serving.error_lines("connected to firehose", "connected to ms-aggregator")
    clients = [
        Oracle(port, topics, asks=asks)
        for asks in (False, True)
        for topics in ("T.*", "T.AAPL,T.MSFT", "T.AAPL,Q.TSLA", "T.NVDA")
    ]
    greetings: list[str] = []

    async def knock() -> None:
        async for greeting in newcomers(port):
            greetings.append(greeting)
            await asyncio.sleep(0.005)  # not to use up the machine's ports

    knocking = asyncio.ensure_future(knock())
    async with AsyncExitStack() as stack:
        for client in clients:
            stack.push_async_callback(client.stop)
        for client in clients:
            await client.until_newer()
        succeeding = await proxy("--take-over")
        status, _, errors = await serving.finish()
        assert status == 0, errors
        assert "Another process serves port" in errors
        for client in clients:
            await client.until(lambda client=client: client.connections == 2)
            await client.until_newer()
        serving = succeeding
        await serving.error_lines("has let all its clients go", "Admin pages: http")
        metrics = await metrics_of(admin_port)
        assert re.search(r'^fproxy_upstream_up\{.*upstream="firehose".*\} 1.0$', metrics, re.MULTILINE)
        assert not knocking.done(), knocking.result()
        knocking.cancel()
        await asyncio.gather(knocking, return_exceptions=True)
    for client in clients:
        assert client.closed == [1012]
        assert client.missing() == {}
        assert client.trades > 50
    assert greetings.count("connected") > 10
    assert (await serving.finish(signal.SIGTERM))[0] == 0
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("stack",), "fproxy stack cannot take over (FPROXY_TAKE_OVER): it consists of several processes"),
        (("demo",), "fproxy demo cannot take over"),
        (("firehose",), "its vendor allows an account one connection"),
        (("aggregator",), "the bars whose windows are open cannot be handed over"),
        (("sim",), "its market goes on in the process that it began in"),
        (("--workers", "2"), "--workers cannot take over"),
        (("--port", "0"), "--take-over needs the port"),
        (("--firehose-url", "wss://socket.massive.com/stocks"), "socket.massive.com allows an account one"),
    ],
)
async def test_where_it_cannot_be_it_is_refused(
    start: StartProgram, arguments: tuple[str, ...], wanted: str
) -> None:
    status, _, errors = await (await start(*arguments, FPROXY_TAKE_OVER="1", POLYGON_API_KEY="k")).finish()
    assert status == 2
    assert wanted in errors.replace("\n", " ")


async def test_one_that_cannot_become_ready_ends_and_the_first_goes_on(
    start: StartProgram, tmp_path: Path
) -> None:
    market = await start("sim", "--port", "0", "--max-connections", "0")
    upstream = (await market.error_line("Now listening on port")).split()[-1]
    port = own_port()
    settings = {
        "FILTERED_PROXY_PORT": str(port),
        "MS_AGGREGATOR_URL": f"ws://127.0.0.1:{upstream}",
        "FPROXY_TAKE_OVER_DIR": str(tmp_path / "run"),
    }
    serving = await start(FIREHOSE_URL=f"ws://127.0.0.1:{upstream}", **settings)
    await serving.error_line("connected to firehose")
    async with connect(f"ws://127.0.0.1:{port}/stocks") as client:
        await client.recv()
        program = await start(
            "--take-over", "--take-over-timeout", "1", FIREHOSE_URL="ws://127.0.0.1:1", **settings
        )
        status, _, errors = await program.finish()
        assert status == 1
        assert (
            f"could not take over: this process was not ready within 1 s; process {serving.process.pid} goes on"
            in (errors)
        )
        assert "serving on as if nothing had happened" in await serving.error_line("did not take over")
        await client.send(json.dumps({"action": "auth", "params": "any"}))
        assert "auth_success" in str(await client.recv())
    assert (await serving.finish(signal.SIGTERM))[0] == 0
