"""A program with a filtered proxy inside: a simulated market, the proxy, and a client of it, in one event loop.

Run it with the number of trades to print: ``python examples/embed_proxy.py 5``. For a real market, leave the simulator
out and give the proxy the URLs of your firehose and ms-aggregator.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect

import fproxy


async def main(wanted: int) -> None:
    """Start market and proxy, print some trades of one symbol, and stop both."""
    any_port = fproxy.ServerSettings(port=0)
    simulated = fproxy.SimulatorSettings(server=any_port, max_connections=0)
    market = fproxy.Simulator(simulated, fproxy.Metrics())
    await market.start()
    url = f"ws://127.0.0.1:{market.port}/stocks"
    settings = fproxy.FilteredProxySettings(server=any_port, firehose_url=url, aggregator_url=url)
    proxy = fproxy.FilteredProxy(settings, fproxy.Metrics())
    await proxy.start()
    async with connect(f"ws://127.0.0.1:{proxy.port}/") as client:
        await client.send(json.dumps({"action": "auth", "params": "any key"}))
        await client.send(json.dumps({"action": "subscribe", "params": "T.SPY"}))
        while wanted > 0:
            for event in json.loads(await client.recv()):
                if event["ev"] == "T" and wanted > 0:
                    print(event["sym"], event["p"], event["s"])
                    wanted -= 1
    await proxy.stop()
    await market.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
