"""Proxies that follow each other on one port, each with upstreams of its own, and clients that keep all they get."""

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_upstream import PATIENCE, ScriptedUpstream
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fproxy.face import succession
from fproxy.face.succession import SucceedingProxy, SuccessionSettings, take_over_path
from fproxy.metrics import Metrics
from fproxy.roles.settings import FilteredProxySettings, ServerSettings
from fproxy.shell.takeover_socket import TakeOverOffer
from fproxy.shell.upstream import UpstreamOptions


def array(*numbers: int) -> bytes:
    return b"[" + b",".join(b'{"ev":"T","sym":"A","t":%d,"q":%d}' % (1_000 + n, n) for n in numbers) + b"]"


class Program:
    """A proxy with upstreams of its own, run as the command does."""

    def __init__(self, proxy: SucceedingProxy, firehose: ScriptedUpstream) -> None:
        self.proxy = proxy
        self.firehose = firehose
        self.ending: asyncio.Task[int] | None = None

    async def start(self) -> None:
        try:
            await self.proxy.start()
        except BaseException:
            await self.proxy.stop()
            raise
        self.ending = asyncio.create_task(self._end())

    async def _end(self) -> int:
        status = await self.proxy.until_ended()
        await self.proxy.stop()
        return status

    async def stop(self) -> None:
        if self.ending is None:
            return
        if not self.ending.done():
            self.ending.cancel()
            await asyncio.gather(self.ending, return_exceptions=True)
            await self.proxy.stop()

    @property
    def served(self) -> Any:
        """The market that is served."""
        assert self.proxy._proxy is not None
        return self.proxy._proxy.markets["stocks"]


class Client:
    """A program that keeps all that it gets."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.received: list[dict[str, Any]] = []

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.received += json.loads(await self.connection.recv())

    async def until_closed(self) -> int | None:
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    self.received += json.loads(await self.connection.recv())
            except ConnectionClosed:
                return self.connection.close_code

    async def until_status(self, status: str) -> dict[str, Any]:
        await self.until(lambda: any(event.get("status") == status for event in self.received))
        return next(event for event in self.received if event.get("status") == status)

    @property
    def numbers(self) -> list[int]:
        return [event["q"] for event in self.received if event["ev"] == "T"]


class Said(logging.Handler):
    """What the programs of this process log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.text = ""
        self._changed = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.text += f"{record.getMessage()}\n"
        self._changed.set()

    async def until(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.text.count(text) < times:
                self._changed.clear()
                await self._changed.wait()


class Stage:
    """Proxies that follow each other on one port.

    Attributes:
        said: what they log.
        offers: one for each time that one of them has begun to offer to be taken over.
    """

    def __init__(self, stack: AsyncExitStack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stack = stack
        self.folder = folder
        self.port = 0
        self.said = Said()
        offers = self.offers = asyncio.Queue[TakeOverOffer]()

        class ToldOffer(TakeOverOffer):
            def start(self) -> None:
                super().start()
                offers.put_nowait(self)

        monkeypatch.setattr(succession, "TakeOverOffer", ToldOffer)

    @property
    def path(self) -> Path:
        return take_over_path(self.folder, "127.0.0.1", self.port)

    async def program(
        self, *, take_over: bool, time_limit: float = PATIENCE, upstream: bool = True, **more: Any
    ) -> Program:
        firehose = ScriptedUpstream()
        aggregator = await self._stack.enter_async_context(ScriptedUpstream())
        if upstream:
            await self._stack.enter_async_context(firehose)
        settings = FilteredProxySettings(
            server=ServerSettings(port=self.port, drain=more.pop("drain", 0.0)),
            upstream=UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02),
            firehose_url=firehose.url if upstream else "ws://127.0.0.1:1",
            aggregator_url=aggregator.url,
            resume=True,
            resume_overlap=0.2,
        )
        proxy = SucceedingProxy(
            replace(settings, **more),
            Metrics(),
            SuccessionSettings(take_over=take_over, folder=self.folder, time_limit=time_limit, offer=True),
        )
        program = Program(proxy, firehose)
        self._stack.push_async_callback(program.stop)
        return program

    async def first(self, **more: Any) -> Program:
        program = await self.program(take_over=False, **more)
        await program.start()
        self.port = program.proxy.port
        await self.next_offer()
        await self.until(lambda: len(program.served.succession.streams_up) == 2)
        return program

    async def next_offer(self) -> None:
        """Wait until the next one offers to be taken over."""
        async with asyncio.timeout(PATIENCE):
            await self.offers.get()
        assert self.path.exists()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 (nothing to wait on)
                await asyncio.sleep(0.005)

    async def client(self, *topics: str, key: str = "any") -> Client:
        connection = await self._stack.enter_async_context(
            connect(f"ws://127.0.0.1:{self.port}/", max_size=None, max_queue=None)
        )
        client = Client(connection)
        await connection.send(json.dumps({"action": "auth", "params": key}))
        await client.until_status("auth_success")
        if topics:
            await connection.send(json.dumps({"action": "subscribe", "params": ",".join(topics)}))
            await client.until_status("success")
        return client
