"""The public port under each kind of attack: the limit holds and is counted, healthy clients get every byte, newcomers
are served afterwards.

Each kind is one of ``benchmarks.hostile.attackers``, which measures what it costs. Here nothing depends on how long
something takes.
"""

import asyncio
import json
import logging
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from scripted_upstream import PATIENCE, ScriptedUpstream

from benchmarks.hostile.frames import UPGRADE, FrameParser, masked, request
from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.settings import FilteredProxySettings, ServerSettings
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.connection_limits import ConnectionLimits
from fproxy.shell.upstream import UpstreamOptions

KEY = "kEy-6b2d"
OWN, STRANGE = "127.0.0.1", "127.0.0.2"
MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever is sent, nothing of ours fails."""
    yield
    ours = [record for record in caplog.get_records("call") if record.name.startswith("fproxy")]
    assert not [record.getMessage() for record in ours if record.levelno >= logging.ERROR]


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


async def trickle(caller: Caller, data: bytes) -> None:
    """Send a byte at a time, over and over, until the connection ends."""
    reading = asyncio.create_task(caller.until_ended())
    while not reading.done():
        for at in range(len(data)):
            if reading.done():
                break
            await caller.send(data[at : at + 1])
            await asyncio.sleep(0.001)
    await reading


async def test_slow_handshakes_end_when_their_time_is_over_however_steadily_they_come() -> None:
    async def slow(caller: Caller) -> None:
        await caller.connect()
        await caller.send(b"GET /stocks HTTP/1.1\r\n")
        await trickle(caller, b"X-Slow: 1\r\n")

    async with siege({"handshake_timeout": 0.05}) as besieged:
        await besieged.attack(slow, 20)
        assert besieged.refused("handshake") == 20


async def test_slow_auth_ends_when_its_time_is_over_however_steadily_it_comes() -> None:
    async def slow(caller: Caller) -> None:
        await caller.open()
        await trickle(caller, masked(b" " * 60_000))

    async with siege({"auth_timeout": 0.05, "handshake_timeout": 3600.0}) as besieged:
        attackers = await besieged.attack(slow, 20)
        assert besieged.count("auth_failures_total", reason="timeout") == 20
        assert all(any(b"auth_timeout" in payload for payload in caller.payloads) for caller in attackers)


async def test_slow_frames_hold_nobody_up_and_keep_no_more_than_a_message() -> None:
    async def slow(caller: Caller) -> None:
        await caller.join()
        for byte in masked(b'{"action":"subscribe","params":"T.SLOW"}'):
            await caller.send(bytes((byte,)))
            await asyncio.sleep(0)
        await caller.until_told(b"subscribed to: T.SLOW")
        for _ in range(3):  # fragments of a message that has no end
            await caller.send(masked(b"x" * 40_000, 0x01))
            await caller.send(masked(b"x" * 40_000, 0x00))
        await caller.until_ended()

    async with siege({"max_control_bytes": 64 * 1024}) as besieged:
        attackers = await besieged.attack(slow, 10)
        assert besieged.refused("protocol") == 10
        assert all(caller.payloads[-1][:2] == (1009).to_bytes(2) for caller in attackers)


async def test_silence_takes_no_place_from_anybody() -> None:
    async def silent(caller: Caller) -> None:
        await caller.connect()

    async with siege(max_unauthenticated=10) as besieged:
        await besieged.attack(silent, 100)
        await besieged.until(lambda: besieged.refused("unauthenticated") >= 90)
        await besieged.until(lambda: besieged.proxy.server.connections <= 1 + 10)
        await besieged.caller(OWN).join("T.A")


GARBAGE = {
    "for a handshake": b"\xff" + random.Random(5).randbytes(2_000),
    "for frames": UPGRADE + b"\xff" + random.Random(6).randbytes(2_000),
    # Each of these is sound, and they have no end.
    "for headers": b"GET / HTTP/1.1\r\n" + 20 * (b"X: " + b"x" * 1_000 + b"\r\n"),
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_closed_and_counted(kind: str) -> None:
    async def garbage(caller: Caller) -> None:
        await caller.connect()
        await caller.send(GARBAGE[kind])
        await caller.until_ended()

    async with siege() as besieged:
        await besieged.attack(garbage, 40)
        assert besieged.refused("protocol") == 40


async def test_a_flood_of_requests_waits_and_nobody_waits_for_it() -> None:
    asked = 600

    async def flood(caller: Caller) -> None:
        await caller.join()
        for number in range(asked):
            await caller.send(request("subscribe", f"T.F{number}") + masked(b"nonsense"))
        await besieged.until(lambda: besieged.count("held_inputs_total") >= 3)

    async with siege(max_control_rate=200) as besieged:
        attackers = await besieged.attack(flood, 3)
        await besieged.healthy.send(request("subscribe", "T.HEALTHY"))
        await besieged.healthy.until_told(b"subscribed to: T.HEALTHY")
        assert besieged.count("control_errors_total") < 3 * asked, "they are not done"
        assert f"T.F{asked - 1}" not in besieged.firehose.topics
        assert not any(caller.ended for caller in attackers)


BOMBS = {
    "commas": (
        b'{"action":"subscribe","params":"' + b"," * 1_000_000 + b'"}',
        b"too many topics in one message",
    ),
    "arrays": (b"[" + b"[]," * 340_000 + b"[]]", b"has to be an object with an action and 'params'"),
    "fields": (b'{"x":[' + b"1," * 500_000 + b'1],"params":"T.X"}', b"has to be an object with an action"),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_huge_messages_are_refused_before_they_are_read_whole(bomb: str) -> None:
    message, refusal = BOMBS[bomb]

    async def huge(caller: Caller) -> None:
        await caller.join()
        await caller.send(masked(message))
        await caller.until_told(refusal)
        await caller.send(masked(b"x" * (MEBIBYTE + 1)))
        await caller.until_ended()

    async with siege() as besieged:
        attackers = await besieged.attack(huge, 3)
        assert besieged.count("control_errors_total") == 3
        assert besieged.refused("protocol") == 3
        assert all(caller.payloads[-1][:2] == (1009).to_bytes(2) for caller in attackers)


async def test_of_a_stranger_little_is_kept() -> None:
    async def huge(caller: Caller) -> None:
        await caller.open()
        await caller.send(masked(b'{"action":"auth","params":"%s"}' % KEY.encode() + b" " * (MEBIBYTE // 2)))
        await caller.until_ended()

    async with siege() as besieged:
        attackers = await besieged.attack(huge, 3)
        assert besieged.refused("protocol") == 3
        assert all(b"more than 262144 bytes before auth" in caller.payloads[-1] for caller in attackers)


async def test_many_topics_are_limited_and_given_up_when_their_client_breaks_off() -> None:
    async def greedy(caller: Caller) -> None:
        for round_ in range(3):
            again = caller if round_ == 0 else besieged.caller()
            await again.join()
            await again.send(request("subscribe", ",".join(f"T.X{number}" for number in range(3_000))))
            await again.until_told(b"T.X2999")
            again.close()

    async with siege({"max_topics": 2_000}) as besieged:
        await besieged.attack(greedy, 3)
        assert besieged.count("control_errors_total") == 3 * 3 * 1_000
        await besieged.firehose.until(lambda: besieged.firehose.topics == {"T.A"})


async def test_a_churn_of_connections_leaves_no_place_taken() -> None:
    async def churn(caller: Caller) -> None:
        await caller.open()
        caller.close()
        for _ in range(9):
            again = besieged.caller()
            await again.open()
            again.close()

    async with siege(max_connections_per_address=20, max_unauthenticated=20) as besieged:
        await besieged.attack(churn, 10)
        await besieged.until(lambda: besieged.proxy.server.connections == 1)
        attackers = await besieged.attack(lambda caller: caller.open(), 20)
        assert all(caller.head.startswith(b"HTTP/1.1 101") for caller in attackers)


async def test_many_connections_of_an_address_are_turned_away() -> None:
    async with siege(max_connections_per_address=10) as besieged:
        attackers = await besieged.attack(lambda caller: caller.open(), 50)
        assert besieged.refused("address") == 40
        assert sum(caller.head.startswith(b"HTTP/1.1 429") for caller in attackers) == 40
        await besieged.caller(OWN).join("T.A")


async def test_guesses_at_keys_shut_their_address_out_and_nobody_else() -> None:
    async def guess(caller: Caller) -> None:
        await caller.connect()
        await caller.send(UPGRADE[:-2] + b"X-Forwarded-For: 6.6.6.6\r\n\r\n" + request("auth", "guessed"))
        await caller.until_ended()

    async with siege(max_auth_failures=2, trusted_proxies=(STRANGE,)) as besieged:
        for _ in range(2):
            await besieged.attack(guess, 1)
        [shut_out] = await besieged.attack(guess, 1)
        assert shut_out.head.startswith(b"HTTP/1.1 429")
        assert besieged.refused("auth_failures") == 1
        assert besieged.count("auth_failures_total", reason="bad_key") == 2


async def test_pings_whose_pongs_are_not_read_cost_the_connection() -> None:
    async def ping(caller: Caller) -> None:
        await caller.connect(reads_little=True)
        await caller.send(UPGRADE + request("auth", KEY))
        while not caller.ended:
            await caller.send(200 * masked(b"x" * 125, 0x89))

    async with siege({"max_unsent_bytes": 64 * 1024}) as besieged:
        await besieged.attack(ping, 2)
        assert besieged.count("slow_consumers_total", reason="bytes") == 2
        assert besieged.proxy.server.backlog.bytes < MEBIBYTE
