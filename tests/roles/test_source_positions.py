"""Where a server that was started again finds what the run before it had not sent, by its upstream's numbers."""

import pytest

from fproxy._fastpath import History
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.stream_position import (
    PositionStatus,
    RecoveryStart,
    SourcePosition,
    StreamPosition,
)
from fproxy.core.upstream_effects import Recovering
from fproxy.roles.source_positions import SourcePositions

FIRST = 100
"""The number of the first message that the upstream brings."""


class Case:
    """A server behind an upstream, which keeps every second message that it takes."""

    def __init__(self, *, complete_at: int = FIRST) -> None:
        self.taken = 0
        self.history = History(max_bytes=1 << 20, span_ms=3_600_000)
        self.followed = FollowedStream(lambda: self.taken, wants_all=True)
        self.positions = SourcePositions(self.followed, self.history)
        position = StreamPosition("e", FIRST, 0)
        recovery = RecoveryStart(FIRST, complete=True, is_fresh=True)
        self.followed.told(PositionStatus(position, recovery=recovery, complete_at=complete_at))
        self.positions.begins(Recovering(is_complete=True, is_fresh=True, complete_at=complete_at))

    def take(self, count: int) -> None:
        for _ in range(count):
            number = self.positions.own_next
            self.taken += 1
            if self.taken % 2:
                self.history.append(0, b'[{"ev":"A","sym":"A"}]', now=self.taken)
            self.positions.taken(number)

    def filled(self) -> "Case":
        """With messages 100 to 109, of which 100, 102 and so on are its own 0 to 4."""
        self.take(10)
        self.followed.recovered()
        self.positions.ends()
        return self


@pytest.mark.parametrize(("at", "own"), [(100, 0), (101, 1), (102, 1), (108, 4), (109, 5), (110, 5)])
def test_a_role_is_brought_what_came_behind_what_the_run_before_had_sent(at: int, own: int) -> None:
    start = Case().filled().positions.start(SourcePosition("e", at, 7_000))
    assert start == RecoveryStart(own, complete=True, bars_from=7_001)


def test_another_run_of_the_upstream_or_a_position_beyond_says_nothing() -> None:
    positions = Case().filled().positions
    assert positions.start(SourcePosition("other", 104)) is None
    assert positions.start(SourcePosition("e", 111)) is None, "that server was not there before this one"
    unfilled = Case()
    unfilled.take(10)
    assert unfilled.positions.start(SourcePosition("e", 104)) is None


def test_what_the_upstream_missed_or_this_one_has_forgotten_is_told() -> None:
    positions = Case(complete_at=104).filled().positions
    assert positions.start(SourcePosition("e", 103)) == RecoveryStart(2, complete=False)
    assert positions.start(SourcePosition("e", 104)) == RecoveryStart(2, complete=True)
    forgetful = Case().filled()
    forgetful.history.trim(3_600_000 + 4)  # the first two, of the times 1 and 3
    assert forgetful.history.first == 2
    assert forgetful.positions.start(SourcePosition("e", 102)) == RecoveryStart(2, complete=False)
    assert forgetful.positions.start(SourcePosition("e", 103)) == RecoveryStart(2, complete=True)
