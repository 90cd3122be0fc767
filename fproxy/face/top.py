"""``fproxy top``: what flows, to whom, and whether anything is wrong, in a terminal."""

import asyncio
import contextlib
import sys
from collections import deque
from datetime import datetime
from typing import Any, Final

import aiohttp
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from fproxy.core.report import ClientReport, ProcessReport, StateReport
from fproxy.face.admin_events import activity_records
from fproxy.face.event_loop import stop_signals
from fproxy.face.fitting_table import Column, FittingTable
from fproxy.face.readable import short, size_text, time_text

INTERVAL: Final = 1.0
"""How often the screen is drawn anew, in seconds."""

ANSWER_TIMEOUT: Final = 5.0
"""How long fproxy may take to answer, in seconds."""

SLOW_LAG: Final = 1.0
"""A client whose oldest unsent byte has waited this many seconds is marked as slow."""

SHOWN_RECORDS: Final = 8
"""How many of the last things that happened are shown."""

PROCESS_COLUMNS: Final = (
    Column("process", 10, 0),
    Column("events/s", 8, 1),
    Column("delivered/s", 11, 2),
    Column("clients", 7, 4),
    Column("read to\nwrite p50", 9, 7),
    Column("read to\nwrite p99", 9, 3),
    Column("loop lag", 8, 8),
    Column("CPU", 5, 5),
    Column("memory", 9, 6),
)
STREAM_COLUMNS: Final = (
    Column("stream", 20, 0),
    Column("market", 6, 3),
    Column("state", 4, 1),
    Column("messages/s", 10, 2),
    Column("last", 8, 4),
    Column("breaks", 6, 5),
)
CLIENT_COLUMNS: Final = (
    Column("client", 15, 0),
    Column("market", 6, 5),
    Column("topics", 6, 6),
    Column("events/s", 8, 2),
    Column("bytes/s", 10, 4),
    Column("unsent", 10, 3),
    Column("state", 8, 1),
)

_STATE_STYLES: Final = {"up": "green", "interrupted": "yellow", "down": "red"}


class Rates:
    """What was counted a second, between the last two states."""

    def __init__(self) -> None:
        self._before: StateReport | None = None
        self._now: StateReport | None = None

    def take(self, state: StateReport) -> None:
        """A new state has come."""
        self._before, self._now = self._now, state

    def of_process(self, process: ProcessReport, name: str) -> float | None:
        """Return the rate of one of a process's counts; None when there is nothing to compare with."""
        old = self._old_process(process)
        if old is None or name not in process["counts"] or process["now"] <= old["now"]:
            return None
        return (process["counts"][name] - old["counts"].get(name, 0)) * 1000 / (process["now"] - old["now"])

    def of_stream(self, process: ProcessReport, market: str, upstream: str) -> float | None:
        """Return the messages a second of a stream of a process."""
        old = self._old_process(process)
        if old is None or process["now"] <= old["now"]:
            return None
        counts = [
            stream["messages"]
            for report in (old, process)
            for stream in report["streams"]
            if (stream["market"], stream["upstream"]) == (market, upstream)
        ]
        return (counts[1] - counts[0]) * 1000 / (process["now"] - old["now"]) if len(counts) == 2 else None

    def of_client(self, client: ClientReport, name: str) -> float | None:
        """Return the rate of one of a client's counts."""
        if self._before is None or self._now is None or self._now["now"] <= self._before["now"]:
            return None
        key = (client.get("process"), client["id"])
        for old in self._before["clients"]:
            if (old.get("process"), old["id"]) == key:
                gained: float = client[name] - old[name]  # type: ignore[literal-required]
                return gained * 1000 / (self._now["now"] - self._before["now"])
        return None

    def _old_process(self, process: ProcessReport) -> ProcessReport | None:
        for old in self._before["processes"] if self._before is not None else ():
            if (old["name"], old["pid"]) == (process["name"], process["pid"]):
                return old
        return None


def screen(state: StateReport, rates: Rates, records: "deque[dict[str, Any]]") -> Group:
    """Return all that is shown of a state."""
    return Group(
        _headline(state),
        _processes(state, rates),
        _streams(state, rates),
        _clients(state, rates),
        _topics(state),
        _happened(records),
    )


def _headline(state: StateReport) -> Text:
    missing = [
        f"{process['name']}: {stream['upstream']} is {stream['state']}: {stream['reason']}"
        for process in state["processes"]
        for stream in process["streams"]
        if stream["state"] != "up"
    ] + [f"{process['name']} does not answer" for process in state["processes"] if not process["pid"]]
    ready = Text(" ready ", "black on green") if not missing else Text(" not ready ", "white on red")
    return Text.assemble(
        ("fproxy ", "bold"),
        f"{state['version']}  ",
        ready,
        f"  {short(state['clients_total'])} clients  ",
        f"{datetime.fromtimestamp(state['now'] / 1000):%H:%M:%S}  ",
        (missing[0] if missing else "", "red"),
    )


def _processes(state: StateReport, rates: Rates) -> Panel:
    table = FittingTable(*PROCESS_COLUMNS)
    for process in state["processes"]:
        gauges = process["gauges"]
        busy = rates.of_process(process, "cpu_seconds")
        table.add_row(
            process["name"],
            short(rates.of_process(process, "events")),
            short(rates.of_process(process, "deliveries")),
            short(process["clients"]),
            time_text(gauges.get("write_seconds_p50")),
            time_text(gauges.get("write_seconds_p99")),
            time_text(gauges.get("loop_lag_seconds")),
            "-" if busy is None else f"{100 * busy:.0f} %",
            size_text(gauges.get("resident_bytes")),
        )
    return Panel(table, title="Processes", title_align="left")


def _streams(state: StateReport, rates: Rates) -> Panel:
    table = FittingTable(*STREAM_COLUMNS)
    for process in state["processes"]:
        for stream in process["streams"]:
            last = stream["last_message"]
            table.add_row(
                f"{process['name']} <- {stream['upstream']}",
                stream["market"],
                Text(stream["state"], _STATE_STYLES.get(stream["state"], "")),
                short(rates.of_stream(process, stream["market"], stream["upstream"])),
                "-" if last is None else f"{max(0, process['now'] - last) / 1000:.0f} s ago",
                str(stream["interruptions"]),
            )
    return Panel(table, title="Streams", title_align="left")


def _clients(state: StateReport, rates: Rates) -> Panel:
    table = FittingTable(*CLIENT_COLUMNS)
    for client in state["clients"]:
        if client["dropped"]:
            why = Text(f"slow: {short(client['dropped'])} events left out", "red")
        elif client["lag"] >= SLOW_LAG:
            why = Text(f"slow: {time_text(client['lag'])} behind", "red")
        else:
            why = Text("keeps up", "green")
        table.add_row(
            client["name"] or client["address"],
            client["market"],
            short(client["topics"]),
            short(rates.of_client(client, "events")),
            size_text(rates.of_client(client, "bytes")),
            size_text(client["unsent_bytes"]),
            why,
        )
    shown, total = len(state["clients"]), state["clients_total"]
    title = "Clients" if shown == total else f"Clients: {shown} of {total}, those with most waiting"
    return Panel(table, title=title, title_align="left")


def _topics(state: StateReport) -> Panel:
    text = Text("  ").join(
        Text.assemble((topic["topic"], "bold"), f" {short(topic['events'] / topic['seconds'])}/s")
        for topic in state["topics"]
    )
    return Panel(
        text or Text("nothing in the last seconds", "dim"), title="Hottest topics", title_align="left"
    )


def _happened(records: "deque[dict[str, Any]]") -> Panel:
    lines = [
        Text(f"{datetime.fromtimestamp(record['time'] / 1000):%H:%M:%S}  {_place(record)}{record['text']}")
        for record in reversed(records)
    ]
    return Panel(
        Group(*lines) if lines else Text("nothing yet", "dim"), title="What happens", title_align="left"
    )


def _place(record: dict[str, Any]) -> str:
    return f"{record['process']}: " if "process" in record else ""


async def _follow(session: aiohttp.ClientSession, records: "deque[dict[str, Any]]") -> None:
    """Keep the last things that happened."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
            async for record in activity_records(session):
                records.append(record)
        await asyncio.sleep(INTERVAL)


async def run_top(url: str, *, once: bool) -> int:
    """Show the state until a signal; or once, and without taking the screen, for a script.

    Args:
        url: of the admin port.
        once: show one state, with the rates of a second, and end.

    Returns:
        The exit status: 1 when nothing answers there.
    """
    console, rates = Console(), Rates()
    records: deque[dict[str, Any]] = deque(maxlen=SHOWN_RECORDS)
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT)

    async with aiohttp.ClientSession(url, timeout=timeout) as session:

        async def look() -> StateReport:
            async with session.get("/state?clients=20&topics=12") as answer:
                answer.raise_for_status()
                state: StateReport = await answer.json()
                rates.take(state)
                return state

        following = asyncio.create_task(_follow(session, records))
        try:
            state = await look()
            with stop_signals() as stopping:
                if once:
                    await asyncio.sleep(INTERVAL)
                    console.print(screen(await look(), rates, records))
                    return 0
                with Live(
                    screen(state, rates, records), console=console, screen=True, auto_refresh=False
                ) as live:
                    while not stopping.is_set():
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(stopping.wait(), INTERVAL)
                        live.update(screen(await look(), rates, records), refresh=True)
        except (aiohttp.ClientError, TimeoutError) as error:
            print(f"fproxy top: no answer from {url}: {error or 'it takes too long'}", file=sys.stderr)
            return 1
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    return 0
