"""``fproxy --workers 2`` as a person runs it: two processes on one port, that look like one from outside."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from click.testing import CliRunner
from crowd_upstream import CrowdUpstream
from market_data import split_events
from own_ports import own_port
from prometheus_client.parser import text_string_to_metric_families
from running_program import TIMEOUT, Program, StartProgram
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fproxy.face.cli import fproxy
from fproxy.face.settings.sources import known_settings
from fproxy.face.supervisor import Child, ChildFailedError
from fproxy.face.workers import Workers, worker_children
from fproxy.shell.port_reservation import spreads_connections

pytestmark = pytest.mark.skipif(
    not spreads_connections(), reason="the system does not spread connections over processes"
)

CROWD = 40
"""Clients: that all of them come to the same one of two workers happens once in 2**39 runs."""


class TwoWorkers:
    """A proxy of two workers between two upstreams, and what it has said so far."""

    def __init__(
        self, program: Program, firehose: CrowdUpstream, aggregator: CrowdUpstream, admin_port: int
    ) -> None:
        self.program = program
        self.admin_port = admin_port
        self.firehose = firehose
        self.aggregator = aggregator
        self.port = 0

    async def client(self, topic: str) -> ClientConnection:
        """Return a client that has one topic."""
        client = await connect(f"ws://127.0.0.1:{self.port}/", open_timeout=TIMEOUT)
        for action, params in (("auth", "any"), ("subscribe", topic)):
            await client.send(json.dumps({"action": action, "params": params}))
            (status,) = json.loads(await client.recv())
            assert status["status"] in ("auth_success", "success")
        return client

    def started(self, name: str) -> list[int]:
        """Return the process ids that a worker has had, the latest last."""
        pattern = rf"INFO {name}: Started as process (\d+)"
        return [int(match[1]) for line in self.program.errors if (match := re.fullmatch(pattern, line))]

    def pids(self) -> list[int]:
        return [*self.started("worker 1"), *self.started("worker 2")]

    async def clients_of(self, name: str) -> float:
        """Return how many clients a worker has, by the metrics of all."""
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        async with asyncio.timeout(TIMEOUT):
            while True:  # one that was started again serves its page a moment later than its clients
                page = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
                families = {family.name: family for family in text_string_to_metric_families(page)}
                for sample in families["fproxy_clients"].samples:
                    if sample.labels["process"] == name:
                        return sample.value


@asynccontextmanager
async def running(start: StartProgram, *arguments: str) -> AsyncIterator[TwoWorkers]:
    """Start two workers on a free port, and wait until both have both upstreams."""
    admin_port = own_port()
    async with CrowdUpstream() as firehose, CrowdUpstream() as aggregator:
        program = await start(
            *("--workers", "2", "--port", "0", "--admin-port", str(admin_port), *arguments),
            FIREHOSE_URL=firehose.url,
            MS_AGGREGATOR_URL=aggregator.url,
            FPROXY_UNSUBSCRIBE_LINGER="0",
        )
        workers = TwoWorkers(program, firehose, aggregator, admin_port)
        told = await program.error_line("Now listening on port ")
        workers.port = int(told.rsplit(" ", 1)[1])
        for upstream in (firehose, aggregator):
            await upstream.until_connected(2)
        yield workers


async def next_event(client: ClientConnection) -> bytes:
    async with asyncio.timeout(TIMEOUT):
        (event,) = split_events(await client.recv(decode=False))
    return event


async def check_delivery(workers: TwoWorkers, clients: dict[str, ClientConnection], price: int) -> None:
    """Have the upstreams send an event of every topic, and see that each client gets its own and no other."""
    trades = {
        topic: b'{"ev":"T","sym":"%s","p":%d.50}' % (topic.partition(".")[2].encode(), price)
        for topic in clients
        if topic.startswith("T.")
    }
    bars = {
        topic: b'{"T":"b","S":"%s","o":%d,"s":100,"e":200}' % (topic.partition(".")[2].encode(), price)
        for topic in clients
        if topic.startswith("100Ms.")
    }
    for upstream, events in ((workers.firehose, trades), (workers.aggregator, bars)):
        await upstream.until_asked(*events)
        await upstream.send(events)
    for topic, client in clients.items():
        assert await next_event(client) == (trades | bars)[topic]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_clients_of_both_workers_get_their_events_and_all_stops_at_a_signal(
    start: StartProgram,
) -> None:
    async with AsyncExitStack() as stack, running(start) as workers:
        topics = [f"{kind}.S{number}" for number in range(CROWD // 2) for kind in ("T", "100Ms")]
        clients = {topic: await stack.enter_async_context(await workers.client(topic)) for topic in topics}
        counts = [await workers.clients_of(f"worker {number}") for number in (1, 2)]
        assert sum(counts) == CROWD
        assert all(counts)
        for price in (1, 2):
            await check_delivery(workers, clients, price)
        # Each worker asked for the topics of its own clients: none is asked for twice.
        assert sum(map(len, workers.firehose.topics.values())) == CROWD // 2

        workers.program.process.send_signal(signal.SIGTERM)
        for client in clients.values():
            with pytest.raises(ConnectionClosed) as closed:
                await next_event(client)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        code, output, errors = await workers.program.finish()
    assert (code, output) == (0, "")
    said = workers.program.errors + errors.splitlines()
    for line in ("INFO Starting Polygon Filtered WebSocket Proxy", "WARNING No key is set"):
        assert sum(line in each for each in said) == 1
    for number in (1, 2):
        assert f"INFO worker {number}: Connecting to firehose at {workers.firehose.url}" in said
    assert all(line.startswith(("INFO ", "WARNING ")) for line in said), said
    assert all(map(gone, workers.pids()))


async def test_a_worker_that_dies_is_replaced_and_its_clients_come_back(start: StartProgram) -> None:
    async with AsyncExitStack() as stack, running(start) as workers:
        topics = [f"T.S{number}" for number in range(CROWD)]
        clients = {topic: await workers.client(topic) for topic in topics}
        lost = await workers.clients_of("worker 2")
        stayed = await workers.clients_of("worker 1")
        await workers.firehose.until_asked(*topics)
        os.kill(workers.started("worker 2")[0], signal.SIGKILL)
        await workers.program.error_line("WARNING worker 2: Ended by SIGKILL; starting again in 1 s")
        await workers.firehose.until_connected(1)
        await workers.firehose.send(
            {topic: b'{"ev":"T","sym":"%s"}' % topic[2:].encode() for topic in topics}
        )
        back: dict[str, ClientConnection] = {}
        for topic, client in clients.items():
            try:
                assert topic[2:].encode() in await next_event(client)
            except ConnectionClosed:
                back[topic] = await workers.client(topic)  # a living worker's, at once
        assert (len(back), len(clients) - len(back)) == (lost, stayed)
        await workers.program.error_line("INFO worker 2: Started as process")
        await workers.program.error_line("INFO worker 2: stocks connected to firehose")
        clients |= back
        while not await workers.clients_of("worker 2"):
            topic = f"T.N{len(clients)}"
            clients[topic] = await workers.client(topic)
        await check_delivery(workers, clients, 3)
        for client in clients.values():
            stack.push_async_callback(client.close)
        code, _, errors = await workers.program.finish(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in errors
    assert len(workers.pids()) == 3
    assert all(map(gone, workers.pids()))


async def test_workers_end_when_the_process_that_started_them_is_killed(start: StartProgram) -> None:
    async with running(start) as workers:
        watched = [os.pidfd_open(pid) for pid in workers.pids()]
        assert len(watched) == 2
        workers.program.process.kill()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUT):
            for descriptor in watched:
                ended = asyncio.Event()
                loop.add_reader(descriptor, ended.set)  # readable once its process has ended
                await ended.wait()
                loop.remove_reader(descriptor)
                os.close(descriptor)


async def test_the_port_of_workers_is_refused_to_another_fproxy(start: StartProgram) -> None:
    async with running(start) as workers:
        for number in ("1", "2"):
            second = await start("--workers", number, "--port", str(workers.port))
            code, output, errors = await second.finish()
            assert (code, output) == (1, "")
            assert errors.splitlines()[-1] == f"ERROR port {workers.port} on 127.0.0.1 is in use"
            assert "worker" not in errors
        assert (await workers.program.finish(signal.SIGTERM))[0] == 0


@pytest.mark.parametrize("reuse_port", [False, True])
async def test_a_port_that_a_stranger_has_is_refused(start: StartProgram, reuse_port: bool) -> None:
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse_port)
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        code, _, errors = await (await start("--workers", "2", "--port", str(port))).finish()
    assert code == 1
    assert errors.splitlines()[-1] == f"ERROR port {port} on 127.0.0.1 is in use"
    assert "Started" not in errors


async def test_the_stack_may_have_workers(start: StartProgram) -> None:
    async with CrowdUpstream() as vendor:
        stack = await start(
            *("stack", "--workers", "2", "--port", "0", "--firehose-port", "0", "--aggregator-port", "0"),
            *("--polygon-ws-url", vendor.url),
            POLYGON_API_KEY="sesame",
        )
        await vendor.until_connected(1)
        # In any order, with the line that tells where clients connect anywhere among them.
        awaited = {
            "Clients connect to port",
            *(
                f"worker {w}: stocks connected to {u} proxy"
                for w in (1, 2)
                for u in ("firehose", "ms-aggregator")
            ),
        }
        while not all(any(text in line for line in stack.errors) for text in awaited):
            await stack.error_line("INFO ")
        assert (await stack.finish(signal.SIGTERM))[0] == 0


# What needs no process


VALUES = {"workers": 3, "host": "127.0.0.1", "drain": 0.0}


def test_workers_get_flags_as_variables_and_no_secret_is_shown() -> None:
    flags = {"FPROXY_CLIENT_KEYS": "sesame", "FPROXY_WORKERS": "3", "FILTERED_PROXY_PORT": "0"}
    children = worker_children(VALUES, 8765, flags)
    assert [child.name for child in children] == ["worker 1", "worker 2", "worker 3"]
    for child in children:
        assert child.environment["FPROXY_CLIENT_KEYS"] == "sesame"
        assert child.environment["FPROXY_WORKERS"] == ""
        assert child.environment["FILTERED_PROXY_PORT"] == "8765"
        assert "sesame" not in repr(child)


async def test_what_a_worker_says_is_logged_under_its_name_with_its_level(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = (
        r"print('odd\nERROR broken\nTraceback:\nINFO fine\n  more\nready'); import time; time.sleep(600)"
    )
    command = (sys.executable, "-u", "-c", program)
    workers = Workers([Child(name="worker 1", command=command, host="127.0.0.1", port=1, ready_line="ready")])
    with caplog.at_level("INFO"):
        await workers.start()
        await workers.stop()
    lines = [
        (record.levelname, record.message) for record in caplog.records if record.name.endswith("relayed_log")
    ]
    assert lines[1:] == [
        ("INFO", "worker 1: odd"),
        ("ERROR", "worker 1: broken"),
        ("ERROR", "worker 1: Traceback:"),
        ("INFO", "worker 1: fine"),
        ("INFO", "worker 1:   more"),
    ]


async def test_one_worker_that_cannot_start_stops_the_others() -> None:
    good = ("-u", "-c", "print('ready'); import time; time.sleep(600)")
    bad = ("-c", "raise SystemExit(3)")
    children = [
        Child(
            name=f"worker {number}",
            command=(sys.executable, *arguments),
            host="127.0.0.1",
            port=1,
            ready_line="ready",
        )
        for number, arguments in enumerate((good, bad, good), 1)
    ]
    workers = Workers(children)
    with pytest.raises(ChildFailedError, match=r"^worker 2 could not start: Exited with status 3$"):
        await workers.start()
    await workers.stop()


def test_other_systems_are_told_that_they_cannot_have_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_settings():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    result = CliRunner().invoke(fproxy, ["--workers", "2", "--env-file", os.devnull])
    assert result.exit_code == 2
    assert "2 workers (FPROXY_WORKERS) need a system that spreads the connections" in result.output
