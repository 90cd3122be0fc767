"""One run of one cell: a program under test on a workload."""

import json
import os
import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import Program, compile_cpp
from benchmarks.system.oracle import Oracle, write_expected
from benchmarks.system.processes import CellError, Process, cpu_ns, memory_kib, tree, wait_until_quiet
from benchmarks.system.tape import write_tape
from benchmarks.system.workloads import Workload

HERE: Final = Path(__file__).parent
START_TIMEOUT: Final = 30.0
CONNECT_TIMEOUT: Final = 120.0
PLAY_TIMEOUT: Final = 120.0
FIRST_WARM_UP_EVENTS: Final = 2_000
WARM_UP_SECONDS: Final = 0.3
MANY_TOPICS: Final = 100_000
"""From as many different ones on, what a program has grown by when all are subscribed to says what one takes."""
LEAD_NS: Final = 20_000_000
"""Between the order to play and the first frame, so that no order arrives after its time."""


@dataclass(frozen=True)
class Options:
    """How a cell is run.

    Attributes:
        results: the directory for tapes, binaries and logs.
        seconds: how long the measured part should take.
        events: how many events to play flat out, instead of what fits those seconds; None leaves it to them.
        window: how many events the source may be ahead of the slowest client; 0: no such limit.
        program_cores: where the program under test runs.
        load_cores: where source and clients run.
    """

    results: Path
    seconds: float = 2.0
    events: int | None = None
    window: int = 50_000
    program_cores: tuple[int, ...] = (1,)
    load_cores: tuple[int, ...] = (0,)


@dataclass
class Phase:
    """What was measured between the first event of a play and the last delivery.

    ``cpu_seconds`` has an entry for each process of the program under test that lived through all of it.
    """

    events: int
    deliveries: int
    expected: int
    seconds: float
    cpu_seconds: list[float]
    source_late_us: tuple[float, float, float]
    clients: dict[str, Any]


@dataclass
class _Tally:
    """What went wrong over all phases of a cell."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, clients: dict[str, Any]) -> None:
        for fault in FAULTS:
            self.counts[fault] = self.counts.get(fault, 0) + int(clients[fault])


FAULTS: Final = ("lost", "repeated", "unexpected", "altered", "malformed", "closed")
"""The ways in which what clients receive can be wrong; ``closed`` counts clients, the others events or messages."""


def prepare_load(options: Options) -> None:
    """Compile the source and the clients.

    Raises:
        UnavailableError: there is no compiler, or it failed.
    """
    for name in ("source", "clients"):
        compile_cpp(HERE / f"{name}.cpp", options.results / name, "-O2")


class Material:
    """What all cells of a workload share: the tape, and what the oracle expects for each distinct set of topics."""

    def __init__(self, workload: Workload, directory: Path, oracles: dict[Path, Oracle]) -> None:
        """Write the tape, the lists and the clients' file.

        Args:
            workload: what for.
            directory: where to.
            oracles: those made so far, by tape; a new one is added.
        """
        self.tape = write_tape(workload.tape, directory)
        if self.tape not in oracles:
            oracles[self.tape] = Oracle(self.tape)
        self.oracle = oracles[self.tape]
        self.bytes_per_event = self.tape.stat().st_size / self.oracle.event_count
        self.topics = len({topic for topics in workload.clients for topic in topics})
        groups = {topics: number for number, topics in enumerate(dict.fromkeys(workload.clients))}
        lists = [self.oracle.expected(topics) for topics in groups]
        self.lists: list[Sequence[int]] = [lists[groups[topics]] for topics in workload.clients]
        self.expected = directory / f"expected-{workload.name}.bin"
        write_expected(lists, self.expected)
        self.clients = directory / f"clients-{workload.name}.txt"
        self.clients.write_text(
            "".join(
                f"{groups[topics]} /{workload.market} {','.join(topics)}\n" for topics in workload.clients
            )
        )

    def frames_for(self, first_frame: int, events: int) -> int:
        """Return how many frames from ``first_frame`` on hold at least that many events."""
        frame = first_frame
        target = self.number(first_frame) + events
        while self.number(frame) < target:
            frame += 1
        return frame - first_frame

    def number(self, frame: int) -> int:
        """Return the number of a frame's first event on the endless tape."""
        rounds, index = divmod(frame, len(self.oracle.first_event) - 1)
        return rounds * self.oracle.event_count + self.oracle.first_event[index]


class Cell:
    """One program on one workload, once."""

    def __init__(self, workload: Workload, program: Program, material: Material, options: Options) -> None:
        self.workload = workload
        self.program = program
        self.material = material
        self.options = options
        self._next_frame = 0
        self._tally = _Tally()

    def run(self) -> dict[str, Any]:
        """Run it.

        Returns:
            What was measured, ready for JSON.

        Raises:
            CellError: it could not be run to its end; the message says why.
        """
        with ExitStack() as stack:
            self._start(stack)
            memory_before = memory_kib(self._pids(), "VmRSS")
            self._clients.say("connect")
            _, connect_ns = self._clients.expect("connected", CONNECT_TIMEOUT)
            wait_until_quiet(self._pids(), 0.2, 10)
            memory_of_topics = (memory_kib(self._pids(), "VmRSS") - memory_before) * 1024
            self._warm_up()
            if self.workload.idle_clients or self.workload.storm:
                phase, extra = self._disturbed()
            else:
                phase, extra = self._play(self._events(), self.workload.rate), {}
            self._collect_stragglers()
            pids = self._pids()
            cpu_seconds = sum(phase.cpu_seconds)
            return {
                "events": phase.events,
                "deliveries": phase.deliveries,
                "expected": phase.expected,
                "seconds": phase.seconds,
                "events_per_s": phase.events / phase.seconds,
                "cpu_share": cpu_seconds / phase.seconds,
                "cpu_us_per_event": cpu_seconds * 1e6 / phase.events,
                "busiest_process_us_per_event": max(phase.cpu_seconds) * 1e6 / phase.events
                if len(phase.cpu_seconds) > 1
                else None,
                "cpu_ns_per_byte": cpu_seconds * 1e9 / phase.events / self.material.bytes_per_event,
                "bytes_per_topic": memory_of_topics / self.material.topics
                if self.material.topics >= MANY_TOPICS
                else None,
                "cpu_us_per_delivery": cpu_seconds * 1e6 / phase.deliveries if phase.deliveries else None,
                **{key: phase.clients[key] for key in ("p50_us", "p99_us", "p999_us", "max_us", "messages")},
                "largest_message": phase.clients["largest_message"],
                "source_late_p50_us": phase.source_late_us[0],
                "source_late_p99_us": phase.source_late_us[1],
                "source_late_max_us": phase.source_late_us[2],
                "peak_mib": memory_kib(pids, "VmHWM") / 1024,
                "connect_s": int(connect_ns) / 1e9,
                **self._tally.counts,
                "correct": not any(self._tally.counts.values()) and phase.deliveries == phase.expected,
                **extra,
            }

    def _start(self, stack: ExitStack) -> None:
        options = self.options
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fproxy-benchmark-")))
        window = scratch / "window"
        window.write_bytes(bytes(4096))
        logs = options.results / "logs"
        logs.mkdir(exist_ok=True)

        def log(role: str) -> Path:
            return logs / f"{self.workload.name}-{self.program.name}-{role}.log"

        source_command = [
            str(options.results / "source"),
            str(self.material.tape),
            str(window),
            str(options.window if self.workload.windowed else 0),
        ]
        self._source = stack.enter_context(
            Process(
                "source",
                source_command,
                cores=options.load_cores,
                log=log("source"),
            )
        )
        firehose_port, aggregator_port = self._source.expect("listening", START_TIMEOUT)
        market = self.workload.market
        firehose, aggregator = (
            f"ws://127.0.0.1:{port}/{market}" for port in (firehose_port, aggregator_port)
        )
        port = _free_port()
        directory = options.results / self.program.name
        self._program = stack.enter_context(
            Process(
                self.program.name,
                self.program.command(directory, port, firehose, aggregator),
                cores=options.program_cores,
                log=log("program"),
                environment=self.program.environment(firehose, aggregator),
                directory=scratch,
                speaks=False,
            )
        )
        self._wait_for_port(port)
        for _ in range(self.program.upstreams):
            while self._source.expect("upstream", START_TIMEOUT) != ["firehose"]:
                pass
        self._clients = stack.enter_context(
            Process(
                "clients",
                [
                    str(options.results / "clients"),
                    *map(
                        str, (port, self.material.tape, self.material.expected, self.material.clients, window)
                    ),
                ],
                cores=options.load_cores,
                log=log("clients"),
            )
        )

    def _wait_for_port(self, port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            if not self._program.alive:
                raise CellError(self._program.obituary())
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise CellError(f"{self.program.name} does not listen: {error}") from error
                time.sleep(0.05)

    def _pids(self) -> list[int]:
        return tree(self._program.pid)

    def _warm_up(self) -> None:
        rate = self.workload.rate
        first = self._play(FIRST_WARM_UP_EVENTS if rate is None else int(rate * WARM_UP_SECONDS), rate)
        self._events_per_second = first.events / first.seconds
        if rate is None:
            second = self._play(max(1, int(self._events_per_second * WARM_UP_SECONDS)), None)
            self._events_per_second = second.events / second.seconds

    def _events(self) -> int:
        if self.workload.rate is not None:
            return max(1, int(self.workload.rate * self.options.seconds))
        if self.options.events is not None:
            return self.options.events
        if self.workload.events is not None:
            return self.workload.events
        return max(1, int(self._events_per_second * self.options.seconds))

    def _begin(self, events: int, rate: float | None, *, keep: bool = False) -> tuple[int, int, int]:
        """Order a play; return its first event, the event after its last, and when it starts."""
        first_frame = self._next_frame
        frames = self.material.frames_for(first_frame, events)
        self._next_frame += frames
        base, target = self.material.number(first_frame), self.material.number(self._next_frame)
        start_ns = time.monotonic_ns() + LEAD_NS
        self._clients.say(f"phase {base} {target} {rate or 0} {start_ns} {int(keep)}")
        self._source.say(f"play {frames} {rate or 0} {start_ns}")
        return base, target, start_ns

    def _play(self, events: int, rate: float | None, *, keep: bool = False) -> Phase:
        pids = self._pids()
        cpu_before = [cpu_ns([pid]) for pid in pids]
        base, target, start_ns = self._begin(events, rate, keep=keep)
        expected = sum(
            self.material.oracle.deliveries(wanted, base, target) for wanted in self.material.lists
        )
        timeout = PLAY_TIMEOUT + (events / rate if rate else 0)
        with self._clients.paused() if self.workload.lagging else nullcontext():
            played = self._source.expect("played", timeout)
            if self.workload.lagging:
                wait_until_quiet(pids, 0.05, timeout)  # it has read all, and sent what sockets take
        # Without a delivery to wait for, the end is when the program has nothing left to do.
        quiet_ns = wait_until_quiet(pids, 0.05, timeout) if expected == 0 else 0
        self._clients.say("finish")
        clients = json.loads(self._clients.expect_line("phase", timeout))
        cpu = [cpu_ns([pid]) - before for pid, before in zip(pids, cpu_before, strict=True)]
        self._tally.add(clients)
        end_ns = max(quiet_ns, int(clients["last_ns"]), int(played[2]))
        late = tuple(int(value) / 1000 for value in played[3:6])
        return Phase(
            events=target - base,
            deliveries=int(clients["delivered"]),
            expected=expected,
            seconds=(end_ns - start_ns) / 1e9,
            cpu_seconds=[spent / 1e9 for spent in cpu],
            source_late_us=(late[0], late[1], late[2]),
            clients=clients,
        )

    def _disturbed(self) -> tuple[Phase, dict[str, Any]]:
        """Play at a fixed rate, first undisturbed, then while others connect or subscribe."""
        rate = self.workload.rate
        assert rate is not None
        undisturbed = self._play(self._events(), rate)
        memory_before = memory_kib(self._pids(), "VmRSS")
        extra: dict[str, Any] = {
            f"undisturbed_{key}": undisturbed.clients[key] for key in ("p50_us", "p99_us", "max_us")
        }
        if self.workload.storm:
            topics, singles = self.workload.storm
            self._clients.say(f"storm {topics} {singles}")
            word = "storm"
        else:
            self._clients.say(f"idle {self.workload.idle_clients}")
            word = "idle"
        # In parts of half a second, all counted together, until the others are done.
        phases = [self._play(int(rate / 2), rate)]
        while (answer := self._answer(word)) is None:
            if len(phases) > 2 * PLAY_TIMEOUT:
                raise CellError(f"{word}: not done within {PLAY_TIMEOUT:.0f} s")
            phases.append(self._play(int(rate / 2), rate, keep=True))
        if self.workload.storm:
            extra |= {"storm_bulk_ms": int(answer[0]) / 1e6, "storm_singles_ms": int(answer[1]) / 1e6}
        else:
            wait_until_quiet(self._pids(), 0.2, 5)
            grown = memory_kib(self._pids(), "VmRSS") - memory_before
            extra |= {
                "idle_connect_s": int(answer[1]) / 1e9,
                "idle_kib_each": grown / self.workload.idle_clients,
            }
            # And how it goes on with them there.
            beside = self._play(self._events(), rate)
            extra |= {f"beside_{key}": beside.clients[key] for key in ("p50_us", "p99_us", "max_us")}
        last = phases[-1]
        return (
            Phase(
                events=sum(phase.events for phase in phases),
                deliveries=sum(phase.deliveries for phase in phases),
                expected=sum(phase.expected for phase in phases),
                seconds=sum(phase.seconds for phase in phases),
                cpu_seconds=[
                    sum(parts) for parts in zip(*(phase.cpu_seconds for phase in phases), strict=True)
                ],
                source_late_us=last.source_late_us,
                clients=last.clients,
            ),
            extra,
        )

    def _answer(self, word: str) -> list[str] | None:
        try:
            return self._clients.expect(word, 0.0)
        except CellError:
            if not self._clients.alive:
                raise
            return None

    def _collect_stragglers(self) -> None:
        """Count what comes after the last delivery: repeated or unasked events."""
        wait_until_quiet(self._pids(), 0.1, 5)
        number = self.material.number(self._next_frame)
        self._clients.say(f"phase {number} {number} 0 0 1")
        self._clients.say("finish")
        self._tally.add(json.loads(self._clients.expect_line("phase", START_TIMEOUT)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def default_cores() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the cores for the program under test and those for source and clients.

    The program gets the last core that this process may use, the load the others; one core they would share.
    """
    cores = sorted(os.sched_getaffinity(0))
    return (cores[-1],), tuple(cores[:-1]) or (cores[-1],)
