"""What several processes tell of themselves, put together: a stack, a demo or workers, at one admin port.

Each process serves its own pages at a Unix socket in a directory that only this user can enter. Nothing is kept here
but the last records of activity: every answer is made of the processes' answers of that moment.
"""

import asyncio
import contextlib
import json
import logging
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from fproxy.core.activity import KEPT
from fproxy.core.report import (
    ClientReport,
    ProcessReport,
    StateReport,
    TopicReport,
    ordered_clients,
    unready_reasons,
)
from fproxy.face.admin import AdminSettings, WithAdmin
from fproxy.face.admin_events import activity_records
from fproxy.face.run import Role
from fproxy.face.supervisor import Child
from fproxy.shell.clock import unix_ms

logger: Final = logging.getLogger("fproxy.admin")

ANSWER_TIMEOUT: Final = 2.0
"""How long a process may take to answer, in seconds: then it counts as not there."""

LISTED_AT_ONCE: Final = 1_000
"""How many clients a process is asked for in one request."""

WATCH_AGAIN: Final = 1.0
"""How long to wait before the events of a process are asked for again, in seconds."""


@dataclass(frozen=True, slots=True)
class ProcessSocket:
    """Where a process serves its pages.

    Attributes:
        name: what the process is called.
        role: ``proxy``, ``firehose``, ``aggregator`` or ``simulator``.
        path: its Unix socket.
    """

    name: str
    role: str
    path: Path


@contextlib.contextmanager
def process_sockets(roles: Mapping[str, str]) -> Iterator[list[ProcessSocket]]:
    """Give each process a place for its socket, in a directory that lasts as long as the context.

    Args:
        roles: the processes' names, each with its role.
    """
    with tempfile.TemporaryDirectory(prefix="fproxy-") as directory:  # made with mode 0700
        yield [
            ProcessSocket(name, role, Path(directory, f"{number}.sock"))
            for number, (name, role) in enumerate(roles.items())
        ]


def children_with_admin(
    children: Sequence[Child], sockets: Sequence[ProcessSocket], settings: AdminSettings
) -> tuple[Child, ...]:
    """Return children that serve their pages at their sockets, and nowhere else; at none when nobody wants them.

    Args:
        children: what is to run.
        sockets: of each child, in the same order.
        settings: where the pages of all are served.
    """
    return tuple(
        replace(
            child,
            environment={
                **child.environment,
                "FPROXY_ADMIN_PORT": "0",
                "FPROXY_ADMIN_SOCKET": str(socket.path) if settings.port else "",
            },
        )
        for child, socket in zip(children, sockets, strict=True)
    )


def with_joined_admin(role: Role, settings: AdminSettings, sockets: Sequence[ProcessSocket]) -> WithAdmin:
    """Return a role that consists of processes with the admin pages of all of them.

    Args:
        role: the role.
        settings: where the pages are served.
        sockets: the processes, in the order of the chain; clients connect to the last.
    """
    source = JoinedSource(sockets, version=version("fproxy"))

    async def make() -> JoinedSource:
        await source.start()
        return source

    return WithAdmin(role, settings, make, source.stop)


class JoinedSource:
    """The admin pages' source for several processes. This is an ``AdminSource``."""

    def __init__(self, sockets: Sequence[ProcessSocket], *, version: str) -> None:
        """Prepare it.

        Args:
            sockets: the processes, in the order of the chain; clients connect to the last.
            version: of fproxy.
        """
        self._sockets = sockets
        self._version = version
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._records: deque[Mapping[str, Any]] = deque(maxlen=KEPT)
        self._watchers: set[Callable[[Mapping[str, Any]], None]] = set()
        self._last: dict[str, StateReport] = {}

    async def start(self) -> None:
        """Begin to follow what happens in the processes; they need not be there yet."""
        for socket in self._sockets:
            self._sessions[socket.name] = aiohttp.ClientSession(
                "http://localhost",
                connector=aiohttp.UnixConnector(str(socket.path)),
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT),
            )
            self._tasks.append(asyncio.create_task(self._follow(socket)))

    async def stop(self) -> None:
        """Ask the processes nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self._sessions.values():
            await session.close()

    async def state(self, *, clients: int, topics: int) -> StateReport:
        """Return all that is shown at once, with at most so many clients and topics."""
        states = await self._ask_all(f"/state?clients={clients}&topics={topics}")
        processes: list[ProcessReport] = []
        found_clients: list[ClientReport] = []
        found_topics: list[TopicReport] = []
        total = 0
        serving = self._serving_role
        for socket in self._sockets:
            state = cast(StateReport | None, states[socket.name])
            if state is None:
                processes.append(_missing(socket))
                continue
            self._last[socket.name] = state
            processes += [{**process, "name": socket.name} for process in state["processes"]]
            if socket.role == serving:  # the others' clients are roles of this chain
                total += state["clients_total"]
                found_clients += [{**client, "process": socket.name} for client in state["clients"]]
                found_topics += state["topics"]
        end = self._last.get(self._sockets[-1].name)
        return {
            "now": unix_ms(),
            "version": self._version,
            "client_port": end["client_port"] if end else 0,
            "client_tls": bool(end and end["client_tls"]),
            "markets": end["markets"] if end else [],
            "processes": processes,
            "clients": ordered_clients(found_clients, "unsent_bytes")[:clients],
            "clients_total": total,
            "topics": _hottest(found_topics)[:topics],
        }

    async def clients(self, *, topic_lists: bool) -> list[ClientReport]:
        """Return every client of the processes that clients connect to."""
        found: list[ClientReport] = []
        for socket in self._sockets:
            if socket.role == self._serving_role:
                async for client in self._list_clients(socket, topic_lists):
                    found.append({**client, "process": socket.name})
        return found

    async def topics(self, limit: int) -> list[TopicReport]:
        """Return the topics with most events lately, the first the hottest."""
        return (await self.state(clients=0, topics=limit))["topics"]

    async def unready(self) -> list[str]:
        """Return why not all that should be served is served, each reason behind the process's name."""
        state = await self.state(clients=0, topics=0)
        return [
            f"{process['name']}: {reason}"
            for process in state["processes"]
            for reason in (unready_reasons(process["streams"]) if process["pid"] else ["it does not answer"])
        ]

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of all processes, each sample with the name of its process."""
        texts = await asyncio.gather(*(self._ask_text(socket, "/metrics") for socket in self._sockets))
        registry = CollectorRegistry()
        registry.register(
            _Families(
                (socket.name, text)
                for socket, text in zip(self._sockets, texts, strict=True)
                if text is not None
            )
        )
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    def watch(self, watcher: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]:
        """Tell of the records that are kept, then of each new one. Return what ends that."""
        for record in self._records:
            watcher(record)
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    @property
    def _serving_role(self) -> str:
        return self._sockets[-1].role

    async def _ask_all(self, path: str) -> dict[str, Any]:
        texts = await asyncio.gather(*(self._ask_text(socket, path) for socket in self._sockets))
        return {
            socket.name: None if text is None else json.loads(text)
            for socket, text in zip(self._sockets, texts, strict=True)
        }

    async def _ask_text(self, socket: ProcessSocket, path: str) -> str | None:
        """Return a page of a process; None when it does not answer."""
        try:
            async with self._sessions[socket.name].get(path) as answer:
                return await answer.text() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _list_clients(self, socket: ProcessSocket, topic_lists: bool) -> AsyncIterator[ClientReport]:
        offset = 0
        while True:
            text = await self._ask_text(
                socket,
                f"/clients?sort=connected&limit={LISTED_AT_ONCE}&offset={offset}&topics={int(topic_lists)}",
            )
            page = [] if text is None else json.loads(text)["clients"]
            for client in page:
                yield client
            if len(page) < LISTED_AT_ONCE:
                return
            offset += LISTED_AT_ONCE

    async def _follow(self, socket: ProcessSocket) -> None:
        """Pass on what happens in a process, from its start to its end and after each new start."""
        seen: tuple[int, int] = (0, 0)  # of the last record: when its process began, and its number
        while True:
            try:
                async for record in activity_records(self._sessions[socket.name]):
                    place = (record["began"], record["number"])
                    if place > seen:
                        seen = place
                        self._tell({**record, "process": socket.name})
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                pass
            await asyncio.sleep(WATCH_AGAIN)

    def _tell(self, record: Mapping[str, Any]) -> None:
        self._records.append(record)
        for watcher in tuple(self._watchers):
            watcher(record)


class _Families(Collector):
    """The metric families of several processes, joined by their names."""

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        self._families: dict[str, Metric] = {}
        for process, text in texts:
            for family in text_string_to_metric_families(text):
                joined = self._families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type, family.unit)
                )
                joined.samples += [
                    sample._replace(labels={**sample.labels, "process": process}) for sample in family.samples
                ]

    def collect(self) -> Iterator[Metric]:
        yield from self._families.values()


def _missing(socket: ProcessSocket) -> ProcessReport:
    """Return what is shown of a process that does not answer."""
    return {
        "name": socket.name,
        "role": socket.role,
        "version": "",
        "pid": 0,
        "port": 0,
        "started": 0,
        "now": unix_ms(),
        "clients": 0,
        "counts": {},
        "gauges": {},
        "streams": [],
    }


def _hottest(topics: Sequence[TopicReport]) -> list[TopicReport]:
    """Return topics of several processes, those that are the same once, the hottest first.

    Workers see the same events each; so the one that saw most of a topic stands for all, and their clients add up.
    """
    joined: dict[tuple[str, str], TopicReport] = {}
    for topic in topics:
        key = (topic["market"], topic["topic"])
        known = joined.get(key)
        if known is None:
            joined[key] = {**topic}
        else:
            clients = known["clients"] + topic["clients"]
            joined[key] = {**max(known, topic, key=lambda each: each["events"]), "clients": clients}
    return sorted(joined.values(), key=lambda topic: -topic["events"] / topic["seconds"])
