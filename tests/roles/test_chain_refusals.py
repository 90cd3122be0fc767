"""A refusal of the vendor finds its way to the client that asked, through every role between them."""

import asyncio
import json
from typing import Any

from scripted_upstream import PATIENCE, ScriptedUpstream
from websockets.asyncio.client import connect

from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import FilteredProxySettings, FirehoseSettings, ServerSettings
from fproxy.shell.upstream_options import UpstreamOptions

OPTIONS = UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02, auth_wait=0.05)


async def test_a_firehose_on_demand_acknowledges_first_and_refuses_later() -> None:
    async with ScriptedUpstream(refuses=["NOI.AAPL"]) as vendor, ScriptedUpstream() as aggregator:
        firehose = Firehose(
            FirehoseSettings(
                server=ServerSettings(port=0), upstream=OPTIONS, vendor_url=vendor.url, on_demand=True
            ),
            Metrics(),
        )
        await firehose.start()
        proxy = FilteredProxy(
            FilteredProxySettings(
                server=ServerSettings(port=0),
                upstream=OPTIONS,
                firehose_url=f"ws://127.0.0.1:{firehose.port}",
                aggregator_url=aggregator.url,
            ),
            Metrics(),
        )
        await proxy.start()
        try:
            async with asyncio.timeout(PATIENCE), connect(f"ws://127.0.0.1:{proxy.port}/") as client:
                await client.send(json.dumps({"action": "auth", "params": "any"}))
                await client.recv()
                # One request after the other, so that some is always in flight when the refusal comes.
                for topic in ("NOI.AAPL", "T.MSFT", "Q.MSFT", "LULD.MSFT"):
                    await client.send(json.dumps({"action": "subscribe", "params": topic}))
                errors: list[Any] = []
                while not errors:
                    errors = [e for e in json.loads(await client.recv()) if e.get("status") == "error"]
                assert [error["message"] for error in errors] == ["not authorized: NOI.AAPL"]
                await vendor.until_subscribed("T.MSFT", "Q.MSFT", "LULD.MSFT")
                await vendor.send(b'[{"ev":"T","sym":"MSFT"}]')
                assert json.loads(await client.recv()) == [{"ev": "T", "sym": "MSFT"}]
        finally:
            await proxy.stop()
            await firehose.stop()
