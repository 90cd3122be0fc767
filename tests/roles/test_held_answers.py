"""Acknowledgements that wait for the vendor's: who is answered, when, and in what steps."""

import asyncio
from typing import cast

import pytest

from fproxy.core.topics import parse_topic
from fproxy.roles import held_answers
from fproxy.roles.held_answers import ANSWERED_TOPICS, HeldAnswers
from fproxy.shell.client import Client
from fproxy.shell.turns import Turns
from fproxy.shell.work_steps import WorkSteps


class ToldClient:
    """What a client of the server is told."""

    def __init__(self) -> None:
        self.told = ""
        self.was_told = asyncio.Event()

    def send_status(self, message: bytes) -> None:
        self.told += message.decode()
        self.was_told.set()


class Harness:
    """Held answers whose steps are done one after the other, and counted: a clock that leaps ends each turn."""

    def __init__(self) -> None:
        self.steps = 0
        loop = asyncio.get_running_loop()
        self.work = WorkSteps(loop, Turns(loop, clock=self._leap))
        self.held = HeldAnswers()
        self.held.prepare(self.work)

    def _leap(self) -> float:
        self.steps += 1
        return float(self.steps)

    async def settle(self) -> None:
        before = -1
        while before != self.steps:
            before = self.steps
            for _ in range(3):
                await asyncio.sleep(0)

    def hold(self, client: ToldClient, topics: list[str]) -> None:
        self.held.hold(cast(Client, client), [parse_topic(topic) for topic in topics])


async def test_a_wildcard_answers_what_it_covers_and_prefixes_that_it_stands_for() -> None:
    harness, client, other = Harness(), ToldClient(), ToldClient()
    harness.hold(client, ["T.AA*", "T.C", "Q.A*", "T.*", "T.AA*"])
    harness.hold(other, ["T.AA*"])
    harness.held.drop(cast(Client, other), [parse_topic("T.AA*")])
    harness.held.answer(["T.*"])
    await harness.settle()
    assert [client.told.count(f": {topic}") for topic in ("T.AA*", "T.C", "T.*", "Q.A*")] == [2, 1, 1, 0]
    assert other.told == ""
    harness.held.answer_all()
    await harness.settle()
    assert [client.told.count(f": {topic}") for topic in ("T.AA*", "T.C", "T.*", "Q.A*")] == [2, 1, 1, 1]


async def test_what_is_refused_is_not_acknowledged_and_is_given_up_in_steps() -> None:
    harness, client = Harness(), ToldClient()
    prefixes = [f"T.A{number}*" for number in range(10 * ANSWERED_TOPICS)]
    harness.hold(client, [*prefixes, "T.*", "Q.B*"])
    harness.held.refused(["T.*"])
    harness.hold(client, prefixes[:1])  # once more, which is a question of its own
    await harness.settle()
    assert harness.steps >= 10
    harness.held.answer_all()
    await harness.settle()
    assert client.told.count("subscribed to") == 2
    assert f": {prefixes[0]}" in client.told
    assert ": Q.B*" in client.told


async def test_what_the_vendor_passes_over_in_silence_is_acknowledged_when_it_has_had_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held_answers, "LONGEST", 0.01)
    harness, client = Harness(), ToldClient()
    harness.hold(client, ["T.A", "T.A", "T.B*"])
    async with asyncio.timeout(10):
        await client.was_told.wait()
    assert [client.told.count(f"subscribed to: {topic}") for topic in ("T.A", "T.B*")] == [2, 1]
    harness.held.answer_all()
    await harness.settle()
    assert client.told.count("subscribed to") == 3, "each once"
