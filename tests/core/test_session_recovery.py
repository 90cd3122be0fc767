"""What was missed of which topics a session asks for, and what it is called then."""

import json
from collections.abc import Iterable
from typing import Any

from fproxy.core.demand_changes import Changes
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.past_requests import PastRequest
from fproxy.core.stream_position import PositionStatus, RecoveryStart, StreamPosition, recovered_event
from fproxy.core.upstream_effects import Effect, PastBegins, PastCame, Recovered, Recovering, Send, Whole
from fproxy.core.upstream_session import UpstreamSession

OLD, NEW = "100Ms.OLD", "100Ms.NEW"


def status(kind: str, message: str = "") -> bytes:
    return json.dumps({"ev": "status", "status": kind, "message": message}).encode()


def requests(effects: Iterable[Effect]) -> list[dict[str, Any]]:
    return [json.loads(effect.message) for effect in effects if isinstance(effect, Send)]


class Role:
    """A role that is connected to a server of ours, again and again, which sends each role something else."""

    def __init__(self) -> None:
        self.followed = FollowedStream(lambda: 0, still_keeps=lambda number: True)
        self.session: UpstreamSession

    def connect(self, *topics: str) -> list[dict[str, Any]]:
        """Connect, and ask for topics; return the requests for them."""
        self.session = UpstreamSession("key", followed=self.followed)
        self.session.opened(is_peer=True)
        self.session.received([status("auth_success")], 0.0)
        return self.ask(*topics)

    def ask(self, *topics: str) -> list[dict[str, Any]]:
        return requests(self.session.request(Changes(topics, ()), 0.0))

    def hear(self, *statuses: bytes) -> list[Effect]:
        return self.session.received(statuses, 0.0)

    def hear_position(self, number: int, *, recovery: RecoveryStart | None = None) -> list[Effect]:
        position = StreamPosition("epoch", number, 0)
        return self.hear(PositionStatus(position, counted=False, recovery=recovery).event())

    def acknowledge(self, *topics: str) -> list[Effect]:
        return self.hear(*(status("success", f"subscribed to: {topic}") for topic in topics))


def role_with(*topics: str) -> Role:
    """One that has topics, behind whose acknowledgements it was told where the stream is."""
    role = Role()
    role.connect(*topics)
    role.hear_position(90)
    role.acknowledge(*topics)
    role.hear_position(100)
    return role


START = RecoveryStart(100, complete=True)


def test_what_was_missed_is_asked_for_of_topics_that_have_a_place_in_the_stream() -> None:
    role = role_with(OLD)
    role.ask(NEW)
    role.acknowledge(NEW)
    role.hear_position(110)
    role.session.lost(1)
    assert role.connect(OLD, NEW) == [{"action": "subscribe", "params": f"{OLD},{NEW}", "recover": 1}]
    [recovering] = role.hear_position(110, recovery=RecoveryStart(110, complete=True))
    assert isinstance(recovering, Recovering)
    assert recovering.is_complete
    role.acknowledge(OLD, NEW)
    assert role.hear(recovered_event(1)) == [Recovered(), Whole(recovered=True)]


def test_of_topics_that_were_asked_for_since_nothing_of_before_is_brought_behind_what_has_come() -> None:
    """The server had sent bars of them to others since the last place that it told, and newer ones here."""
    role = role_with(OLD)
    role.ask(NEW)
    role.acknowledge(NEW)
    role.session.lost(1)
    assert role.connect(OLD, NEW) == [
        {"action": "subscribe", "params": OLD, "recover": 1},
        {"action": "subscribe", "params": NEW},
    ]
    [recovering] = role.hear_position(100, recovery=START)
    assert isinstance(recovering, Recovering)
    assert not recovering.is_complete, "what was missed of them is told as missing"
    role.acknowledge(OLD, NEW)
    assert role.hear(recovered_event(1)) == [Recovered(), Whole(recovered=False)]
    # And that is over with as soon as a place is told behind them.
    role.hear_position(120)
    role.session.lost(2)
    assert role.connect(OLD, NEW) == [{"action": "subscribe", "params": f"{OLD},{NEW}", "recover": 1}]


def test_a_place_that_is_told_before_the_acknowledgement_is_none() -> None:
    role = role_with(OLD)
    role.ask(NEW)
    role.hear_position(105)
    role.acknowledge(NEW)
    role.session.lost(1)
    assert [request.get("recover") for request in role.connect(OLD, NEW)] == [1, None]
    # A place on this connection is none of what came on the one before, and those before are not forgotten.
    role.hear_position(105, recovery=RecoveryStart(105, complete=True))
    role.session.lost(2)
    assert [request.get("recover") for request in role.connect(OLD, NEW)] == [1, None]


def test_with_nothing_to_recover_that_ends_as_it_begins() -> None:
    role = role_with(OLD)
    role.ask(NEW)
    role.session.lost(1)
    assert role.connect(NEW) == [{"action": "subscribe", "params": NEW}]
    recovering, recovered = role.hear_position(100, recovery=START)
    assert isinstance(recovering, Recovering)
    assert not recovering.is_complete
    assert recovered == Recovered()
    assert role.acknowledge(NEW)[-1] == Whole(recovered=False)


def test_what_was_refused_or_given_up_costs_nothing() -> None:
    role = role_with(OLD)
    role.ask(NEW)
    role.hear(status("error", f"not served: {NEW}"))
    role.ask("100Ms.GONE")
    role.acknowledge("100Ms.GONE")
    role.session.request(Changes((), ("100Ms.GONE",)), 0.0)
    role.session.lost(1)
    assert [request.get("recover") for request in role.connect(OLD, NEW, "100Ms.GONE")] == [1]


OTHER = "100Ms.OTHER"


def begin(role: Role, *topics: str) -> list[dict[str, Any]]:
    """Connect, and ask for the first of many topics; others follow."""
    role.session = UpstreamSession("key", followed=role.followed)
    role.session.opened(is_peer=True)
    role.hear(status("auth_success"))
    return requests(role.session.request(Changes(topics, (), are_all=False), 0.0))


def test_what_is_asked_for_in_pieces_is_recovered_when_all_of_it_is() -> None:
    role = role_with(OLD, OTHER)
    role.session.lost(1)
    assert begin(role, OLD) == [{"action": "subscribe", "params": OLD, "recover": 1}]
    role.hear_position(100, recovery=START)
    role.acknowledge(OLD)
    assert role.hear(recovered_event(1)) == []
    assert role.ask(OTHER) == [{"action": "subscribe", "params": OTHER, "recover": 2}]
    assert role.acknowledge(OTHER)[-1:] != [Whole(recovered=True)]
    assert role.hear(recovered_event(2)) == [Recovered(), Whole(recovered=True)]


def test_a_last_piece_without_topics_ends_what_is_recovered() -> None:
    role = role_with(OLD)
    role.session.lost(1)
    begin(role, OLD)
    role.hear_position(100, recovery=START)
    role.acknowledge(OLD)
    assert role.hear(recovered_event(1)) == []
    assert role.session.request(Changes((), ()), 0.0) == [Recovered(), Whole(recovered=True)]


def test_of_a_later_piece_too_what_has_no_place_begins_anew_and_makes_all_incomplete() -> None:
    role = role_with(OLD)
    role.ask(NEW)
    role.acknowledge(NEW)
    role.session.lost(1)
    for lost in (2, 3):  # a connection that is lost in between changes nothing
        begin(role, OLD)
        [recovering] = role.hear_position(100, recovery=START)
        assert isinstance(recovering, Recovering)
        assert not recovering.is_complete
        role.session.lost(lost)
    begin(role, OLD)
    role.hear_position(100, recovery=START)
    assert role.ask(NEW) == [{"action": "subscribe", "params": NEW}]
    role.acknowledge(OLD, NEW)
    assert role.hear(recovered_event(1)) == [Recovered(), Whole(recovered=False)]


def test_what_has_passed_is_asked_for_when_nothing_else_that_has_passed_is_on_its_way() -> None:
    """It is between the acknowledgement and the status behind it; then the server says where the stream is."""
    role = role_with(OLD)
    assert role.session.takes_past_requests
    asked = role.session.request_past(PastRequest((OLD,), 7), 0.0)
    assert requests(asked) == [{"action": "subscribe", "params": OLD, "since": 7}]
    assert not role.session.takes_past_requests
    role.ask(NEW)
    assert PastBegins() in role.acknowledge(OLD)
    assert PastBegins() not in role.acknowledge(NEW)
    role.hear_position(101)
    assert not role.session.takes_past_requests
    assert role.hear(b'{"ev":"status","status":"replayed","complete":true}') == [PastCame(is_complete=True)]
    # The server may still be sending what came meanwhile: what is asked of it now waits there.
    assert not role.session.takes_past_requests
    role.hear_position(102)
    assert role.session.takes_past_requests
    role.session.request(Changes(("100Ms.X",), (), since={"100Ms.X": 7}), 0.0)
    assert not role.session.takes_past_requests


def test_what_has_passed_is_not_asked_of_a_server_that_keeps_nothing_or_is_not_whole() -> None:
    role = Role()
    role.connect(OLD)
    role.acknowledge(OLD)
    assert not role.session.takes_past_requests
    role = role_with(OLD)
    role.hear(status("upstream_disconnected", "gone"))
    assert not role.session.takes_past_requests
