"""A proxy that a test attacks: connections by hand, and a healthy client who counts its events meanwhile."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from scripted_upstream import PATIENCE, ScriptedUpstream

from benchmarks.hostile.frames import UPGRADE, FrameParser, request
from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.settings import FilteredProxySettings, ServerSettings
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.connection_limits import ConnectionLimits
from fproxy.shell.upstream import UpstreamOptions

KEY = "kEy-6b2d"
OWN, STRANGE = "127.0.0.1", "127.0.0.2"


class Caller:
    """A connection by hand, from an address of this machine; what it has read is kept."""

    def __init__(self, port: int, address: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket()
        self._parser = FrameParser()
        self._port, self._address = port, address
        self.payloads: list[bytes] = []
        self.head = b""
        self.ended = False

    async def connect(self, *, reads_little: bool = False) -> None:
        self._socket.setblocking(False)
        if reads_little:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.bind((self._address, 0))
        await self._loop.sock_connect(self._socket, ("127.0.0.1", self._port))

    async def send(self, data: bytes) -> None:
        """Send all of it, unless the connection ends before."""
        try:
            await self._loop.sock_sendall(self._socket, data)
        except ConnectionError:
            self.ended = True

    async def read(self) -> None:
        """Read what comes next."""
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self._loop.sock_recv(self._socket, 1 << 16)
        except ConnectionError:
            data = b""
        self.ended = self.ended or not data
        if not self.head and b"\r\n\r\n" in data:
            self.head, _, data = data.partition(b"\r\n\r\n")
        self.payloads += (payload for _, payload in self._parser.feed(data))

    async def until_told(self, what: bytes) -> None:
        """Read until a message says something."""
        seen = 0
        while not any(what in payload for payload in self.payloads[seen:]):
            seen = len(self.payloads)
            assert not self.ended, self.payloads[-3:]
            await self.read()

    async def until_ended(self) -> None:
        """Read until the server ends the connection."""
        while not self.ended:
            await self.read()

    async def open(self) -> None:
        await self.connect()
        await self.send(UPGRADE)
        while not self.head and not self.ended:
            await self.read()

    async def join(self, *topics: str) -> None:
        await self.open()
        await self.send(request("auth", KEY))
        await self.until_told(b"auth_success")
        if topics:
            await self.send(request("subscribe", ",".join(topics)))
            await self.until_told(f"subscribed to: {topics[-1]}".encode())

    def close(self) -> None:
        self._socket.close()


class Siege:
    """A proxy with one healthy client, who counts its events."""

    def __init__(self, firehose: ScriptedUpstream, proxy: FilteredProxy, metrics: Metrics) -> None:
        self.firehose, self.proxy, self.metrics = firehose, proxy, metrics
        self.healthy = Caller(proxy.port, OWN)
        self.sent = 0
        self._callers: list[Caller] = [self.healthy]

    def caller(self, address: str = STRANGE) -> Caller:
        self._callers.append(Caller(self.proxy.port, address))
        return self._callers[-1]

    def count(self, name: str, **labels: str) -> float:
        values = (
            self.metrics.registry.get_sample_value(f"fproxy_{name}", labels | market)
            for market in ({}, {"market": "stocks"})
        )
        return next((value for value in values if value is not None), 0.0)

    def refused(self, reason: str) -> float:
        return self.count("refused_connections_total", reason=reason)

    async def flow(self) -> None:
        """Send the next event."""
        await self.firehose.send(b'[{"ev":"T","sym":"A","i":%d}]' % self.sent)
        self.sent += 1

    async def attack(self, one: Callable[[Caller], Awaitable[None]], count: int) -> list[Caller]:
        """Have attackers do something, all at once, with data flowing; return them when they are done."""
        attackers = [self.caller() for _ in range(count)]
        attacks = asyncio.gather(*(one(attacker) for attacker in attackers))
        async with asyncio.timeout(PATIENCE):
            while not attacks.done():
                await self.flow()
                await self.healthy.until_told(b'"i":%d}' % (self.sent - 1))
                await asyncio.sleep(0.001)
        await attacks
        return attackers

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.002)

    async def ends_well(self) -> None:
        """All attackers are gone, the healthy client has every event, and newcomers of both sides are served."""
        for caller in self._callers:
            if caller is not self.healthy:
                caller.close()
        await self.until(lambda: self.proxy.server.connections == 1)
        for address in (OWN, STRANGE):
            newcomer = self.caller(address)
            await newcomer.join("T.A")
            await self.flow()
            await newcomer.until_told(b'"i":%d}' % (self.sent - 1))
        await self.healthy.until_told(b'"i":%d}' % (self.sent - 1))
        events = [payload for payload in self.healthy.payloads if b'"ev":"T"' in payload]
        assert json.loads(b"[" + b",".join(event[1:-1] for event in events) + b"]") == [
            {"ev": "T", "sym": "A", "i": number} for number in range(self.sent)
        ]

    def close(self) -> None:
        for caller in self._callers:
            caller.close()


@asynccontextmanager
async def siege(limits: Mapping[str, Any] = {}, **connections: Any) -> AsyncIterator[Siege]:
    """A proxy for clients within limits, behind an upstream, with a healthy client; it ends well."""
    async with AsyncExitStack() as stack:
        firehose = await stack.enter_async_context(ScriptedUpstream())
        aggregator = await stack.enter_async_context(ScriptedUpstream())
        metrics = Metrics()
        proxy = FilteredProxy(
            FilteredProxySettings(
                server=ServerSettings(
                    port=0,
                    client_keys=(KEY,),
                    limits=ClientLimits(**{"close_timeout": 0.1, **limits}),
                    connections=ConnectionLimits(**connections),
                ),
                upstream=UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02),
                firehose_url=firehose.url,
                aggregator_url=aggregator.url,
                polygon_api_key="upstream-key",
                unsubscribe_linger=0.0,
            ),
            metrics,
        )
        await proxy.start()
        stack.push_async_callback(proxy.stop)
        besieged = Siege(firehose, proxy, metrics)
        stack.callback(besieged.close)
        await besieged.healthy.join("T.A")
        await firehose.until_acknowledged("T.A")
        yield besieged
        await besieged.ends_well()
