"""One market of the ms-aggregator: bars of any interval, made of the firehose's trades, beside the vendor's."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Final

from fproxy.core.bar_wants import BarWants
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.market import Market, Upstream
from fproxy.core.routes import aggregator_route
from fproxy.core.stream import Stream
from fproxy.core.stream_notice import notice_message
from fproxy.core.stream_position import RecoveryRequest, recovered_event
from fproxy.core.topics import Topic, bar_interval
from fproxy.metrics import Metrics
from fproxy.roles.bar_building import LostWindows, bar_builder
from fproxy.roles.bar_closing import BarClosing
from fproxy.roles.bar_followers import BarFollowers
from fproxy.roles.bar_rebuilding import rebuilt_bars
from fproxy.roles.bar_trade_demand import BarTradeDemand
from fproxy.roles.client_bars import ClientBars
from fproxy.roles.filtered_replays import FilteredReplays
from fproxy.roles.firehose_recovery import FirehoseRecovery
from fproxy.roles.kept_history import kept_history, trimming
from fproxy.roles.market_fanouts import BARS_SOURCE, FIREHOSE_SOURCE, aggregator_fanout
from fproxy.roles.prepared_changes import PreparedChanges
from fproxy.roles.replay_start import ReplayStart
from fproxy.roles.served_markets import ServedMarket
from fproxy.roles.settings import AggregatorSettings
from fproxy.roles.settling import settling
from fproxy.roles.source_positions import SourcePositions
from fproxy.roles.stream_notices import StreamNotices
from fproxy.roles.subscriptions import Subscriptions
from fproxy.roles.upstream_feed import UpstreamFeed
from fproxy.shell.client import Client
from fproxy.shell.clock import unix_ms
from fproxy.shell.upstream import UpstreamConnection
from fproxy.shell.work_steps import Steps, Work, WorkSteps

UPSTREAM_NAME: Final = "firehose"
"""What logs and metrics call the upstream."""

HOUSEKEEPING_INTERVAL: Final = 0.5
"""How often what has lingered long enough is given up and what changes slowly is looked after, in seconds."""


@dataclass(slots=True)
class _ClientState:
    """What the role keeps with a client.

    Attributes:
        number: the client's, in the fan-out.
        bars: its millisecond bars.
    """

    number: int
    bars: ClientBars


class AggregatorMarket(ServedMarket):
    """What builds the millisecond bars of one market, and forwards the vendor's own.

    Attributes:
        market: the market.
        stream: what it gets from the firehose, with its state.
    """

    def __init__(self, market: Market, settings: AggregatorSettings, metrics: Metrics) -> None:
        """Prepare; nothing happens before :meth:`start`.

        Args:
            market: what to serve.
            settings: what the role is told.
            metrics: where to count.

        Raises:
            fproxy.core.urls.UrlError: the firehose's URL is not one of an upstream.
            ValueError: the bar delay is out of range, or the market has nothing that bars are built of.
        """
        self.market = market
        self._native_types = market.types_from(Upstream.AGGREGATOR)
        counters = metrics.of(market.name)
        self._builder = bar_builder(market, settings, counters)
        self._lost_windows = LostWindows(self._builder)
        self._wants = BarWants(self._builder, linger=settings.unsubscribe_linger)
        self._history = kept_history(settings.history, counters)
        self._fanout = aggregator_fanout(market, self._history)
        counters.watch_fanout(self._fanout)
        self._native = self._fanout.input(FIREHOSE_SOURCE)
        self._native.keeps_all = False
        self._bars = self._fanout.input(BARS_SOURCE)
        self.stream = Stream(UPSTREAM_NAME, market=market.name, now=unix_ms())
        counters.watch_stream(self.stream)
        self._notices = StreamNotices(self._fanout, {Upstream.FIREHOSE: self.stream})
        assert market.bars_from is not None, "a builder of bars would have refused the market"
        self._demand = BarTradeDemand(
            self._builder,
            self._wants,
            event_type=market.bars_from.event_type,
            linger=settings.unsubscribe_linger,
            wants_all=settings.history.keeps_anything,
        )
        self._closing = BarClosing(
            self._builder, trades_are_late=lambda: self._demand.catches_up, closed=self._windows_closed
        )
        self._feed = UpstreamFeed(
            self.stream,
            counters,
            take=self._take,
            drained=self._drained,
            refused=self._refused,
            last_event=lambda: self._fanout.last_event(FIREHOSE_SOURCE),
            tell=self._tell,
            taken=partial(self._fanout.data_messages, FIREHOSE_SOURCE),
            recovering=lambda recovering: self._recovery.begins(recovering),
            recovered=self._recovered,
            unrecoverable=self._unrecoverable,
        )
        followed = FollowedStream(
            partial(self._fanout.data_messages, FIREHOSE_SOURCE), wants_all=self._history is not None
        )
        self._firehose = UpstreamConnection(
            name=UPSTREAM_NAME,
            url=settings.firehose_url,
            api_key=settings.polygon_api_key,
            demand=self._demand,
            listener=self._feed,
            metrics=counters,
            options=settings.upstream,
            followed=followed,
        )
        self._subscriptions = Subscriptions(
            aggregator_route(market), {Upstream.FIREHOSE: self._demand}, {Upstream.FIREHOSE: self._firehose}
        )
        self.prepare_change = PreparedChanges(self._fanout).prepare  # what the server calls before changes
        source: SourcePositions | None = None
        self._replays: FilteredReplays | None = None
        self._followers: BarFollowers | None = None
        if self._history is not None:
            source = SourcePositions(followed, self._history)
            self._replays = FilteredReplays(
                self._fanout,
                self._history,
                matching=partial(aggregator_fanout, market),
                topics=self._subscriptions.topics,
                is_complete=self._is_complete,
                metrics=counters,
                rebuild=partial(rebuilt_bars, self._builder),
                caught_up=self._tell_position,
            )
            self._followers = BarFollowers(
                self._fanout,
                self._history,
                self._replays,
                source,
                # What nobody wanted for a while is missing for who comes back.
                gaps=lambda: self.stream.gaps + self._wants.drops + self._demand.drops,
                closed_until=lambda: self._builder.closed_until,
            )
        self._recovery = FirehoseRecovery(self._native, self._bars, self._demand, followed, source)
        self._loop: asyncio.AbstractEventLoop
        self._steps: WorkSteps
        self._housekeeping_timer: asyncio.TimerHandle | None = None
        self._trimming: Work | None = None

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients."""
        self._loop = asyncio.get_running_loop()
        self._steps = steps
        self._closing.prepare()
        self._subscriptions.prepare(steps)
        if self._history is not None:
            self._trimming = steps.add(self._history, trimming(self._history))
        if self._replays is not None:
            self._replays.prepare(steps)

    def start(self) -> None:
        """Begin to connect to the firehose."""
        self._firehose.start()
        self._housekeeping_timer = self._loop.call_later(HOUSEKEEPING_INTERVAL, self._keep_house)

    async def filled(self) -> None:
        """Return when what the firehose keeps has come: see ``ServedMarket``."""
        await self._feed.settled.wait()

    def stopping(self) -> None:
        """The role is about to stop: what is missed from now on is not worth a word."""
        self._lost_windows.stop()

    def flush(self) -> None:
        """Send clients what is pending."""
        self._fanout.flush()

    async def stop(self) -> None:
        """Close the firehose's connection, and stop."""
        await self._firehose.stop()
        self._closing.stop()
        if self._housekeeping_timer is not None:
            self._housekeeping_timer.cancel()
            self._housekeeping_timer = None
        if self._trimming is not None:
            self._trimming.cancel()

    # What the server calls.

    def client_joined(self, client: Client) -> None:
        """Take in a client that has authenticated."""
        client.context = _ClientState(self._fanout.add_client(client.sink), ClientBars(self._wants))
        self._subscriptions.add_client(client)
        # Before its requests are acknowledged: else a role of ours would take its stream for whole.
        self._notices.tell_joined(client)
        self._fanout.subscribe(client.context.number, self._notices.topics([Upstream.FIREHOSE]))

    def client_follows(self, client: Client, request: RecoveryRequest) -> bool:
        """Tell a role of ours where the stream is, and what it will be brought when it subscribes again."""
        if self._followers is None:
            return False
        self._followers.welcome(client, request, complete_from=self._feed.whole_since)
        return True

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> Mapping[Topic, str]:
        """Give a client topics, build bars for them, and ask the firehose for what they need.

        Returns:
            the topics that are not served, each with the reason.
        """
        admitted, unserved = self._admit(client, topics)
        self._take_live(client, admitted)
        return unserved

    def subscribe_since(self, client: Client, topics: Sequence[Topic], since: int) -> Mapping[Topic, str]:
        """Do as :meth:`subscribe`, and first send the kept bars of the topics that ended at ``since`` or later."""
        if self._replays is None:
            client.refuse_replay()
            return self.subscribe(client, topics)
        admitted, unserved = self._admit(client, topics)
        self._catch_up(client, self._replays, admitted, ReplayStart(since, bars_from=since))
        return unserved

    def subscribe_recovering(
        self, client: Client, topics: Sequence[Topic], request: int
    ) -> Mapping[Topic, str]:
        """Do as :meth:`subscribe`, and first send what a role of ours missed of the topics."""
        if self._replays is None or self._followers is None:
            client.after_reply(lambda: client.send_status(notice_message(recovered_event(request))))
            return self.subscribe(client, topics)
        client.after_reply(partial(self._followers.end, client, request))
        admitted, unserved = self._admit(client, topics)
        start = self._followers.start(client, request) if admitted else None
        if start is not None:
            self._catch_up(client, self._replays, admitted, start)
        else:
            self._take_live(client, admitted)
        return unserved

    def _take_live(self, client: Client, topics: Sequence[Topic]) -> None:
        self._fanout.subscribe(client.context.number, topics)
        if self._replays is not None:
            self._replays.subscribe(client, topics)
        # Else a role that is cut off now would later lack what it has missed of them.
        client.after_reply(partial(self._tell_position, client))

    def _tell_position(self, client: Client) -> None:
        """Tell a client, if it follows the stream, where that is."""
        if self._followers is not None:
            self._followers.tell(client)

    def _catch_up(
        self, client: Client, replays: FilteredReplays, topics: Sequence[Topic], start: ReplayStart
    ) -> None:
        replays.ask(client, client.context.number, topics, start)
        self._fanout.subscribe(client.context.number, topics)  # it is muted until it has caught up

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Take topics from a client."""
        state: _ClientState = client.context
        self._fanout.unsubscribe(state.number, topics)
        if self._replays is not None:
            self._replays.drop(client, topics)
        state.bars.release(
            topics
        )  # before their trades, so that it is not later that they have lingered enough
        self._subscriptions.unsubscribe(client, topics)

    def topics(self, client: Client) -> Set[Topic]:
        """Return what a client is subscribed to."""
        return self._subscriptions.topics(client)

    def hold(self, holding: bool) -> None:
        """Read nothing from upstream for now, or read again."""
        self._firehose.hold(holding)

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        state: _ClientState = client.context
        if self._replays is not None:
            self._replays.client_left(client)
        if self._followers is not None:
            self._followers.client_left(client)
        self._fanout.remove_client(state.number)
        self._steps.add(client, self._give_up(state.bars, self._subscriptions.remove_client(client)))

    def _give_up(self, bars: ClientBars, rest: Steps) -> Steps:
        yield from bars.release_all()  # before their trades, as in unsubscribe
        yield from rest

    def _admit(self, client: Client, topics: Sequence[Topic]) -> tuple[list[Topic], dict[Topic, str]]:
        """Count a client's topics; return those that are served, and why the others are not."""
        state: _ClientState = client.context
        unserved = {topic: "not served by an ms-aggregator" for topic in topics if not self._serves(topic)}
        unserved.update(state.bars.acquire([topic for topic in topics if topic not in unserved]))
        admitted = [topic for topic in topics if topic not in unserved]
        concerns = self._subscriptions.subscribe(client, admitted)
        unserved.update(concerns.unserved)
        self._notices.tell_late(client, concerns.serving)
        return admitted, unserved

    def _serves(self, topic: Topic) -> bool:
        """Return whether the aggregator has a topic: bars, or ``*`` for the native ones."""
        return (
            topic.is_everything
            or topic.event_type in self._native_types
            or bar_interval(topic.event_type) is not None
        )

    def _is_complete(self, client: Client, start: ReplayStart, topics: Collection[Topic]) -> bool:
        """Return whether no bar of topics is missing since then."""
        if self.stream.interruption is not None or start.time < self._feed.whole_since:
            return False
        for topic in topics:
            if bar_interval(topic.event_type) is not None:
                built_since = self._wants.built_since(topic)
                if built_since is None or built_since > start.time:
                    return False
        return self._subscriptions.flow_since(topics, start.time)

    # What the firehose calls.

    def _take(self, payload: memoryview) -> list[bytes] | None:
        statuses = self._recovery.take(payload)
        self._builder.feed(payload, self._closing.clock(), scanned_by=self._native)
        self._hand_out_bars()
        if statuses:
            self._demand.answered(statuses)
        return statuses

    def _drained(self) -> None:
        self._flush()
        self._closing.set_timer()

    def _recovered(self) -> None:
        self._recovery.ends()
        self._closing.set_timer()

    def _unrecoverable(self) -> None:
        self._recovery.fails()
        self._closing.set_timer()

    def _refused(self, topics: Sequence[str], message: str) -> None:
        self._subscriptions.refused(Upstream.FIREHOSE, topics)

    def _tell(self, notice: bytes) -> None:
        self._lost_windows.log()
        self._notices.tell(Upstream.FIREHOSE, notice)
        if self._replays is not None:
            self._replays.tell(notice)

    # Bars.

    def _windows_closed(self) -> None:
        self._hand_out_bars()
        self._flush()

    def _hand_out_bars(self) -> None:
        for message in self._builder.collect():
            self._bars(message)

    def _flush(self) -> None:
        self._fanout.flush()
        if self._followers is not None:
            self._followers.mark_in_time()

    def _keep_house(self) -> None:
        now = time.monotonic()
        self._wants.expire(now)
        self._demand.take_silence(now)
        self._closing.catch_up()
        self._steps.add(self._fanout, settling(self._fanout))
        if self._followers is not None:
            self._followers.mark()
        self._fanout.flush()
        self._lost_windows.log()
        self._housekeeping_timer = self._loop.call_later(HOUSEKEEPING_INTERVAL, self._keep_house)
