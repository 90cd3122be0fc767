"""Children that hang, or were stopped, are noticed and replaced: real roles and workers, stopped with SIGSTOP."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from fproxy.face.chain import role_child
from fproxy.face.heartbeat import MAX_UNANSWERED, MAX_UNANSWERED_AT_START, Heartbeat
from fproxy.face.supervisor import Child, Supervisor, accepts, free_port
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


@pytest.mark.parametrize("make", [role, worker])
async def test_a_stopped_child_is_killed_and_started_again(make: type, tmp_path: Path) -> None:
    child: Child = make(free_port("127.0.0.1"))
    lines: list[str] = []
    supervisor = Supervisor(
        [child], lambda name, line: lines.append(line), restart_delay=0.01, ask_interval=INTERVAL
    )

    async def until_alive(other_than: int | None = None) -> int:
        async with asyncio.timeout(60):
            while True:
                pid = supervisor.pids.get(child.name)
                if pid not in (None, other_than) and supervisor._heartbeats[child.name]._has_answered:
                    assert pid is not None
                    return pid
                await asyncio.sleep(0.01)

    await supervisor.start()
    try:
        stopped = await until_alive()
        os.kill(stopped, signal.SIGSTOP)
        await until_alive(other_than=stopped)
        async with asyncio.timeout(60):  # it answers a little earlier than it serves
            while not await accepts(child.host, child.port):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await supervisor.stop()
    said = [line for line in lines if line.startswith("WARNING ")]
    assert any("does not answer any more, and is killed" in line for line in said)
    assert any("Ended by SIGKILL; starting again" in line for line in said)
    assert not any("fproxy is alive" in line for line in lines), "the answers are no lines of the log"
