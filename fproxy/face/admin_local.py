"""What this process tells of itself on the admin pages."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final, Protocol

from prometheus_client.exposition import choose_encoder

from fproxy._read_timer import BUCKET_ENDS
from fproxy.core.latency import LatencyWindow
from fproxy.core.market import MARKETS, Upstream
from fproxy.core.report import (
    ClientReport,
    ProcessReport,
    StateReport,
    StreamReport,
    TopicReport,
    ordered_clients,
    unready_reasons,
)
from fproxy.core.stream import Stream
from fproxy.core.topics import Topic
from fproxy.face.admin import AdminSettings, WithAdmin
from fproxy.face.run import ListeningRole
from fproxy.metrics import Metrics
from fproxy.observed import ObservedHistory
from fproxy.process_state import STARTED, cpu_seconds, resident_bytes
from fproxy.roles.market_fanouts import SOURCES
from fproxy.shell.client_report import client_report
from fproxy.shell.clock import unix_ms
from fproxy.shell.loop_watch import LoopWatch
from fproxy.shell.server import ClientServer

LOOK_INTERVAL: Final = 1.0
"""How often latencies are looked at, in seconds."""

REPORTS_PER_STEP: Final = 200
"""How many clients are reported on before the loop gets its turn: some tenths of a millisecond."""

HOLDERS_PER_STEP: Final = 20
"""How many clients are asked for the topics of a list before the loop gets its turn."""

HOT_SPAN: Final = 5_000
"""Of which time the hottest topics are told, in milliseconds."""

HOT_BYTES: Final = 256 * 1024
"""How much of a history is looked at for them, in bytes: about a millisecond's work."""


class ServingRole(ListeningRole, Protocol):
    """A role with a server for clients."""

    @property
    def server(self) -> ClientServer:
        """The server for clients."""


class LocalSource:
    """The admin pages' source for the role of this process. This is an ``AdminSource``."""

    def __init__(
        self, role: ServingRole, *, kind: str, version: str, metrics: Metrics, tls: bool = False
    ) -> None:
        """Begin to look at the loop and at latencies, in a running loop.

        Args:
            role: the role.
            kind: what it is: ``proxy``, ``firehose``, ``aggregator`` or ``simulator``.
            version: of fproxy.
            metrics: what it counts in.
            tls: whether its clients connect by ``wss://``.
        """
        self._role = role
        self._kind = kind
        self._version = version
        self._metrics = metrics
        self._tls = tls
        self._observed = metrics.observed
        self._loop = asyncio.get_running_loop()
        self._loop_watch = LoopWatch(self._loop, metrics.loop_lag.observe)
        self._latency = LatencyWindow(BUCKET_ENDS)
        self._look_timer = self._loop.call_later(LOOK_INTERVAL, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._loop_watch.stop()
        self._look_timer.cancel()

    async def state(self, *, clients: int, topics: int) -> StateReport:
        """Return all that is shown at once, with at most so many clients and topics."""
        everybody = await self.clients(topic_lists=False) if clients else []
        return {
            "now": unix_ms(),
            "version": self._version,
            "client_port": self._role.port,
            "client_tls": self._tls,
            "markets": [
                {"name": endpoint.market.name, "path": endpoint.path}
                for endpoint in self._role.server.endpoints
                if endpoint.greets
            ],
            "processes": [self._process()],
            "clients": ordered_clients(everybody, "unsent_bytes")[:clients],
            "clients_total": self._client_count(),
            "topics": await self.topics(topics) if topics else [],
        }

    async def clients(self, *, topic_lists: bool) -> list[ClientReport]:
        """Return every client; with its topics, as far as there are not too many, if ``topic_lists``."""
        reports: list[ClientReport] = []
        for client in self._role.server.clients:
            if client.authenticated:  # still, as the loop has turned meanwhile
                reports.append(client_report(client, with_topics=topic_lists))
                if len(reports) % REPORTS_PER_STEP == 0:
                    await asyncio.sleep(0)
        return reports

    async def topics(self, limit: int) -> list[TopicReport]:
        """Return the topics with most events lately, the first the hottest."""
        now = unix_ms()
        found: list[TopicReport] = []
        for market, history in self._observed.histories:
            found += _hottest(market, history, now, limit)
            await asyncio.sleep(0)
        hottest = sorted(found, key=lambda topic: -topic["events"] / topic["seconds"])[:limit]
        await self._count_holders(hottest)
        return hottest

    async def _count_holders(self, reports: list[TopicReport]) -> None:
        """Fill in how many clients have each topic."""
        wanted = {(report["market"], Topic(*report["topic"].split(".", 1))): report for report in reports}
        for index, client in enumerate(self._role.server.clients):
            topics, market = client.topics, client.market
            for (topic_market, topic), report in wanted.items():
                if topic_market == market and topic in topics:
                    report["clients"] += 1
            if index % HOLDERS_PER_STEP == HOLDERS_PER_STEP - 1:
                await asyncio.sleep(0)

    async def unready(self) -> list[str]:
        """Return why not all that should be served is served."""
        return unready_reasons(self._streams())

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in a form that ``accept`` allows, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._metrics.registry), content_type

    def watch(self, watcher: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]:
        """Tell of the records that are kept, then of each new one. Return what ends that."""
        began = round(STARTED * 1000)  # tells the records of this process from those of one before it
        activity = self._observed.activity
        for record in activity.since(0):
            watcher({"began": began, **asdict(record)})
        return activity.watch(lambda record: watcher({"began": began, **asdict(record)}))

    def _client_count(self) -> int:
        return sum(1 for _ in self._role.server.clients)

    def _process(self) -> ProcessReport:
        distributors = self._observed.distributors
        counts = {
            "events": float(sum(distributor.events_in for distributor in distributors)),
            "deliveries": float(sum(distributor.deliveries for distributor in distributors)),
            "sent_bytes": float(sum(distributor.sent_bytes for distributor in distributors)),
            "cpu_seconds": cpu_seconds(),
        }
        gauges = {
            "loop_lag_seconds": self._loop_watch.longest,
            "resident_bytes": resident_bytes(),
            "write_seconds_p50": self._latency.quantile(0.5),
            "write_seconds_p99": self._latency.quantile(0.99),
        }
        return {
            "name": self._kind,
            "role": self._kind,
            "version": self._version,
            "pid": os.getpid(),
            "port": self._role.port,
            "started": round(STARTED * 1000),
            "now": unix_ms(),
            "clients": self._client_count(),
            "counts": counts,
            "gauges": {name: float(value) for name, value in gauges.items() if value is not None},
            "streams": self._streams(),
        }

    def _streams(self) -> list[StreamReport]:
        return [_stream_report(stream, self._observed.messages(stream)) for stream in self._observed.streams]

    def _look(self) -> None:
        counts = self._observed.read_to_write()
        if counts:
            self._latency.look(counts)
        self._look_timer = self._loop.call_later(LOOK_INTERVAL, self._look)


def _stream_report(stream: Stream, messages: int) -> StreamReport:
    interruption = stream.interruption
    return {
        "market": stream.market,
        "upstream": stream.name,
        "state": stream.state.value,
        "reason": stream.reason,
        "since": None if interruption is None else interruption.since,
        "last_message": stream.last_message,
        "interruptions": stream.interruptions,
        "messages": messages,
    }


def _hottest(market: str, history: ObservedHistory, now: int, limit: int) -> list[TopicReport]:
    # Twice as many: some count from one of two upstreams only.
    counted, oldest = history.hot_topics(max_bytes=HOT_BYTES, since=now - HOT_SPAN, limit=2 * limit)
    if oldest is None:
        return []
    native = MARKETS[market].types_from(Upstream.AGGREGATOR)
    seconds = max(0.1, (now - oldest) / 1000)
    found: list[TopicReport] = []
    for event_type, symbol, source, events in counted:
        if event_type not in native or source == SOURCES[Upstream.AGGREGATOR]:
            topic = f"{event_type}.{symbol}"
            found.append(
                {"market": market, "topic": topic, "events": events, "seconds": seconds, "clients": 0}
            )
    return found[:limit]


def with_local_admin(role: ServingRole, settings: AdminSettings, *, kind: str, metrics: Metrics) -> WithAdmin:
    """Return a role with its admin pages.

    Args:
        role: the role.
        settings: where the pages are served.
        kind: what the role is: ``proxy``, ``firehose``, ``aggregator`` or ``simulator``.
        metrics: what it counts in.
    """
    source: LocalSource | None = None

    async def make() -> LocalSource:
        nonlocal source
        source = LocalSource(role, kind=kind, version=version("fproxy"), metrics=metrics)
        return source

    async def close() -> None:
        if source is not None:
            source.stop()

    return WithAdmin(role, settings, make, close)
