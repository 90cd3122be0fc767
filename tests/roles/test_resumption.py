"""What a connection that has ended leaves behind: from when on it is resumed, for how long, and how much of it all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from fproxy.core.topics import Topic
from fproxy.roles import resumption
from fproxy.roles.replay_start import ReplayStart
from fproxy.roles.resumption import LOOK_INTERVAL, Resumption
from fproxy.shell.client import Client

TOPIC = Topic("T", "A")
OVERLAP = 2_000
KEPT_FOR = 60_000


@dataclass
class Log:
    """Says that whatever was written before a look has got there."""

    delivered: int
    looks: list[int] = field(default_factory=list)

    def look(self, now: int) -> None:
        self.looks.append(now)
        self.delivered = now

    def delivered_at(self) -> int:
        return self.delivered


class Connection:
    """A client's, as far as resuming goes."""

    key = None

    def __init__(self, account: str = "ours") -> None:
        self.account = account

    def delivery_log(self, now: int) -> Log:
        self.log = Log(now)
        return self.log


class Case:
    """What may be resumed, with a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.flushes: list[int] = []
        self.resumption = Resumption(overlap=OVERLAP, kept_for=KEPT_FOR)
        self.busy: list[Any] = []
        self._looks = self.resumption.looks(
            lambda: self.now, lambda: self.flushes.append(self.now), busy=self.busy
        )

    def join(self, account: str = "ours") -> Connection:
        client = Connection(account)
        self.resumption.client_joined(cast(Client, client), self.now)
        return client

    def leave(self, client: Connection, topics: Sequence[Topic] = (TOPIC,)) -> None:
        self.resumption.client_left(cast(Client, client), topics, self.now)

    def look(self) -> None:
        for rest in self._looks:
            if rest == LOOK_INTERVAL:
                break

    def missed(self, client: Connection, *topics: Topic) -> tuple[list[Topic], ReplayStart] | None:
        return self.resumption.missed(cast(Client, client), topics or (TOPIC,), self.now)


@pytest.fixture
def case() -> Case:
    made = Case()
    made.look()  # the first is at once
    return made


def test_what_is_brought_begins_before_the_last_look_by_the_overlap(case: Case) -> None:
    client = case.join()
    case.now += 10_000
    case.look()
    seen = case.now
    case.now += 300
    case.leave(client)
    case.now += 5_000
    assert case.missed(case.join()) == ([TOPIC], ReplayStart(seen - OVERLAP, resumes=True))


def test_what_has_not_been_written_is_written_before_a_look(case: Case) -> None:
    client = case.join()
    case.now += 500
    case.look()
    assert client.log.looks == [case.now]
    assert case.flushes[-1] == case.now


def test_a_client_that_still_gets_what_has_passed_is_not_looked_at(case: Case) -> None:
    client, busy = case.join(), case.join()
    case.busy.append(busy)
    case.now += 500
    case.look()
    assert (client.log.looks, busy.log.looks) == ([case.now], [])


def test_what_ended_too_long_ago_is_forgotten(case: Case) -> None:
    for ago, resumed in ((KEPT_FOR, True), (KEPT_FOR + 1, False)):
        case.leave(case.join())
        case.now += ago
        assert (case.missed(case.join()) is not None) == resumed


def test_what_all_leave_behind_is_bounded_and_the_oldest_goes_first(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumption, "MAX_KEPT_TOPICS", 12)
    topics = [Topic("T", f"S{number}") for number in range(5)]
    for account in ("first", "second", "third"):
        case.leave(case.join(account), topics)
    assert case.missed(case.join("first"), *topics) is None
    for account in ("second", "third"):
        missed = case.missed(case.join(account), *topics)
        assert missed is not None
        assert missed[0] == topics
