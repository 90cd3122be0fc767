"""Which upstream topics each role asks for."""

import pytest

from fproxy.core.market import MARKETS, STOCKS, Market, Upstream
from fproxy.core.routes import aggregator_route, filtered_proxy_route, firehose_route
from fproxy.core.topics import EVERYTHING, Topic, bar_interval

MARKET = pytest.mark.parametrize("market", MARKETS.values(), ids=lambda market: market.name)


@MARKET
def test_a_filtered_proxy_asks_the_upstream_that_serves_a_type(market: Market) -> None:
    route = filtered_proxy_route(market)
    for name, event_type in market.event_types.items():
        assert route(Topic(name, "X")) == ((event_type.upstream, f"{name}.X"),)
    assert route(Topic("A1", "X")) == ((Upstream.FIREHOSE, "A1.X"),)
    assert route(Topic("250Ms", "*")) == ((Upstream.AGGREGATOR, "250Ms.*"),)


@MARKET
def test_everything_is_asked_for_by_wildcards_without_millisecond_bars(market: Market) -> None:
    asked = tuple(filtered_proxy_route(market)(EVERYTHING))
    assert {text for _, text in asked} == {
        f"{event_type.name}.*" for event_type in market.event_types.values() if event_type.in_everything
    }
    assert all(bar_interval(text.removesuffix(".*")) is None for _, text in asked)
    assert [(Upstream.FIREHOSE, text) for _, text in asked] == list(firehose_route(market)(EVERYTHING))


def test_an_aggregator_asks_for_what_its_bars_are_made_of() -> None:
    route = aggregator_route(STOCKS)
    assert route(Topic("250Ms", "BRK.B")) == ((Upstream.FIREHOSE, "T.BRK.B"),)
    assert route(Topic("AM", "*")) == ((Upstream.FIREHOSE, "AM.*"),)
    assert route(EVERYTHING) == ((Upstream.FIREHOSE, "A.*"), (Upstream.FIREHOSE, "AM.*"))
    assert aggregator_route(MARKETS["crypto"])(Topic("1Ms", "*")) == ((Upstream.FIREHOSE, "XT.*"),)
    assert aggregator_route(MARKETS["forex"])(Topic("1Ms", "EUR-USD")) == ((Upstream.FIREHOSE, "C.EUR-USD"),)


def test_a_firehose_asks_for_the_topic_itself() -> None:
    assert firehose_route(STOCKS)(Topic("NOI", "BRK.B")) == ((Upstream.FIREHOSE, "NOI.BRK.B"),)
