"""Strangers and clients that mean harm: each kind of attack that a limit is there for, bounded in number and in time.

They come from another address of this machine than the healthy clients, so that limits for an address tell them apart.
"""

import asyncio
import multiprocessing
import os
import random
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from benchmarks.hostile.cores import stand_back
from benchmarks.hostile.frames import UPGRADE, masked, request

ADDRESS: Final = "127.0.0.2"


@dataclass(frozen=True)
class Target:
    """Whom to attack, and for how long.

    Attributes:
        port: of the proxy.
        key: one that is let in.
        seconds: how long.
        cores: where the attackers run, on what others leave there.
    """

    port: int
    key: str
    seconds: float
    cores: frozenset[int]


class Attacker:
    """One connection of an attack, which is dropped when the context ends."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket()

    async def __aenter__(self) -> "Attacker":
        self._socket.setblocking(False)
        self._socket.bind((ADDRESS, 0))
        await self._loop.sock_connect(self._socket, ("127.0.0.1", self._target.port))
        return self

    async def __aexit__(self, *error: object) -> None:
        self._socket.close()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._socket, 1 << 16)

    async def open(self) -> None:
        """Do the opening handshake."""
        await self.send(UPGRADE)
        if not (await self.receive()).startswith(b"HTTP/1.1 101"):
            raise ConnectionError("refused")

    async def join(self) -> None:
        """Do it, and authenticate."""
        await self.open()
        await self.send(request("auth", self._target.key))
        while b"auth_success" not in (answer := await self.receive()):
            if not answer:
                raise ConnectionError("refused")

    async def trickle(self, data: bytes, interval: float) -> None:
        """Send a byte at a time."""
        for at in range(len(data)):
            await self.send(data[at : at + 1])
            await asyncio.sleep(interval)

    async def read_on(self) -> None:
        """Read whatever comes."""
        while await self.receive():
            pass


async def slow_handshakes(target: Target) -> None:
    """500 connections that send their handshake a byte a time."""

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.trickle(UPGRADE, 0.5)

    await _many(one, 500)


async def slow_frames(target: Target) -> None:
    """300 clients that send a long message a byte a time."""

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.join()
            await attacker.trickle(masked(b"x" * 100_000), 0.2)

    await _many(one, 300)


async def slow_auth(target: Target) -> None:
    """300 strangers that send their first request a byte a time."""

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.open()
            await attacker.trickle(request("auth", target.key), 0.3)

    await _many(one, 300)


async def silence(target: Target) -> None:
    """2,000 connections that say nothing."""

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.receive()

    await _many(one, 2_000)


async def garbage(target: Target) -> None:
    """20 connections, again and again, that send random bytes behind the handshake."""
    chance = random.Random(1)

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.open()
            await attacker.send(chance.randbytes(2_000))
            await attacker.read_on()

    await _many(_again(one), 20)


async def control_flood(target: Target) -> None:
    """5 clients that ask as fast as they can, some of it nonsense."""
    requests = request("subscribe", "T.A") + masked(b"nonsense") + request("unsubscribe", "T.A")

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.join()
            reading = asyncio.create_task(attacker.read_on())
            try:
                while not reading.done():
                    await attacker.send(requests)
                    await asyncio.sleep(0)
            finally:
                reading.cancel()

    await _many(_again(one), 5)


async def huge_messages(target: Target) -> None:
    """5 clients that send messages of 1 MB."""

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.join()
            reading = asyncio.create_task(attacker.read_on())
            try:
                while not reading.done():
                    await attacker.send(
                        masked(b'{"action":"subscribe","params":"' + b"," * 1_000_000 + b'"}')
                    )
            finally:
                reading.cancel()

    await _many(_again(one), 5)


async def many_topics(target: Target) -> None:
    """3 clients, again and again, that subscribe to 50,000 topics and break off."""
    topics = [
        request("subscribe", ",".join(f"T.X{n}" for n in range(at, at + 10_000)))
        for at in range(0, 50_000, 10_000)
    ]

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.join()
            for message in topics:
                await attacker.send(message)
                await attacker.receive()

    await _many(_again(one), 3)


async def connection_churn(target: Target) -> None:
    """20 at a time that connect, do the handshake and leave."""

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.open()

    await _many(_again(one), 20)


async def wrong_keys(target: Target) -> None:
    """20 at a time that guess at keys."""

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.open()
            await attacker.send(request("auth", os.urandom(8).hex()))
            await attacker.read_on()

    await _many(_again(one), 20)


async def unread_pings(target: Target) -> None:
    """10 clients that send pings, and read no pong."""

    async def one() -> None:
        async with Attacker(target) as attacker:
            await attacker.join()
            while True:
                await attacker.send(100 * masked(b"x" * 125, 0x89))
                await asyncio.sleep(0.001)

    await _many(_again(one), 10)


ATTACKS: Final[Mapping[str, Callable[[Target], Awaitable[None]]]] = MappingProxyType(
    {
        attack.__name__.replace("_", "-"): attack
        for attack in (
            slow_handshakes,
            slow_auth,
            slow_frames,
            silence,
            garbage,
            control_flood,
            huge_messages,
            many_topics,
            connection_churn,
            wrong_keys,
            unread_pings,
        )
    }
)
"""Every attack, by its name."""


async def _many(one: Callable[[], Awaitable[None]], count: int) -> None:
    async def tried() -> None:
        with suppress(OSError):
            await one()

    await asyncio.gather(*(tried() for _ in range(count)))


def _again(one: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def forever() -> None:
        while True:
            with suppress(OSError):
                await one()
            await asyncio.sleep(0.01)

    return forever


async def _for_a_while(name: str, target: Target) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(target.seconds):
            await ATTACKS[name](target)
            await asyncio.sleep(target.seconds)


def _run(name: str, target: Target) -> None:
    stand_back(target.cores)
    asyncio.run(_for_a_while(name, target))


def start_attack(name: str, target: Target) -> multiprocessing.process.BaseProcess:
    """Start an attack in a process of its own, which ends by itself."""
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(name, target), daemon=True)
    process.start()
    return process
