"""What a role is told for one of its markets."""

from typing import Any

import pytest

from fproxy.core.market import MARKETS, STOCKS
from fproxy.roles.market_settings import MarketSettingsError, market_url, settings_of_market
from fproxy.roles.settings import AggregatorSettings, FilteredProxySettings, FirehoseSettings

OPTIONS, CRYPTO, CME = MARKETS["options"], MARKETS["crypto"], MARKETS["futures/cme"]


@pytest.mark.parametrize(
    ("plain", "market", "alone", "own"),
    [
        ("ws://h:8767", "stocks", True, "ws://h:8767"),
        ("ws://h:8767", "stocks", False, "ws://h:8767/stocks"),
        ("ws://h:8767/", "stocks", False, "ws://h:8767/stocks"),
        ("ws://h:8767/other", "stocks", False, "ws://h:8767/other"),
        ("ws://h:8767", "options", True, "ws://h:8767/options"),
        ("wss://h/stocks", "futures/cme", False, "wss://h/futures/cme"),
        ("wss://h/stocks/", "options", False, "wss://h/options"),
        ("wss://h/behind/stocks?a=b", "options", False, "wss://h/behind/options?a=b"),
    ],
)
def test_a_plain_url_is_that_of_stocks(plain: str, market: str, alone: bool, own: str) -> None:
    assert market_url(plain, MARKETS[market], alone=alone) == own


def test_a_path_that_says_nothing_of_stocks_does_not_do_for_others() -> None:
    settings = AggregatorSettings(firehose_url="ws://h/feed")
    assert settings_of_market(settings, STOCKS).firehose_url == "ws://h/feed"
    with pytest.raises(MarketSettingsError, match=r"^the path /feed does not end with /stocks") as caught:
        settings_of_market(settings, OPTIONS)
    assert (caught.value.field, caught.value.market) == ("firehose_url", OPTIONS)


def test_what_a_market_has_of_its_own_counts() -> None:
    settings = FilteredProxySettings(
        markets=(STOCKS, OPTIONS),
        firehose_url="ws://plain",
        own_of_markets={OPTIONS: {"firehose_url": "ws://own", "data_types": ("T",)}},
    )
    own = settings_of_market(settings, OPTIONS)
    assert (own.firehose_url, own.aggregator_url) == ("ws://own", "ws://localhost:8768/options")
    assert settings_of_market(settings, STOCKS).firehose_url == "ws://plain/stocks"
    alone = AggregatorSettings(own_of_markets={STOCKS: {"firehose_url": "ws://own"}})
    assert settings_of_market(alone, STOCKS).firehose_url == "ws://own"


@pytest.mark.parametrize(
    ("settings", "market", "url"),
    [
        ({}, STOCKS, "wss://socket.massive.com/stocks"),
        ({}, CME, "wss://socket.massive.com/futures/cme"),
        ({"feed": "delayed"}, STOCKS, "wss://delayed.massive.com/stocks"),
        ({"feed": "delayed"}, OPTIONS, "ws://own"),
    ],
)
def test_the_vendor_is_where_the_feed_is(settings: dict[str, Any], market: Any, url: str) -> None:
    firehose = FirehoseSettings(own_of_markets={OPTIONS: {"vendor_url": "ws://own"}}, **settings)
    assert settings_of_market(firehose, market).vendor_url == url


def test_every_market_is_subscribed_to_as_it_is() -> None:
    settings = FirehoseSettings(data_types=("T",), own_of_markets={CRYPTO: {"data_types": ("XT", "AM")}})
    assert settings_of_market(settings, STOCKS).data_types == ("T",)
    assert settings_of_market(settings, CRYPTO).data_types == ("XT", "AM")
    assert settings_of_market(settings, OPTIONS).data_types == ("T", "FMV", "A", "AM")


def test_a_type_without_a_wildcard_cannot_be_subscribed_to_for_all_symbols() -> None:
    settings = FirehoseSettings(own_of_markets={OPTIONS: {"data_types": ("T", "Q")}})
    with pytest.raises(MarketSettingsError, match=r"^the vendor has no Q\.\* of options$"):
        settings_of_market(settings, OPTIONS)
