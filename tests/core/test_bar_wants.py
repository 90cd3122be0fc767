"""Bars that clients want, counted and kept a while."""

import pytest

from fproxy.core.bar_errors import TooManyIntervalsError
from fproxy.core.bar_wants import BarWants
from fproxy.core.topics import Topic

FAST, SLOW = Topic("100Ms", "AAPL"), Topic("1000Ms", "AAPL")
OTHER, ALL = Topic("100Ms", "MSFT"), Topic("100Ms", "*")


class Source:
    """Records what is wanted; takes two intervals a symbol."""

    def __init__(self) -> None:
        self.wanted: set[tuple[int, str]] = set()

    def want(self, interval_ms: int, symbol: str) -> None:
        if sum(name == symbol for _, name in self.wanted) >= 2:
            raise TooManyIntervalsError(symbol)
        assert (interval_ms, symbol) not in self.wanted
        self.wanted.add((interval_ms, symbol))

    def unwant(self, interval_ms: int, symbol: str) -> None:
        self.wanted.remove((interval_ms, symbol))


@pytest.fixture
def source() -> Source:
    return Source()


def test_the_first_client_wants_and_the_last_gives_up_after_a_while(source: Source) -> None:
    wants = BarWants(source, linger=30)
    wants.acquire(FAST)
    wants.acquire(FAST)
    wants.acquire(ALL)
    assert source.wanted == {(100, "AAPL"), (100, "*")}
    wants.release(FAST, 10)
    wants.expire(1000)
    assert source.wanted == {(100, "AAPL"), (100, "*")}
    wants.release(FAST, 1000)
    wants.expire(1029.9)
    assert source.wanted == {(100, "AAPL"), (100, "*")}
    wants.expire(1030)
    assert source.wanted == {(100, "*")}


def test_who_comes_back_in_time_finds_it_still_wanted(source: Source) -> None:
    wants = BarWants(source, linger=30)
    wants.acquire(FAST)
    wants.release(FAST, 0)
    wants.acquire(FAST)
    wants.expire(1000)
    assert source.wanted == {(100, "AAPL")}


def test_each_topic_has_its_own_time(source: Source) -> None:
    wants = BarWants(source, linger=30)
    for topic, time in ((FAST, 0), (OTHER, 20), (SLOW, 25)):
        wants.acquire(topic)
        wants.release(topic, time)
    wants.expire(51)
    assert source.wanted == {(1000, "AAPL")}


def test_what_lingers_makes_room(source: Source) -> None:
    wants = BarWants(source, linger=30)
    for topic in (FAST, SLOW, OTHER):
        wants.acquire(topic)
    wants.release(OTHER, 0)
    with pytest.raises(TooManyIntervalsError):
        wants.acquire(Topic("7Ms", "AAPL"))
    wants.release(SLOW, 0)
    wants.acquire(Topic("7Ms", "AAPL"))
    assert source.wanted == {(100, "AAPL"), (7, "AAPL"), (100, "MSFT")}
    with pytest.raises(TooManyIntervalsError):
        wants.acquire(SLOW)
    wants.expire(1000)
    assert source.wanted == {(100, "AAPL"), (7, "AAPL")}
