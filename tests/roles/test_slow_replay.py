"""A client that reads what has passed more slowly than the history forgets it is told so, or let go."""

import json
from typing import Any, cast

from fproxy._fastpath import Fanout, History
from fproxy.core.topics import Topic
from fproxy.metrics import Metrics
from fproxy.roles.passage_reading import PIECE_BYTES, UNSENT_BYTES
from fproxy.roles.replay import FilteredReplay
from fproxy.roles.replay_start import ReplayStart
from fproxy.shell.client import Client
from fproxy.shell.work_steps import Steps, Work, WorkSteps

NOW = 1_736_503_800_000
SPAN = 1_000


class Reader:
    """A client's side of a replay: what it gets, and how much of that waits because it does not read."""

    def __init__(self) -> None:
        self.unsent_bytes = 0
        self.events = 0
        self.statuses: list[dict[str, Any]] = []
        self.cut_for = ""
        self.sink = self

    def write(self, frames: bytes) -> None:
        self.events += frames.count(b'"ev":"T"')

    def send_status(self, message: bytes) -> None:
        self.statuses += json.loads(message)

    def cut_off(self, reason: str) -> None:
        self.cut_for = reason


class ByHand:
    """Carries out the steps of one work when a test says so."""

    def __init__(self) -> None:
        self.steps: Steps = iter(())

    def add(self, owner: object, steps: Steps) -> Work:
        self.steps = steps
        return Work(iter(()))

    def do(self, count: int) -> None:
        for _ in range(count):
            next(self.steps, None)


def keep(history: History, count: int, *, now: int) -> None:
    """Keep messages of which one is a step's work."""
    for _ in range(count):
        event = b'{"ev":"T","sym":"A","x":"%b","t":%d}' % (b"x" * PIECE_BYTES, now)
        history.append(0, b"[%b]" % event, now=now)


def replay_of(history: History, reader: Reader) -> ByHand:
    """Begin a replay to a reader of all that is kept of one symbol."""
    by_hand = ByHand()
    replay = FilteredReplay(
        cast(Client, reader),
        held=[],
        history=history,
        start=ReplayStart(NOW),
        asked_at=history.next,
        is_complete=lambda topics: True,
        matching=Fanout,
        metrics=Metrics().of("stocks"),
        ended=lambda replay: None,
    )
    replay.ask([Topic("T", "A")])
    replay.start(cast(WorkSteps, by_hand))
    return by_hand


def test_what_was_forgotten_before_it_was_sent_is_told_as_incomplete() -> None:
    history, reader = History(max_bytes=64 << 20, span_ms=SPAN), Reader()
    keep(history, 20, now=NOW)
    by_hand = replay_of(history, reader)
    by_hand.do(6)
    assert 0 < reader.events < 20
    reader.unsent_bytes = UNSENT_BYTES + 1
    before = reader.events
    by_hand.do(50)
    assert reader.events == before, "it gets no more while it does not read"
    keep(history, 1, now=NOW + SPAN + 1)  # which pushes the others out
    reader.unsent_bytes = 0
    by_hand.do(50)
    [replayed] = reader.statuses
    assert (replayed["status"], replayed["complete"]) == ("replayed", False)
    assert not reader.cut_for


def test_a_client_that_has_been_told_it_has_everything_is_let_go_when_that_is_not_true_any_more() -> None:
    history, reader = History(max_bytes=64 << 20, span_ms=SPAN), Reader()
    keep(history, 2, now=NOW)
    by_hand = replay_of(history, reader)
    keep(history, 20, now=NOW + 1)  # while it catches up
    while not reader.statuses:
        by_hand.do(1)
    assert reader.statuses[0]["complete"] is True
    reader.unsent_bytes = UNSENT_BYTES + 1
    by_hand.do(50)
    keep(history, 1, now=NOW + SPAN + 2)
    reader.unsent_bytes = 0
    by_hand.do(50)
    assert reader.cut_for == "replay"
