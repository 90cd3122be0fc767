"""Where a stream stands: what a server recovers, and where a role believes itself to be."""

import json
from typing import Any

import pytest

from fproxy.core.followed_stream import MOST_ATTEMPTS, FollowedStream
from fproxy.core.stream_position import (
    PositionStatus,
    RecoveryRequest,
    RecoveryStart,
    SourcePosition,
    StreamPosition,
    parse_position,
    parse_recovery_request,
    recovery_start,
)

HERE = StreamPosition("e", 100, 2)


@pytest.mark.parametrize(
    ("known", "lost_at", "expected"),
    [
        (StreamPosition("e", 60, 2), 5, RecoveryStart(60, complete=True)),
        (StreamPosition("e", 100, 2), 5, RecoveryStart(100, complete=True)),
        (StreamPosition("e", 60, 1), 5, RecoveryStart(60, complete=False)),  # a gap that it was not told of
        (StreamPosition("e", 20, 2), 5, RecoveryStart(40, complete=False)),  # forgotten
        (StreamPosition("e", 101, 2), 5, RecoveryStart(100, complete=False)),  # counted wrongly
        (
            StreamPosition("other", 60, 2),
            5,
            RecoveryStart(40, complete=False),
        ),  # all of this epoch is new to it
        (
            StreamPosition("other", 60, 2),
            50,
            RecoveryStart(100, complete=False),
        ),  # it may have seen all of it
    ],
)
def test_what_is_recovered(known: StreamPosition, lost_at: int, expected: RecoveryStart) -> None:
    assert recovery_start(RecoveryRequest(known, lost_at), HERE, first=40, began=10) == expected


def test_who_begins_gets_all_or_nothing_of_before() -> None:
    begins = recovery_start(RecoveryRequest(wants_all=True), HERE, first=40, began=10)
    assert begins == RecoveryStart(40, complete=True, is_fresh=True)
    assert recovery_start(RecoveryRequest(), HERE, first=40, began=10).number == 100


@pytest.mark.parametrize(
    "request_",
    [
        RecoveryRequest(),
        RecoveryRequest(wants_all=True),
        RecoveryRequest(HERE, lost_at=77),
        RecoveryRequest(HERE, lost_at=77, source=SourcePosition("f", 3, 1_736_503_800_000)),
    ],
)
def test_a_request_is_read_as_it_was_meant(request_: RecoveryRequest) -> None:
    assert parse_recovery_request(json.loads(request_.encoded())) == request_


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"epoch": 1, "next": 1, "gaps": 1, "lost_at": 1},
        {"epoch": "e" * 65, "next": 1, "gaps": 1, "lost_at": 1},
        {"epoch": "e", "next": -1, "gaps": 1, "lost_at": 1},
        {"epoch": "e", "next": True, "gaps": 1, "lost_at": 1},
        {"epoch": "e", "next": 1, "gaps": 1.5, "lost_at": 1},
        {"epoch": "e", "next": 1, "gaps": 1},
        {"epoch": "e", "next": 2**60, "gaps": 1, "lost_at": 1},
    ],
)
def test_what_is_no_request_is_refused_with_a_reason(value: Any) -> None:
    with pytest.raises(ValueError, match="recover"):
        parse_recovery_request(value)


@pytest.mark.parametrize(
    "recovery", [None, RecoveryStart(100, complete=False), RecoveryStart(100, True, True)]
)
def test_a_position_is_read_as_it_was_told(recovery: RecoveryStart | None) -> None:
    status = PositionStatus(
        HERE, counted=False, recovery=recovery, complete_from=9 if recovery else 0, all_of=("T",)
    )
    assert parse_position(json.loads(status.event())) == status


@pytest.mark.parametrize(
    "fields", [{}, {"epoch": 1, "next": 1, "gaps": 1}, {"epoch": "e", "next": "1", "gaps": 1}]
)
def test_what_is_no_position_is_none(fields: dict[str, Any]) -> None:
    assert parse_position(fields) is None


class Taken:
    """How many messages have been taken."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        return self.count


def test_a_role_counts_on_from_what_it_was_told_and_asks_for_what_it_lacks() -> None:
    taken = Taken()
    followed = FollowedStream(taken, wants_all=True)
    assert followed.request() == RecoveryRequest(wants_all=True)
    taken.count = 5
    followed.told(PositionStatus(HERE, recovery=RecoveryStart(100, complete=True, is_fresh=True)))
    assert followed.is_filling
    followed.recovered()
    taken.count = 12
    followed.gap()
    followed.lost(77)
    taken.count = 13  # of another connection: not of this stream
    assert followed.request() == RecoveryRequest(StreamPosition("e", 107, 3), 77)


def test_a_position_that_nothing_comes_after_is_given_up() -> None:
    """As when a message stands there that this role does not take: it must not end every connection to come."""
    followed = FollowedStream(Taken())
    followed.told(PositionStatus(HERE))
    followed.lost(1)
    for _ in range(MOST_ATTEMPTS):
        assert followed.is_known
        followed.told(PositionStatus(HERE, recovery=RecoveryStart(100, complete=True)))
        followed.lost(1)
    assert not followed.is_known
    assert followed.request() == RecoveryRequest(lost_at=1)


def test_connections_that_come_to_an_end_in_quiet_hours_give_nothing_up() -> None:
    followed = FollowedStream(Taken())
    for _ in range(2 * MOST_ATTEMPTS):
        followed.told(PositionStatus(HERE, recovery=RecoveryStart(100, complete=True)))
        followed.recovered()
        followed.lost(1)
    assert followed.is_known


def test_what_cannot_be_known_again_is_not_asked_for() -> None:
    kept = Taken()
    followed = FollowedStream(lambda: 7, still_keeps=lambda number: number >= kept.count)
    followed.told(PositionStatus(HERE, counted=False))
    followed.lost(1)
    assert followed.request().position == HERE
    kept.count = 8
    assert followed.request().position is None


def test_who_goes_over_to_the_next_run_of_a_server_still_knows_what_it_had_taken_of_the_one_before() -> None:
    """What that brings begins where the last position of the one before was, and part of it may have come already."""
    taken = Taken()
    followed = FollowedStream(taken, still_keeps=lambda number: True)
    source = SourcePosition("f", 30, 1_000)
    taken.count = 10
    followed.told(PositionStatus(HERE, counted=False, source=source))
    taken.count = 14
    followed.lost(1)
    assert followed.request().source == source
    there = PositionStatus(
        StreamPosition("next", 7, 0), False, RecoveryStart(7, complete=True), source=source
    )
    status = parse_position(json.loads(there.event()))
    assert status == there
    followed.told(status)
    assert followed.taken_when_told == 10
    elsewhere = PositionStatus(StreamPosition("another", 7, 0), False, RecoveryStart(7, complete=False))
    followed.told(elsewhere)
    assert followed.taken_when_told == 14
    assert followed.request().source is None


@pytest.mark.parametrize(
    "source",
    [7, {}, {"epoch": "f", "next": -1, "bars_until": 0}, {"epoch": "f" * 100, "next": 1, "bars_until": 0}],
)
def test_a_source_that_is_none_is_refused_of_a_client_and_passed_over_of_a_server(source: object) -> None:
    fields = {"epoch": "e", "next": 1, "gaps": 0, "lost_at": 0, "source": source}
    with pytest.raises(ValueError, match="source"):
        parse_recovery_request(fields)
    position = parse_position(fields)
    assert position is not None
    assert position.source is None
