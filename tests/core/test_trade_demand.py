"""Which trades flow, as the conversation with an upstream shows."""

import json

import pytest

from fproxy.core.status_event import INTERRUPTED_STATUS, RESTORED_STATUS
from fproxy.core.trade_demand import ANSWER_TIME, LATE_ANSWER_TIME, TradeDemand

LINGER = 30.0


class Follower:
    """Records what it is told, and what flows."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.flowing: set[str] = set()

    def trades_started(self, symbol: str) -> None:
        assert symbol not in self.flowing
        self.flowing.add(symbol)
        self.told.append(f"+{symbol}")

    def trades_stopped(self, symbol: str) -> None:
        self.flowing.remove(symbol)
        self.told.append(f"-{symbol}")

    def gap(self) -> None:
        self.flowing.clear()
        self.told.append("gap")


@pytest.fixture
def follower() -> Follower:
    return Follower()


@pytest.fixture
def demand(follower: Follower) -> TradeDemand:
    return TradeDemand(follower, linger=LINGER)


def status(status: str, message: object) -> bytes:
    return json.dumps({"ev": "status", "status": status, "message": message}).encode()


def subscribed(*topics: str) -> list[bytes]:
    return [status("success", f"subscribed to: {topic}") for topic in topics]


def test_trades_flow_from_the_acknowledgement_on(demand: TradeDemand, follower: Follower) -> None:
    demand.acquire("T.AAPL")
    demand.acquire("A.AAPL")
    demand.acquire("T.BRK.B")
    demand.changes(0)
    assert follower.told == []
    demand.answered(subscribed("A.AAPL", "T.AAPL"))
    assert follower.told == ["+AAPL"]
    demand.answered(subscribed("T.AAPL", "T.MSFT", "T.BRK.B"))
    assert follower.told == ["+AAPL", "+BRK.B"]


def test_trades_flow_until_the_subscription_is_given_up(demand: TradeDemand, follower: Follower) -> None:
    demand.acquire("T.AAPL")
    demand.changes(0)
    demand.answered(subscribed("T.AAPL"))
    demand.release("T.AAPL", 0)
    demand.changes(LINGER - 1)
    assert follower.flowing == {"AAPL"}
    assert demand.changes(LINGER).unsubscribe == ("T.AAPL",)
    assert follower.told == ["+AAPL", "-AAPL"]


def test_the_acknowledgement_of_an_earlier_subscription_does_not_count(
    demand: TradeDemand, follower: Follower
) -> None:
    demand.acquire("T.AAPL")
    demand.changes(0)
    demand.release("T.AAPL", 0)
    demand.changes(LINGER)
    demand.acquire("T.AAPL")
    demand.changes(LINGER)
    demand.answered([*subscribed("T.AAPL"), status("success", "unsubscribed to: T.AAPL")])
    assert follower.told == []
    demand.answered(subscribed("T.AAPL"))
    assert follower.told == ["+AAPL"]


def test_an_acknowledgement_of_what_was_given_up_since_does_not_count(
    demand: TradeDemand, follower: Follower
) -> None:
    demand.acquire("T.AAPL")
    demand.changes(0)
    demand.release("T.AAPL", 0)
    demand.changes(LINGER)
    demand.answered(subscribed("T.AAPL"))
    demand.take_silence(1000)
    assert follower.told == []


def test_silence_counts_after_a_while(demand: TradeDemand, follower: Follower) -> None:
    demand.acquire("T.AAPL")
    demand.changes(10)
    demand.take_silence(10 + ANSWER_TIME - 0.1)
    assert follower.told == []
    demand.take_silence(10 + ANSWER_TIME)
    assert follower.told == ["+AAPL"]
    demand.answered(subscribed("T.AAPL"))
    assert follower.told == ["+AAPL"]


def test_a_refusal_is_no_acknowledgement(demand: TradeDemand, follower: Follower) -> None:
    demand.acquire("T.AAPL")
    demand.acquire("T.MSFT")
    demand.changes(0)
    demand.answered([*subscribed("T.MSFT"), status("error", "not authorized")])
    demand.refuse(["T.AAPL"], "not authorized")
    demand.take_silence(1000)
    assert follower.flowing == {"MSFT"}
    demand.refuse(["T.MSFT", "T.IBM"], "not any more")
    assert follower.flowing == set()


def test_what_a_wildcard_covered_flows_on_when_it_goes(demand: TradeDemand, follower: Follower) -> None:
    demand.acquire("T.*")
    demand.acquire("T.AAPL")
    demand.changes(0)
    demand.answered(subscribed("T.*"))
    demand.release("T.*", 0)
    changes = demand.changes(LINGER)
    assert (changes.subscribe, changes.unsubscribe) == (("T.AAPL",), ("T.*",))
    assert follower.told == ["+*", "+AAPL", "-*"]
    demand.answered(subscribed("T.AAPL"))
    assert follower.flowing == {"AAPL"}


def test_a_lost_connection_is_a_gap(demand: TradeDemand, follower: Follower) -> None:
    demand.acquire("T.AAPL")
    demand.changes(0)
    demand.answered(subscribed("T.AAPL"))
    demand.reset()
    assert follower.told == ["+AAPL", "gap"]
    assert demand.changes(1).subscribe == ("T.AAPL",)
    assert follower.flowing == set()
    demand.answered(subscribed("T.AAPL"))
    assert follower.told == ["+AAPL", "gap", "+AAPL"]


def test_a_firehose_that_loses_the_vendor_leaves_a_gap(demand: TradeDemand, follower: Follower) -> None:
    demand.acquire("T.AAPL")
    demand.acquire("T.MSFT")
    demand.changes(0)
    demand.answered(subscribed("T.AAPL"))
    demand.answered([status(INTERRUPTED_STATUS, "the vendor is away")])
    assert follower.told == ["+AAPL", "gap"]
    demand.answered(subscribed("T.MSFT"))
    assert follower.flowing == set(), "what it acknowledges meanwhile does not flow either"
    demand.answered([status(RESTORED_STATUS, "the vendor is back")])
    assert follower.flowing == {"AAPL", "MSFT"}


def test_a_firehose_that_says_twice_that_it_lost_the_vendor_leaves_one_gap(
    demand: TradeDemand, follower: Follower
) -> None:
    lost = status(INTERRUPTED_STATUS, "the vendor is away")
    back = status(RESTORED_STATUS, "the vendor is back")
    demand.acquire("T.AAPL")
    demand.changes(0)
    demand.answered([*subscribed("T.AAPL"), lost, lost, back, back])
    assert follower.told == ["+AAPL", "gap", "+AAPL"]


def test_an_upstream_that_answers_is_late_and_not_silent(demand: TradeDemand, follower: Follower) -> None:
    demand.acquire("T.AAPL")
    demand.changes(0)
    demand.answered(subscribed("T.AAPL"))
    demand.acquire("T.MSFT")
    demand.changes(1)
    demand.take_silence(1 + ANSWER_TIME)
    assert follower.flowing == {"AAPL"}
    demand.take_silence(1 + LATE_ANSWER_TIME)
    assert follower.flowing == {"AAPL", "MSFT"}


def test_an_upstream_may_acknowledge_all_in_one(demand: TradeDemand, follower: Follower) -> None:
    demand.acquire("T.AAPL")
    demand.acquire("T.MSFT")
    demand.changes(0)
    demand.answered([status("success", "subscribed to: T.AAPL,T.MSFT, A.X")])
    assert follower.flowing == {"AAPL", "MSFT"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b"[" * 100_000,
        b"\xff",
        b"{}",
        status("success", None),
        status("success", ["T.AAPL"]),
        status("auth_success", "T.AAPL"),
        status("success", "unsubscribed to: T.AAPL"),
        b'{"status":["success"],"message":"T.AAPL"}',
    ],
)
def test_nothing_an_upstream_says_does_harm(demand: TradeDemand, follower: Follower, raw: bytes) -> None:
    demand.acquire("T.AAPL")
    demand.changes(0)
    demand.answered([raw])
    assert follower.told == []


def test_all_trades_flow_from_a_firehose_that_sends_everything_until_it_is_lost(follower: Follower) -> None:
    demand = TradeDemand(follower, linger=0, wants_all=True)
    demand.recovering(is_complete=False, all_of=["T", "Q"])
    assert follower.told == ["+*"]
    demand.recovered()
    demand.acquire("T.AAPL")
    demand.acquire("T.*")
    demand.changes(0)
    demand.release("T.AAPL", 0)
    demand.release("T.*", 0)
    assert set(demand.changes(1).unsubscribe) == {"T.*"}
    assert "*" in follower.flowing, "it sends them whatever is subscribed to"
    # Cut off and brought what was missed, it has missed nothing.
    demand.reset(is_recoverable=True)
    demand.changes(2)
    demand.recovering(is_complete=True, all_of=["T"])
    demand.recovered()
    assert "gap" not in follower.told
    demand.reset(is_recoverable=True)
    demand.unrecoverable()
    assert follower.told[-1] == "gap"
    demand.changes(3)
    assert follower.flowing == set()


def test_trades_flow_from_behind_a_gap_in_what_is_brought(follower: Follower) -> None:
    demand = TradeDemand(follower, linger=LINGER, wants_all=True)
    demand.acquire("T.AAPL")
    demand.changes(0)
    demand.recovering(is_complete=False, all_of=["T"], gap_ahead=True)
    demand.answered(subscribed("T.AAPL"))
    assert follower.told == []
    demand.gap_passed()
    assert follower.told == ["+*", "+AAPL"]
    demand.recovered()
    assert follower.told == ["+*", "+AAPL"]
    # At the latest when all of it has come.
    demand.reset()
    demand.changes(1)
    demand.recovering(is_complete=False, all_of=["T"], gap_ahead=True)
    demand.recovered()
    assert follower.told == ["+*", "+AAPL", "gap", "+*", "+AAPL"]
