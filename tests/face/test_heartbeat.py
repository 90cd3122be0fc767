"""Children that hang, or were stopped, are noticed and replaced: real roles and workers, stopped with SIGSTOP."""

import asyncio
import os
import signal
import sys

import pytest
from own_ports import own_port

from fproxy.face import supervisor
from fproxy.face.chain import role_child
from fproxy.face.heartbeat import MAX_UNANSWERED, MAX_UNANSWERED_AT_START, Heartbeat
from fproxy.face.supervisor import Child, Supervisor
from fproxy.face.workers import worker_children

if sys.platform == "win32":
    pytest.skip("nothing is stopped there in this way", allow_module_level=True)

INTERVAL = 0.2


def test_questions_are_counted_until_one_is_answered() -> None:
    beat = Heartbeat()
    assert not any(beat.asked() for _ in range(MAX_UNANSWERED_AT_START))
    assert beat.asked(), "it may take long to start, but not for ever"
    beat.answered()
    assert not any(beat.asked() for _ in range(MAX_UNANSWERED))
    beat.answered()
    assert not any(beat.asked() for _ in range(MAX_UNANSWERED))
    assert beat.asked()


def role(port: int) -> Child:
    return role_child("market", "sim", host="127.0.0.1", port=port, environment={"FPROXY_ADMIN_PORT": "0"})


def worker(port: int) -> Child:
    settings = {"FIREHOSE_URL": "ws://127.0.0.1:1", "MS_AGGREGATOR_URL": "ws://127.0.0.1:1"}
    values = {"host": "127.0.0.1", "workers": 1, "drain": 0.0, "stop_at_eof": False}
    (child,) = worker_children(values, port, settings | {"FPROXY_ADMIN_PORT": "0"})
    return child


class Answers:
    """The children that have answered, in the order of their answers, each by its heartbeat."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers = self._answers = asyncio.Queue[Heartbeat]()

        class Told(Heartbeat):
            def answered(self) -> None:
                super().answered()
                answers.put_nowait(self)

        monkeypatch.setattr(supervisor, "Heartbeat", Told)

    async def of_another_than(self, beat: Heartbeat | None) -> Heartbeat:
        """Wait for an answer of a child that was started later."""
        async with asyncio.timeout(60):
            while (answering := await self._answers.get()) is beat:
                pass
        return answering


@pytest.mark.parametrize("make", [role, worker])
async def test_a_stopped_child_is_killed_and_started_again(
    make: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    child: Child = make(own_port())
    lines: list[str] = []
    answers = Answers(monkeypatch)
    running = Supervisor(
        [child], lambda name, line: lines.append(line), restart_delay=0.01, ask_interval=INTERVAL
    )
    await running.start()
    try:
        first = await answers.of_another_than(None)
        stopped = running.pids[child.name]
        os.kill(stopped, signal.SIGSTOP)
        await answers.of_another_than(first)
        assert running.pids[child.name] != stopped
    finally:
        await running.stop()
    said = [line for line in lines if line.startswith("WARNING ")]
    assert any("does not answer any more, and is killed" in line for line in said)
    assert any("Ended by SIGKILL; starting again" in line for line in said)
    assert not any("fproxy is alive" in line for line in lines), "the answers are no lines of the log"
