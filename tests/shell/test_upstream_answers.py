"""Very many answers of an upstream that come at once are taken in steps, and what is behind them comes behind them."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
import uvloop
from scripted_upstream import ScriptedUpstream
from turns_aside import Aside
from websockets.frames import Frame, Opcode

from fproxy.core.demand import Demand
from fproxy.metrics import Metrics
from fproxy.shell.upstream import UpstreamConnection
from fproxy.shell.upstream_answers import AT_ONCE
from fproxy.shell.upstream_options import UpstreamOptions

TOPICS = [f"T.S{number}" for number in range(3_000)]
IN_A_MESSAGE = 1_000
OPTIONS = UpstreamOptions(auth_wait=0.0, close_timeout=0.1, reconnect_min=3600.0, reconnect_max=3600.0)
DATA = b'[{"ev":"T","sym":"AAPL"}]'
PATIENCE = 20.0


class Listener:
    """Keeps in which turn of the loop what came."""

    timer = None

    def __init__(self) -> None:
        self.turn = 0
        self.came: list[tuple[int, str, Sequence[str]]] = []
        self._note_turn()

    def _note_turn(self) -> None:
        self.turn += 1
        asyncio.get_running_loop().call_soon(self._note_turn)

    def take(self, payload: memoryview) -> list[bytes] | None:
        events = json.loads(bytes(payload))
        if events[0]["ev"] != "status":
            self.came.append((self.turn, "data", ()))
            return None
        return [json.dumps(event).encode() for event in events]

    def confirmed(self, topics: Sequence[str]) -> None:
        self.came.append((self.turn, "confirmed", topics))

    def disconnected(self, reason: str) -> None:
        self.came.append((self.turn, "disconnected", ()))

    def drained(self) -> None:
        if self.came and self.came[-1][1] == "data":
            self.came.append((self.turn, "drained", ()))

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None

    async def until(self, what: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.came or self.came[-1][1] != what:  # noqa: ASYNC110 (each turn counts)
                await asyncio.sleep(0)


def text(payload: bytes) -> bytes:
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def answers(topics: Sequence[str] = TOPICS) -> bytes:
    """What acknowledges topics, as a vendor would write it."""
    return b"".join(
        text(
            json.dumps(
                [
                    {"ev": "status", "status": "success", "message": f"subscribed to: {topic}"}
                    for topic in topics[first : first + IN_A_MESSAGE]
                ]
            ).encode()
        )
        for first in range(0, len(topics), IN_A_MESSAGE)
    )


def told(written: bytes, last: str, *, on_uvloop: bool = False) -> Sequence[tuple[int, str, Sequence[str]]]:
    """What a listener is told when all topics are asked for and this is written, until the last of it."""

    async def scenario() -> Sequence[tuple[int, str, Sequence[str]]]:
        listener = Listener()
        demand = Demand()
        for topic in TOPICS:
            demand.acquire(topic)
        async with ScriptedUpstream(answers=False) as upstream:
            connection = UpstreamConnection(
                name="firehose",
                url=upstream.url,
                api_key="",
                demand=demand,
                listener=listener,
                metrics=Metrics().of("stocks"),
                options=OPTIONS,
            )
            connection.start()
            await upstream.until_subscribed(*TOPICS)
            await upstream.write(written)
            await listener.until(last)
            came = tuple(listener.came)
            await connection.stop()
        return came

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if on_uvloop else None) as runner:
        return runner.run(scenario())


@pytest.mark.parametrize("on_uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_they_are_taken_in_steps_and_data_behind_them_comes_behind_them(on_uvloop: bool) -> None:
    came = told(answers() + text(DATA), "drained", on_uvloop=on_uvloop)
    assert [what for _, what, _ in came[-2:]] == ["data", "drained"]
    confirmed = [topics for _, what, topics in came if what == "confirmed"]
    assert [topic for topics in confirmed for topic in topics] == TOPICS
    assert max(map(len, confirmed)) <= AT_ONCE
    # However many reads bring them: in few turns each would be hundreds.
    assert len({turn for turn, _, _ in came}) > 3


@pytest.mark.parametrize("count", [AT_ONCE, AT_ONCE + 1])
def test_those_that_are_taken_as_they_come_give_other_work_no_more_time(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside, seen = Aside(monkeypatch), list[bool]()
    confirmed = Listener.confirmed

    def noted(listener: Listener, topics: Sequence[str]) -> None:
        seen.append(aside.now)
        confirmed(listener, topics)

    monkeypatch.setattr(Listener, "confirmed", noted)
    told(answers(TOPICS[:count]) + text(DATA), "drained")
    assert seen == [True, False][: 1 + count - AT_ONCE]


def test_few_are_taken_as_they_come() -> None:
    came = told(answers(TOPICS[:AT_ONCE]) + text(DATA), "drained")
    assert [what for _, what, _ in came] == ["confirmed", "data", "drained"]
    assert len({turn for turn, _, _ in came}) == 1


@pytest.mark.parametrize("on_uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_a_close_behind_them_comes_behind_them(on_uvloop: bool) -> None:
    close = Frame(Opcode.CLOSE, b"\x03\xe9").serialize(mask=False)
    came = told(answers() + text(DATA) + close, "disconnected", on_uvloop=on_uvloop)
    confirmed = [topics for _, what, topics in came if what == "confirmed"]
    assert [topic for topics in confirmed for topic in topics] == TOPICS
    assert [what for _, what, _ in came[-3:]] == ["data", "drained", "disconnected"]
