"""One market of the filtered proxy: two upstreams in, one stream out to each client, with just what it wants."""

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from fproxy.core.demand import Demand
from fproxy.core.market import Market, Upstream
from fproxy.core.routes import filtered_proxy_route
from fproxy.core.spelling import matcher
from fproxy.core.stream import Stream
from fproxy.core.topics import Topic
from fproxy.metrics import Metrics
from fproxy.roles.brought_past import BroughtPast
from fproxy.roles.filtered_recovery import FilteredRecovery
from fproxy.roles.filtered_replays import FilteredReplays
from fproxy.roles.kept_history import kept_history, trimming
from fproxy.roles.kept_snapshots import kept_snapshots
from fproxy.roles.market_fanouts import SOURCES, filtered_fanout, past_fanout
from fproxy.roles.prepared_changes import PreparedChanges
from fproxy.roles.replay_start import ReplayStart
from fproxy.roles.resumption import EndedConnection, Resumption
from fproxy.roles.served_markets import ServedMarket
from fproxy.roles.settings import FilteredProxySettings
from fproxy.roles.settling import settling
from fproxy.roles.snapshots import Brought, SnapshotSender, new_topics
from fproxy.roles.stream_notices import StreamNotices
from fproxy.roles.subscriptions import Subscriptions
from fproxy.roles.succession import StreamPart, Succession
from fproxy.roles.upstream_feed import UpstreamFeed
from fproxy.shell.client import Client
from fproxy.shell.clock import unix_ms
from fproxy.shell.upstream import UpstreamConnection
from fproxy.shell.work_steps import Work, WorkSteps

SETTLE_INTERVAL: Final = 1.0
"""How long subscriptions must rest before clients with equal ones are served as one audience, in seconds."""


@dataclass(frozen=True, slots=True)
class _ClientState:
    """What the role keeps with a client.

    Attributes:
        number: the client's, in the fan-out.
    """

    number: int


class _Admission(NamedTuple):
    """What has become of topics that a client asked for.

    Attributes:
        unserved: those that cannot be had, each with the reason.
        brought: those that the client is brought the past of; None for none.
    """

    unserved: Mapping[Topic, str]
    brought: Brought | None


class FilteredMarket(ServedMarket):
    """What serves the clients of one market.

    Attributes:
        market: the market.
        streams: what it gets from each upstream, with its state.
        demands: what is asked of each.
        succession: what the proxy that takes over from this one needs, or this one of the one before it.
    """

    def __init__(self, market: Market, settings: FilteredProxySettings, metrics: Metrics) -> None:
        """Prepare; nothing happens before :meth:`start`.

        Args:
            market: what to serve.
            settings: what the role is told.
            metrics: where to count.

        Raises:
            fproxy.core.urls.UrlError: a URL is not one of an upstream.
        """
        self.market = market
        counters = metrics.of(market.name)
        self._history = kept_history(settings.history, counters)
        self._last_events = kept_snapshots(settings, counters)
        self._fanout = filtered_fanout(market, self._history, self._last_events)
        counters.watch_fanout(self._fanout)
        self._coalesce = settings.coalesce_ms / 1000
        self._steps: WorkSteps
        self._flush_timer: asyncio.TimerHandle | None = None
        self._settle_timer: asyncio.TimerHandle | None = None
        self.streams = {
            upstream: Stream(upstream.value, market=market.name, now=unix_ms()) for upstream in Upstream
        }
        for stream in self.streams.values():
            counters.watch_stream(stream)
        self._notices = StreamNotices(self._fanout, self.streams, enabled=settings.gap_notices)
        urls = {Upstream.FIREHOSE: settings.firehose_url, Upstream.AGGREGATOR: settings.aggregator_url}
        self._resumption: Resumption | None = None
        self._looks: Work | None = None
        self._trimming: Work | None = None
        linger = settings.unsubscribe_linger
        if settings.resume:
            self._resumption = Resumption(
                overlap=round(settings.resume_overlap * 1000), kept_for=round(settings.history.history * 1000)
            )
            # Who comes back within the history is to find there what came meanwhile.
            linger = max(linger, settings.history.history)
        self.demands = demands = {upstream: Demand(linger=linger, market=market) for upstream in Upstream}
        self._recovery = FilteredRecovery(self._fanout, self._history)
        self._feeds = {
            upstream: UpstreamFeed(
                stream,
                counters,
                take=self._recovery.inputs[upstream],
                drained=self._drained if self._coalesce else self._fanout.flush,
                refused=partial(self._refused, upstream),
                last_event=partial(self._fanout.last_event, SOURCES[upstream]),
                tell=partial(self._tell, upstream),
                taken=partial(self._fanout.data_messages, SOURCES[upstream]),
                recovering=partial(self._recovery.begins, upstream),
                recovered=partial(self._recovery.ends, upstream),
                unrecoverable=partial(self._recovery.ends, upstream),
            )
            for upstream, stream in self.streams.items()
        }
        self._upstreams = {
            upstream: UpstreamConnection(
                name=upstream.value,
                url=urls[upstream],
                api_key=settings.polygon_api_key,
                demand=demands[upstream],
                listener=self._feeds[upstream],
                metrics=counters,
                options=settings.upstream,
                followed=self._recovery.followed.get(upstream),
            )
            for upstream in Upstream
        }
        route = filtered_proxy_route(market)
        self._subscriptions = subscriptions = Subscriptions(route, demands, self._upstreams)
        self.prepare_change = PreparedChanges(  # what the server calls before changes
            self._fanout,
            also_given=lambda client, topics: self._notices.topics(subscriptions.fresh(client, topics)),
            also_taken=lambda client, topics: self._notices.topics(subscriptions.left(client, topics)),
        ).prepare
        self._replays: FilteredReplays | None = None
        self._past: BroughtPast | None = None
        if self._history is not None:
            self._past = BroughtPast(
                demands[Upstream.AGGREGATOR],
                self._recovery.inputs[Upstream.AGGREGATOR],
                self._history,
                route=route,
                fanout=partial(past_fanout, market),
                flows_since=self._flows_since,
                is_kept=partial(self._recovery.is_kept_by, Upstream.AGGREGATOR),
                asked=self._upstreams[Upstream.AGGREGATOR].poke,
            )
            self._replays = FilteredReplays(
                self._fanout,
                self._history,
                matching=partial(filtered_fanout, market),
                topics=self._subscriptions.topics,
                is_complete=self._is_complete,
                metrics=counters,
                awaits=self._subscriptions.await_past,
                past=self._past,
            )
        self._snapshot_always = settings.snapshot
        self._snapshots: SnapshotSender | None = None
        if self._last_events is not None:
            self._snapshots = SnapshotSender(
                self._last_events,
                topics_of=self._subscriptions.topics,
                catching_up=self._catches_up,
                counted=counters.snapshot_events.inc,
                event_topics=matcher(market),
            )
        self.succession = Succession(
            {
                upstream: StreamPart(
                    stream, demands[upstream], self._upstreams[upstream], self._feeds[upstream]
                )
                for upstream, stream in self.streams.items()
            },
            route=route,
            resumption=self._resumption,
            overlap=None if self._history is None else settings.resume_overlap,
        )

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients."""
        self._steps = steps
        self._subscriptions.prepare(steps)
        if self._history is not None:
            self._trimming = steps.add(self._history, trimming(self._history))
        if self._replays is not None:
            self._replays.prepare(steps)
        if self._snapshots is not None:
            self._snapshots.prepare(steps)

    def start(self) -> None:
        """Begin to connect upstream."""
        if self._resumption is not None and self._replays is not None:
            looks = self._resumption.looks(unix_ms, self._fanout.flush, busy=self._replays.clients)
            self._looks = self._steps.add(self, looks)
        for upstream in self._upstreams.values():
            upstream.start()

    async def filled(self) -> None:
        """Return when what the firehose keeps has come, or the aggregator is there: see ``ServedMarket``."""
        await asyncio.gather(*(feed.settled.wait() for feed in self._feeds.values()))

    def flush(self) -> None:
        """Send clients what is pending."""
        self._fanout.flush()

    async def stop(self) -> None:
        """Close the upstreams, and stop."""
        await asyncio.gather(*(upstream.stop() for upstream in self._upstreams.values()))
        for timer in (self._flush_timer, self._settle_timer):
            if timer is not None:
                timer.cancel()
        self._flush_timer = self._settle_timer = None
        for work in (self._looks, self._trimming):
            if work is not None:
                work.cancel()

    # What the server calls.

    def client_joined(self, client: Client) -> None:
        """Take in a client that has authenticated."""
        client.context = _ClientState(self._fanout.add_client(client.sink))
        self._subscriptions.add_client(client)
        if self._resumption is not None:
            self._resumption.client_joined(client, unix_ms())

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> Mapping[Topic, str]:
        """Give a client topics, and ask the upstreams for those that nobody had.

        Returns:
            the topics that cannot be had, each with the reason.
        """
        return self._subscribe(client, topics).unserved

    def subscribe_since(self, client: Client, topics: Sequence[Topic], since: int) -> Mapping[Topic, str]:
        """Do as :meth:`subscribe`, and first send the kept events of the topics whose own time is ``since`` or later.

        Bars that nobody has yet are asked of the aggregator since that time: it keeps those of all windows.
        """
        return self._subscribe_since(client, topics, since).unserved

    def subscribe_with_snapshot(
        self, client: Client, topics: Sequence[Topic], since: int | None, *, asked: bool
    ) -> Mapping[Topic, str]:
        """Do as the two above, and send the last event of each topic.

        Of topics that the client has already only if it was asked for.
        """
        wanted: Sequence[Topic] = ()
        if self._snapshots is None:
            if asked:
                client.refuse_snapshot()
        elif asked:
            wanted = topics
        elif self._snapshot_always:
            wanted = new_topics(topics, self._subscriptions.topics(client))
        moment = 0 if self._snapshots is None else self._snapshots.moment
        unserved, brought = (
            self._subscribe(client, topics) if since is None else self._subscribe_since(client, topics, since)
        )
        wanted = [topic for topic in wanted if topic not in unserved]
        if self._snapshots is not None and wanted:
            self._snapshots.send(client, wanted, before=moment, brought=brought)
        return unserved

    def _subscribe(self, client: Client, topics: Sequence[Topic]) -> _Admission:
        """Subscribe a client, which is brought the past of the topics that it resumes."""
        concerns = self._subscriptions.subscribe(client, topics)
        topics = [topic for topic in topics if topic not in concerns.unserved]
        state: _ClientState = client.context
        brought: Brought | None = None
        live: Sequence[Topic] = topics
        if self._resumption is not None and self._replays is not None:
            missed = self._resumption.missed(client, topics, unix_ms())
            if missed is not None:
                catching_up = frozenset(missed[0])
                live = [topic for topic in topics if topic not in catching_up]
                brought = Brought(catching_up, self._replays.ask(client, state.number, *missed))
        self._fanout.subscribe(state.number, [*topics, *self._notices.topics(concerns.fresh)])
        if self._replays is not None:
            self._replays.subscribe(client, live)
        self._notices.tell_late(client, concerns.serving)
        self._settle_later()
        return _Admission(concerns.unserved, brought)

    def _subscribe_since(self, client: Client, topics: Sequence[Topic], since: int) -> _Admission:
        if self._replays is None:
            client.refuse_replay()
            return self._subscribe(client, topics)
        state: _ClientState = client.context
        assert self._past is not None, "there are replays"
        concerns = self._subscriptions.subscribe(
            client,
            topics,
            since=since,
            since_of=() if self._past.is_busy else [Upstream.AGGREGATOR],
            asked_apart=self._past.is_apart,
        )
        topics = [topic for topic in topics if topic not in concerns.unserved]
        self._notices.tell_late(client, concerns.serving)
        apart = self._past.fetch(topics, since, held=self._subscriptions.topics(client))
        replayed = self._replays.ask(client, state.number, topics, ReplayStart(since), apart=apart)
        # It is muted until it has caught up.
        self._fanout.subscribe(state.number, [*topics, *self._notices.topics(concerns.fresh)])
        return _Admission(concerns.unserved, Brought(frozenset(topics), replayed))

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Take topics from a client."""
        state: _ClientState = client.context
        left = self._subscriptions.unsubscribe(client, topics)
        gone = [*topics, *self._notices.topics(left)]
        self._fanout.unsubscribe(state.number, gone)
        if self._replays is not None:
            self._replays.drop(client, gone)
        self._settle_later()

    def topics(self, client: Client) -> Set[Topic]:
        """Return what a client is subscribed to."""
        return self._subscriptions.topics(client)

    def hold(self, holding: bool) -> None:
        """Read nothing from upstream for now, or read again."""
        for upstream in self._upstreams.values():
            upstream.hold(holding)

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        state: _ClientState = client.context
        if self._replays is not None:
            self._replays.client_left(client)
        if self._snapshots is not None:
            self._snapshots.client_left(client)
        self._fanout.remove_client(state.number)
        self._settle_later()
        topics = self._subscriptions.topics(client)
        self._steps.add(
            client, self._subscriptions.remove_client(client, are_kept=self._resumption is not None)
        )
        if self._resumption is not None:
            self._resumption.client_left(client, topics, unix_ms())

    def leaves_behind(self, client: Client) -> EndedConnection | None:
        """Return what a client that is about to be let go leaves behind, to be resumed; None when it is not of here."""
        if self._resumption is None or client not in self._resumption:
            return None
        return self._resumption.record(client, self._subscriptions.topics(client), unix_ms())

    # What has passed.

    def _catches_up(self, client: Client) -> bool:
        return self._replays is not None and client in self._replays.clients

    def _is_complete(self, client: Client, start: ReplayStart, topics: Collection[Topic]) -> bool:
        """Return whether no event of topics is missing since then: neither for a gap nor for want of a subscription."""
        return self._flows_since(topics, start.time)

    def _flows_since(self, topics: Collection[Topic], time: int) -> bool:
        return self._subscriptions.flow_since(topics, time, self._whole_since)

    def _whole_since(self, upstream: Upstream) -> float:
        return (
            math.inf if self.streams[upstream].interruption is not None else self._feeds[upstream].whole_since
        )

    def _tell(self, upstream: Upstream, event: bytes) -> None:
        self._notices.tell(upstream, event)
        if self._notices.enabled and self._replays is not None:
            self._replays.tell(event, lambda client: upstream in self._subscriptions.concerned(client))

    def _settle_later(self) -> None:
        if self._settle_timer is None:
            self._settle_timer = asyncio.get_running_loop().call_later(SETTLE_INTERVAL, self._settle)

    def _settle(self) -> None:
        self._settle_timer = None
        self._steps.add(self._fanout, settling(self._fanout))

    # What the upstreams call.

    def _drained(self) -> None:
        # Write what a burst brought when the coalescing window ends.
        if self._flush_timer is None and self._fanout.has_pending:
            self._flush_timer = asyncio.get_running_loop().call_later(self._coalesce, self._flush_window)

    def _refused(self, upstream: Upstream, topics: Sequence[str], message: str) -> None:
        self._subscriptions.refused(upstream, topics)

    def _flush_window(self) -> None:
        self._flush_timer = None
        self._fanout.flush()
