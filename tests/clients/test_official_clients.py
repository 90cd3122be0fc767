"""The vendor's own clients across notices and a restart: nothing breaks, and they come back by themselves."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from massive import WebSocketClient  # type: ignore[import-untyped]
from scripted_upstream import PATIENCE, ScriptedUpstream, until_up

from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.settings import FilteredProxySettings, ServerSettings
from fproxy.shell.upstream import UpstreamOptions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="two proxies share a port")
TIME = 1_736_503_800_000


def trade(number: int) -> bytes:
    return b'[{"ev":"T","sym":"AAPL","p":1.5,"s":1,"t":%d}]' % (TIME + number)


@asynccontextmanager
async def proxy_on(port: int) -> AsyncIterator[tuple[FilteredProxy, ScriptedUpstream]]:
    """A proxy and its firehose, on a port that it may share, so that the next one can be there before this one goes."""
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        settings = FilteredProxySettings(
            server=ServerSettings(port=port, reuse_port=True),
            upstream=UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02),
            firehose_url=firehose.url,
            aggregator_url=aggregator.url,
        )
        proxy = FilteredProxy(settings, Metrics())
        await proxy.start()
        try:
            await until_up(*proxy.markets["stocks"].streams.values())
            yield proxy, firehose
        finally:
            await proxy.stop()


async def test_the_python_client_comes_back_after_a_restart() -> None:
    async with proxy_on(0) as (first, firehose):
        got: asyncio.Queue[Any] = asyncio.Queue()
        client = WebSocketClient(
            api_key="any",
            feed=f"127.0.0.1:{first.port}",
            market="stocks",
            secure=False,
            subscriptions=["T.AAPL"],
        )
        listening = asyncio.create_task(client.connect(got.put))
        async with asyncio.timeout(PATIENCE):
            await firehose.until_subscribed("T.AAPL")
            await firehose.send(trade(1))
            [event] = await got.get()
            assert event.timestamp == TIME + 1
            async with proxy_on(first.port) as (_, next_firehose):
                await first.stop()
                await next_firehose.until_subscribed("T.AAPL")
                await next_firehose.send(trade(2))
                [event] = await got.get()
                assert event.timestamp == TIME + 2
                assert not listening.done()
                await client.close()
                await listening


async def test_the_javascript_client_gets_notices_and_comes_back_after_a_restart(
    javascript_client: Path,
) -> None:
    await gets_notices_and_comes_back("node", javascript_client)


async def test_a_client_like_the_go_client_gets_notices_and_comes_back_after_a_restart(
    go_client: Path,
) -> None:
    await gets_notices_and_comes_back(go_client)


async def gets_notices_and_comes_back(*command: str | Path) -> None:
    """Hold a program, which is told a URL and a topic, to the loss of an upstream and to a restart."""
    async with proxy_on(0) as (first, firehose):
        program = await asyncio.create_subprocess_exec(
            *command, f"ws://127.0.0.1:{first.port}", "T.AAPL", stdout=subprocess.PIPE
        )
        assert program.stdout is not None
        lines = program.stdout

        async def until(wanted: str) -> dict[str, Any]:
            """Return the next line that tells of a status, or of a type of event."""
            async with asyncio.timeout(PATIENCE):
                while True:
                    event = json.loads(await lines.readline())
                    if wanted in (event["ev"], event.get("status")):
                        assert isinstance(event, dict)
                        return event

        try:
            await until("success")
            await firehose.until_subscribed("T.AAPL")
            await firehose.send(trade(1))
            assert (await until("T"))["t"] == TIME + 1
            await firehose.stop()
            assert (await until("upstream_disconnected"))["upstream"] == "firehose"
            await firehose.start()
            assert (await until("upstream_reconnected"))["upstream"] == "firehose"
            await firehose.send(trade(2))
            assert (await until("T"))["t"] == TIME + 2
            async with proxy_on(first.port) as (_, next_firehose):
                await first.stop()
                assert (await until("closed"))["code"] == 1012
                await until("success")
                await next_firehose.until_subscribed("T.AAPL")
                await next_firehose.send(trade(3))
                assert (await until("T"))["t"] == TIME + 3
        finally:
            program.kill()
            await program.wait()
