"""The vendor's hosts, against the list of its official Python client."""

from massive.websocket.models import Feed

from fproxy.core.feeds import FEEDS, feed_url
from fproxy.core.market import MARKETS


def test_there_is_every_feed_that_the_official_client_knows() -> None:
    assert set(FEEDS.values()) == {feed.value for feed in Feed}
    assert FEEDS["realtime"] == Feed.RealTime.value


def test_a_market_has_its_path_there() -> None:
    assert feed_url("delayed", MARKETS["futures/cme"]) == "wss://delayed.massive.com/futures/cme"
