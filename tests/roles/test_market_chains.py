"""Each market through aggregator and filtered proxy, behind the simulated vendor, over real sockets."""

import time

import pytest
from simulator_harness import Event, receive, vendor_client

from fproxy.core.market import MARKETS
from fproxy.metrics import Metrics
from fproxy.roles.aggregator_market import AggregatorMarket
from fproxy.roles.filtered_market import FilteredMarket
from fproxy.roles.served_markets import ServedMarkets
from fproxy.roles.settings import AggregatorSettings, FilteredProxySettings, ServerSettings
from fproxy.roles.simulator import Simulator
from fproxy.roles.simulator_settings import SimulatorSettings

SERVER = ServerSettings(port=0)

# Of each market: what is asked for, and how its events say whose they are.
TOPICS: dict[str, dict[str, tuple[str, str] | None]] = {
    "options": {"200Ms.*": None, "T.*": None},
    "crypto": {"200Ms.BTC-USD": ("sym", "BTC-USD"), "XT.X:BTC-USD": ("pair", "BTC-USD")},
    "forex": {"200Ms.EUR/USD": ("sym", "EUR-USD"), "C.EUR-USD": ("p", "EUR/USD")},
    "indices": {"200Ms.I:SPX": ("sym", "I:SPX"), "V.I:SPX": ("T", "I:SPX")},
    "futures": {"200Ms.*": None, "T.*": None},
}


@pytest.mark.parametrize("name", TOPICS)
async def test_bars_and_what_they_are_built_of_come_by_the_topics_spelling(name: str) -> None:
    market, topics = MARKETS[name], TOPICS[name]
    simulator = Simulator(
        SimulatorSettings(server=SERVER, markets=(market,), rate=2_000.0, max_connections=0),
        Metrics(),
        clock=time.time,
    )
    await simulator.start()
    vendor = f"ws://127.0.0.1:{simulator.port}{market.path}"
    aggregator = ServedMarkets(
        [AggregatorMarket(market, AggregatorSettings(server=SERVER, firehose_url=vendor), Metrics())],
        SERVER,
        Metrics(),
    )
    await aggregator.start()
    settings = FilteredProxySettings(
        server=SERVER,
        firehose_url=vendor,
        aggregator_url=f"ws://127.0.0.1:{aggregator.port}{market.path}",
    )
    proxy = ServedMarkets([FilteredMarket(market, settings, Metrics())], SERVER, Metrics())
    await proxy.start()
    try:
        async with vendor_client(proxy.port, ",".join(topics), path=market.path) as client:
            waited = {text.partition(".")[0]: spelled for text, spelled in topics.items()}
            found: dict[str, Event] = {}
            while len(found) < len(waited):
                for event in await receive(client):
                    if event["ev"] != "status":
                        assert event["ev"] in waited
                        found[event["ev"]] = event
    finally:
        for role in (proxy, aggregator, simulator):
            await role.stop()
    for event_type, event in found.items():
        spelled = waited[event_type]
        if spelled is not None:
            assert event[spelled[0]] == spelled[1]
    bar = found["200Ms"]
    assert bar["l"] <= bar["o"] <= bar["h"]
    assert ("v" in bar) == (name in ("options", "crypto", "futures"))
