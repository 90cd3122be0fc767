"""``kill -9`` of each process of the demo in turn, with clients attached that check every event.

The simulated market numbers the trades of a symbol without a gap, so a client sees by itself what it has missed; which
bars there have to be it knows from the trades. What is missing must be covered by a notice, and with ``since`` nothing
may be missing that a process still has.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pytest
import websockets.client
from bar_oracle import Trade, bar_text
from massive import WebSocketClient  # type: ignore[import-untyped]
from own_ports import own_port
from running_program import TIMEOUT
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from fproxy.core.market import STOCKS
from fproxy.face.chain import LOOPBACK, Ports, demo_children
from fproxy.face.settings.sources import known_settings
from fproxy.face.supervisor import Supervisor

SYMBOLS = ("AAPL", "TSLA", "NVDA")
INTERVALS = (100, 250)
BAR_DELAY = "2000"
"""In milliseconds: longer than a trade takes on a busy machine, so that none is late."""
TOPICS = ",".join(f"{kind}.{symbol}" for kind in ("T", "Q") for symbol in SYMBOLS)
BAR_TOPICS = ",".join(f"{interval}Ms.{symbol}" for interval in INTERVALS for symbol in SYMBOLS)


def key_of(event: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a market event from all others."""
    return (event["ev"], event["sym"], event["s"] if event["ev"].endswith("Ms") else event["q"])


@dataclass
class Oracle:
    """What a client got, in order: events, and what it was told.

    Attributes:
        received: all events, statuses among them.
        joined: how often it was let in and subscribed.
        last_time: the latest time of a trade or quote.
        last_ends: when the last bar of each topic ended.
        statuses: the status events, each with its place in what was received.
        changed: set with every message.
    """

    received: list[dict[str, Any]] = field(default_factory=list)
    joined: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    last_time: int = 0
    last_ends: dict[str, int] = field(default_factory=dict)
    statuses: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def take(self, message: str | bytes) -> None:
        for event in json.loads(message):
            if event["ev"] in ("T", "Q"):
                self.last_time = max(self.last_time, event["t"])
            elif event["ev"] == "status":
                self.statuses.append((len(self.received), event))
            else:
                self.last_ends[f"{event['ev']}.{event['sym']}"] = event["e"]
            self.received.append(event)
            self.joined += event.get("message") == f"subscribed to: T.{SYMBOLS[0]}"
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def until_more(self) -> None:
        """Wait until trades of every symbol have come from now on."""
        begin = len(self.received)
        await self.until(
            lambda: {event["sym"] for event in self.received[begin:] if event["ev"] == "T"} == set(SYMBOLS)
        )

    async def until_told(self, status: str, *, since: int, upstream: str = "") -> None:
        """Wait for a status event behind a place in what was received."""
        await self.until(
            lambda: any(upstream in event.get("upstream", upstream) for event in self.told(status, since))
        )

    def told(self, status: str, since: int) -> list[dict[str, Any]]:
        """The status events behind a place in what was received."""
        return [event for at, event in self.statuses if at >= since and event["status"] == status]

    @property
    def last_join(self) -> int:
        """Where in what was received it was last let in."""
        joins = (
            at for at, event in enumerate(self.received) if event.get("message", "").startswith("subscribed")
        )
        return max(joins)

    def bars(self, symbol: str, interval: int, first: int = 0) -> dict[int, dict[str, Any]]:
        """The bars of a symbol by their beginnings, from a place on. They come in order, and none twice."""
        bars = [e for e in self.received[first:] if e["ev"] == f"{interval}Ms" and e["sym"] == symbol]
        starts = [bar["s"] for bar in bars]
        assert starts == sorted(set(starts)), f"{interval}Ms.{symbol}: {starts}"
        return dict(zip(starts, bars, strict=True))

    @property
    def last_bar_time(self) -> int:
        """Up to when there are bars of every topic; 0 when one has none yet."""
        return min(self.last_ends.values()) if len(self.last_ends) == len(BAR_TOPICS.split(",")) else 0

    def bars_amiss(self, first: int = 0) -> list[tuple[int, int]]:
        """The windows, from a place on, that have no bar, or another one than the trades in them make."""
        amiss = []
        for symbol in SYMBOLS:
            trades = [trade_of(e) for e in self.received[first:] if e["ev"] == "T" and e["sym"] == symbol]
            for interval in INTERVALS:
                bars = self.bars(symbol, interval, first)
                # The first ones may hold trades of before the client came.
                begin, end = max(min(bars), trades[0].time + 1), max(bars) + interval
                begin += -begin % interval
                windows: dict[int, list[Trade]] = {start: [] for start in bars if start >= begin}
                for trade in trades:
                    if begin <= trade.time < end:
                        windows.setdefault(trade.time - trade.time % interval, []).append(trade)
                for start, inside in windows.items():
                    text = bar_text(interval, symbol, start, inside) if inside else None
                    if bars.get(start) != (None if text is None else json.loads(text)):
                        amiss.append((start, start + interval))
        return amiss

    async def until_bars(self) -> None:
        """Wait until there are bars of all windows that end now."""
        time = self.last_time
        await self.until(lambda: self.last_bar_time > time)

    def holes(self, first: int = 0) -> list[tuple[int, int]]:
        """Where trades are missing, from a place on: the times of the trades before and after. None may come twice."""
        last: dict[str, tuple[int, int]] = {}
        holes = []
        for event in self.received[first:]:
            if event["ev"] != "T":
                continue
            number, time = int(event["i"]), event["t"]
            if event["sym"] in last:
                before, time_before = last[event["sym"]]
                assert number > before, f"{event['sym']}: {number} comes after {before}"
                if number != before + 1:
                    holes.append((time_before, time))
            last[event["sym"]] = number, time
        return holes

    def uncovered(self, first: int = 0) -> list[tuple[int, int]]:
        """The holes, and the windows without a right bar, that no notice tells of."""
        told = [
            (event["from"], event["to"])
            for event in self.received[first:]
            if event.get("status") == "upstream_reconnected" and not event["recovered"]
        ]
        # Behind a gap a window is only known to be whole if it begins when no late trade of the gap may come any more.
        bars_told = [(start, end + int(BAR_DELAY)) for start, end in told]
        return [
            hole
            for holes, notices in ((self.holes(first), told), (self.bars_amiss(first), bars_told))
            for hole in holes
            if not any(start <= hole[1] and hole[0] <= end for start, end in notices)
        ]


def trade_of(event: dict[str, Any]) -> Trade:
    conditions = event.get("c")
    return Trade(
        event["sym"],
        event["t"],
        str(event["p"]),
        str(event["s"]),
        event.get("ds"),
        None if conditions is None else tuple(conditions),
    )


@asynccontextmanager
async def raw_client(url: str) -> AsyncIterator[Oracle]:
    """A client that comes back whenever it is cut off, and asks for what it missed by ``since``."""
    oracle = Oracle()

    async def run() -> None:
        while True:
            # It may be killed before it has answered the handshake, too.
            with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                async with connect(url, max_queue=None, close_timeout=0.1) as connection:
                    await connection.send(json.dumps({"action": "auth", "params": "any"}))
                    request: dict[str, Any] = {"action": "subscribe"}
                    # What has the very time of the last event comes again: it is told by its number.
                    since = {"since": oracle.last_time} if oracle.joined else {}
                    await connection.send(json.dumps({**request, "params": TOPICS, **since}))
                    # Bars come later than the trades of the same time.
                    since = {"since": oracle.last_bar_time} if oracle.last_bar_time else {}
                    await connection.send(json.dumps({**request, "params": BAR_TOPICS, **since}))
                    seen = {key_of(event) for event in oracle.received if event["ev"] != "status"}
                    async for message in connection:
                        fresh = [
                            event
                            for event in json.loads(message)
                            if event["ev"] == "status" or key_of(event) not in seen
                        ]
                        oracle.take(json.dumps(fresh))
            await asyncio.sleep(0.02)  # as any program does before it tries again

    running = asyncio.create_task(run())
    try:
        yield oracle
    finally:
        running.cancel()
        (ended,) = await asyncio.gather(running, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended


@asynccontextmanager
async def official_client(url: str) -> AsyncIterator[Oracle]:
    """The vendor's own Python client, which comes back by itself and knows nothing of ``since``."""
    oracle = Oracle()
    client = WebSocketClient(
        api_key="any",
        feed=url.removeprefix("ws://").removesuffix("/stocks"),
        secure=False,
        raw=True,
        subscriptions=f"{TOPICS},{BAR_TOPICS}".split(","),
    )

    async def process(message: str | bytes) -> None:
        oracle.take(message)

    running = asyncio.create_task(client.connect(process))
    try:
        yield oracle
    finally:
        await client.close()  # it passes over a cancellation
        async with asyncio.timeout(TIMEOUT):
            await running


class Demo:
    """The processes of the demo, each started again when it has died, as it is there.

    Attributes:
        url: where clients connect.
        lines: what the processes have said, and what was said of them.
    """

    def __init__(self) -> None:
        ports = Ports(**{role: own_port() for role in ("proxy", "aggregator", "firehose")})
        children = demo_children(
            ports,
            own_port(),
            markets=[STOCKS],
            simulation=("--rate", "1500"),
            log_level="info",
            settings=known_settings(),
        )
        own = {"BAR_DELAY_MS": BAR_DELAY, "FPROXY_ADMIN_PORT": "0"}
        children = tuple(replace(child, environment={**child.environment, **own}) for child in children)
        self.url = f"ws://{LOOPBACK}:{ports.proxy}/stocks"
        self.lines: list[str] = []
        self._changed = asyncio.Event()
        # A process that a busy machine starves is not to be taken for one that hangs: the market would begin anew.
        self._supervisor = Supervisor(children, self._report, ask_interval=TIMEOUT)

    def _report(self, name: str, line: str) -> None:
        self.lines.append(f"{name}: {line}")
        self._changed.set()

    async def __aenter__(self) -> Self:
        await self._supervisor.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._supervisor.stop()

    async def kill(self, name: str) -> None:
        """Kill a process, and wait until it is started again."""
        begin = len(self.lines)
        os.kill(self._supervisor.pids[name], signal.SIGKILL)
        async with asyncio.timeout(TIMEOUT):
            while not any(f"{name}: INFO Started as process" in line for line in self.lines[begin:]):
                self._changed.clear()
                await self._changed.wait()
        assert any(f"{name}: WARNING Ended by SIGKILL" in line for line in self.lines[begin:])


async def test_whatever_is_killed_nothing_is_missing_that_is_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The official client waits for seconds before it tries again: its library's delays, which are no part of this.
    monkeypatch.setattr(websockets.client.backoff, "__defaults__", (0.05, 0.05, 0.1, 1.5))
    async with Demo() as demo, raw_client(demo.url) as raw, official_client(demo.url) as official:
        await raw.until_more()
        await official.until_more()
        await raw.until(lambda: raw.last_bar_time)

        # The proxy: whoever asks since its last event gets everything.
        at, joined = len(raw.received), (raw.joined, official.joined)
        await demo.kill("proxy")
        await raw.until(lambda: raw.joined > joined[0])
        await raw.until(lambda: len(raw.told("replayed", at)) == 2)
        told = raw.told("replayed", at)
        assert all(event["complete"] for event in told), told
        assert not [event for event in raw.received[at:] if event.get("upstream")], "no outage is told of"
        await raw.until_more()
        await official.until(lambda: official.joined > joined[1])
        await official.until_more()

        # The aggregator: trades and quotes do not notice, and bars come late, those of before the proxy's end included.
        at, official_at = len(raw.received), len(official.received)
        await demo.kill("aggregator")
        for client, since, before in ((raw, 0, at), (official, official.last_join, official_at)):
            await client.until_told("upstream_reconnected", since=before, upstream="ms-aggregator")
            await client.until_bars()
            assert client.holes(since) == []
            assert client.bars_amiss(since) == []
        told = raw.told("upstream_reconnected", at)
        assert [event["recovered"] for event in told] == [True]
        assert not [event for event in raw.received[at:] if event.get("upstream") == "firehose"]

        # The firehose: what it did not take nobody has, and that is told.
        begin = len(raw.received), len(official.received)
        await demo.kill("firehose")
        for client, first, since in ((raw, begin[0], 0), (official, begin[1], official.last_join)):
            await client.until_told("upstream_reconnected", since=first, upstream="firehose")
            await client.until_bars()
            assert client.holes(since), "some of the market was missed"
            assert client.uncovered(since) == []

        # The market: it begins anew, and so do its numbers.
        begin = len(raw.received), len(official.received)
        await demo.kill("market")
        for client, first in ((raw, begin[0]), (official, begin[1])):
            await client.until_told("upstream_disconnected", since=first, upstream="firehose")
            await client.until_told("upstream_reconnected", since=first, upstream="firehose")
            await client.until_more()
    said = "\n".join(demo.lines)
    assert "has no effect" not in said, "a setting of this test is not one"
    assert "Traceback" not in said, said[said.index("Traceback") :][:4000]
