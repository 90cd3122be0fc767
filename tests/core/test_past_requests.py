"""What has passed of topics that flow already: when it is asked for, and what of it has come whole."""

from fproxy.core.demand import Demand
from fproxy.core.past_requests import MOST_TOPICS, PastRequest, PastRequests


class Taker:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[PastRequest | None, bool] | str] = []

    def begins(self) -> None:
        self.told.append("begins")

    def ends(self, request: PastRequest | None, *, is_complete: bool) -> None:
        self.told.append((request, is_complete))


def flows(topic: str) -> bool:
    return topic != "100Ms.LATER"


def taken_by() -> tuple[PastRequests, Taker]:
    past, taker = PastRequests(), Taker()
    past.taker = taker
    return past, taker


def test_topics_that_flow_are_asked_for_together_since_the_earliest_time_and_one_request_at_a_time() -> None:
    past, taker = taken_by()
    past.want("100Ms.A", 9)
    past.want("100Ms.B", 5)
    past.want("100Ms.A", 7)
    past.want("100Ms.B", 6)  # which the other brings too
    past.want("100Ms.LATER", 1)
    past.want("100Ms.C", 0)
    assert past.next_request(flows) == PastRequest(("100Ms.B", "100Ms.A"), 5)
    assert past.next_request(flows) is None
    past.want("100Ms.A", 6)
    past.want("100Ms.B", 4)
    past.begins()
    assert past.came(is_complete=True) == ("100Ms.B", "100Ms.A")
    assert taker.told[0] == "begins"
    assert [past.awaits(f"100Ms.{symbol}") for symbol in "ABC"] == [False, True, True]
    assert past.next_request(lambda _: True) == PastRequest(("100Ms.LATER", "100Ms.C", "100Ms.B"), 0)


def test_a_request_is_bounded() -> None:
    past, _ = taken_by()
    for number in range(MOST_TOPICS + 1):
        past.want(f"100Ms.S{number}", 1)
    first = past.next_request(flows)
    assert first is not None
    assert len(first.topics) == MOST_TOPICS
    past.came(is_complete=True)
    long = "x" * 9_000
    past.stopped(f"100Ms.S{MOST_TOPICS}")
    for number in range(2):
        past.want(f"100Ms.{long}{number}", 1)
    assert past.next_request(flows) == PastRequest((f"100Ms.{long}0",), 1)


def test_of_a_topic_that_stops_to_flow_nothing_has_come_whole() -> None:
    past, taker = taken_by()
    past.want("100Ms.A", 1)
    past.want("100Ms.B", 1)
    assert past.next_request(flows) is not None
    past.stopped("100Ms.A")
    past.want("100Ms.A", 2)  # somebody else wants it, and so again
    past.came(is_complete=True)
    assert taker.told == [(PastRequest(("100Ms.B",), 1), True)]
    assert past.awaits("100Ms.A")


def test_what_had_not_come_when_the_connection_was_lost_is_asked_for_on_the_next_one() -> None:
    past, taker = taken_by()
    past.want("100Ms.A", 1)
    past.next_request(flows)
    past.begins()
    past.lost()
    assert taker.told == ["begins", (None, False)]
    assert past.next_request(flows) == PastRequest(("100Ms.A",), 1)
    past.lost()
    past.forget()
    assert not past


def test_a_covered_topic_is_dropped_again_when_what_has_passed_of_it_has_come() -> None:
    demand = Demand(linger=0.0)
    for topic in ("100Ms.*", "100Ms.A"):
        demand.acquire(topic)
    assert demand.changes(0.0).subscribe == ("100Ms.*",)
    demand.confirm(["100Ms.*"], 1)
    demand.past.want("100Ms.A", 1)
    assert demand.awaits_past("100Ms.A")
    assert demand.past.next_request(lambda topic: demand.flows_since(topic) is not None) is not None
    assert demand.changes(0.0).unsubscribe == ()
    demand.past_came(is_complete=True)
    assert demand.changes(0.0).unsubscribe == ("100Ms.A",)
    assert demand.changes(0.0).unsubscribe == ()
