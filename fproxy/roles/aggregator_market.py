"""One market of the ms-aggregator: bars of any interval, made of the firehose's trades, beside the vendor's."""

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from fproxy._bars import BarBuilder
from fproxy._fastpath import Fanout
from fproxy.core.bar_errors import BarLimitError
from fproxy.core.bar_wants import BarWants
from fproxy.core.demand import Changes
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.market import Market, Upstream
from fproxy.core.routes import aggregator_route
from fproxy.core.spelling import matcher
from fproxy.core.stream import Stream
from fproxy.core.topics import BARS, Topic, bar_interval
from fproxy.core.trade_demand import TradeDemand
from fproxy.metrics import Metrics
from fproxy.roles.aggregator_metrics import watch_bars
from fproxy.roles.bar_replay import BarReplay
from fproxy.roles.served_markets import ServedMarket
from fproxy.roles.settings import AggregatorSettings
from fproxy.roles.stream_notices import StreamNotices
from fproxy.roles.subscriptions import Subscriptions
from fproxy.roles.upstream_feed import UpstreamFeed
from fproxy.shell.client import Client
from fproxy.shell.clock import unix_ms
from fproxy.shell.upstream import UpstreamConnection
from fproxy.shell.work_steps import WorkSteps

logger: Final = logging.getLogger("fproxy.aggregator")

UPSTREAM_NAME: Final = "firehose"
"""What logs and metrics call the upstream."""

FIREHOSE_SOURCE: Final = 0
"""What the fan-out calls the firehose."""

BARS_SOURCE: Final = 1
"""What it calls the bars that are built here."""

HOUSEKEEPING_INTERVAL: Final = 0.5
"""How often what has lingered long enough is given up and what changes slowly is looked after, in seconds."""

STALL: Final = 0.002
"""A timer this late, in seconds, shows that the loop was held up: trades may be waiting to be read."""


@dataclass(slots=True)
class _ClientState:
    """What the role keeps with a client: its number in the fan-out, its millisecond bars, its replays."""

    number: int
    bars: set[Topic] = field(default_factory=set)
    replays: set[BarReplay] = field(default_factory=set)


class _BarTradeDemand(TradeDemand):
    """The demand for trades, which gives up bars that nobody wants before it gives up their trades.

    Else the open windows of those bars would count as lost.
    """

    __slots__ = ("_wants",)

    def __init__(self, builder: BarBuilder, wants: BarWants, *, linger: float) -> None:
        super().__init__(builder, linger=linger)
        self._wants = wants

    def changes(self, now: float) -> Changes:
        self._wants.expire(now)
        return super().changes(now)


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
            ValueError: the bar delay is out of range.
        """
        self.market = market
        self._native_types = market.types_from(Upstream.AGGREGATOR)
        self._builder = BarBuilder(
            delay_ms=math.ceil(settings.bar_delay_ms),
            all_trades=settings.all_trades,
            max_windows=settings.max_bar_windows,
        )
        counters = metrics.of(market.name)
        watch_bars(counters, self._builder)
        self._wants = BarWants(self._builder, linger=settings.unsubscribe_linger)
        self._fanout = Fanout(event_topics=matcher(market))
        counters.watch_fanout(self._fanout)
        # What a firehose sends beside the native bars is for nobody here; millisecond bars are our own.
        for event_type in market.event_types:
            self._fanout.set_sources(
                event_type, [FIREHOSE_SOURCE] if event_type in self._native_types else []
            )
        self._fanout.set_sources(BARS, [BARS_SOURCE])
        self.stream = Stream(UPSTREAM_NAME, market=market.name, now=unix_ms())
        counters.watch_stream(self.stream)
        self._notices = StreamNotices(self._fanout, {Upstream.FIREHOSE: self.stream})
        self._demand = _BarTradeDemand(self._builder, self._wants, linger=settings.unsubscribe_linger)
        self._firehose = UpstreamConnection(
            name=UPSTREAM_NAME,
            url=settings.firehose_url,
            api_key=settings.polygon_api_key,
            demand=self._demand,
            listener=UpstreamFeed(
                self.stream,
                counters,
                take=self._take,
                drained=self._drained,
                refused=self._refused,
                last_event=lambda: self._fanout.last_event(FIREHOSE_SOURCE),
                tell=self._tell,
                recovered=self._set_close_timer,
                unrecoverable=self._set_close_timer,
            ),
            metrics=counters,
            options=settings.upstream,
            followed=FollowedStream(partial(self._fanout.data_messages, FIREHOSE_SOURCE), wants_all=False),
        )
        self._subscriptions = Subscriptions(
            aggregator_route(market), {Upstream.FIREHOSE: self._demand}, {Upstream.FIREHOSE: self._firehose}
        )
        self._loop: asyncio.AbstractEventLoop
        self._steps: WorkSteps
        self._close_timer: asyncio.TimerHandle | None = None  # for the next window that closes by the clock
        self._housekeeping_timer: asyncio.TimerHandle | None = None
        self._lost_windows = 0  # as last logged
        self._stopping = False

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients."""
        self._loop = asyncio.get_running_loop()
        self._steps = steps

    def start(self) -> None:
        """Begin to connect to the firehose."""
        self._firehose.start()
        self._housekeeping_timer = self._loop.call_later(HOUSEKEEPING_INTERVAL, self._keep_house)

    def stopping(self) -> None:
        """The role is about to stop: what is missed from now on is not worth a word."""
        self._stopping = True

    def flush(self) -> None:
        """Send clients what is pending."""
        self._fanout.flush()

    async def stop(self) -> None:
        """Close the firehose's connection, and stop."""
        await self._firehose.stop()
        for timer in (self._close_timer, self._housekeeping_timer):
            if timer is not None:
                timer.cancel()
        self._close_timer = self._housekeeping_timer = None

    # What the server calls.

    def client_joined(self, client: Client) -> None:
        """Take in a client that has authenticated."""
        client.context = _ClientState(self._fanout.add_client(client.sink))
        self._subscriptions.add_client(client)
        # Before its requests are acknowledged: else a role of ours would take its stream for whole.
        self._notices.tell_joined(client)
        self._fanout.subscribe(client.context.number, self._notices.topics([Upstream.FIREHOSE]))

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> Mapping[Topic, str]:
        """Give a client topics, build bars for them, and ask the firehose for what they need.

        Returns:
            the topics that are not served, each with the reason.
        """
        state: _ClientState = client.context
        admitted, unserved = self._admit(client, topics)
        replayed = {topic for replay in state.replays for topic in replay.waiting}
        self._fanout.subscribe(state.number, [topic for topic in admitted if topic not in replayed])
        return unserved

    def subscribe_since(self, client: Client, topics: Sequence[Topic], since: int) -> Mapping[Topic, str]:
        """Do as :meth:`subscribe`, and send the kept bars that ended after ``since`` before the live ones."""
        admitted, unserved = self._admit(client, topics)
        bars = [topic for topic in admitted if bar_interval(topic.event_type) is not None]
        state: _ClientState = client.context
        for replay in state.replays:
            for topic in bars:
                replay.drop(topic)
        # Until they have caught up, their live bars come from the replay.
        self._fanout.unsubscribe(state.number, bars)
        self._fanout.subscribe(state.number, [topic for topic in admitted if topic not in bars])
        if bars:
            state.replays.add(
                BarReplay(
                    client,
                    bars,
                    since,
                    builder=self._builder,
                    steps=self._steps,
                    caught_up=self._caught_up,
                    ended=self._replay_ended,
                )
            )
        return unserved

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Take topics from a client."""
        state: _ClientState = client.context
        for replay in state.replays:
            for topic in topics:
                replay.drop(topic)
        self._fanout.unsubscribe(state.number, topics)
        gone = state.bars.intersection(topics)
        state.bars -= gone
        self._release(gone)  # before their trades, so that it is not later that they have lingered enough
        self._subscriptions.unsubscribe(client, topics)

    def topics(self, client: Client) -> Set[Topic]:
        """Return what a client is subscribed to."""
        return self._subscriptions.topics(client)

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        state: _ClientState = client.context
        for replay in state.replays:
            replay.cancel()
        self._fanout.remove_client(state.number)
        self._release(state.bars)  # before their trades, as in unsubscribe
        self._subscriptions.remove_client(client)

    def _admit(self, client: Client, topics: Sequence[Topic]) -> tuple[list[Topic], dict[Topic, str]]:
        """Count a client's topics; return those that are served, and why the others are not."""
        state: _ClientState = client.context
        admitted: list[Topic] = []
        unserved: dict[Topic, str] = {}
        for topic in topics:
            if not self._serves(topic):
                unserved[topic] = "not served by an ms-aggregator"
                continue
            if bar_interval(topic.event_type) is not None and topic not in state.bars:
                try:
                    self._wants.acquire(topic)
                except BarLimitError as error:
                    unserved[topic] = str(error)
                    continue
                state.bars.add(topic)
            admitted.append(topic)
        concerns = self._subscriptions.subscribe(client, admitted)
        self._notices.tell_late(client, concerns.serving)
        return admitted, unserved

    def _serves(self, topic: Topic) -> bool:
        """Return whether the aggregator has a topic: bars, or ``*`` for the native ones."""
        return (
            topic.is_everything
            or topic.event_type in self._native_types
            or bar_interval(topic.event_type) is not None
        )

    def _release(self, bars: Iterable[Topic]) -> None:
        now = time.monotonic()
        for topic in bars:
            self._wants.release(topic, now)

    def _caught_up(self, client: Client, topic: Topic) -> None:
        self._fanout.subscribe(client.context.number, [topic])

    def _replay_ended(self, client: Client, replay: BarReplay) -> None:
        client.context.replays.discard(replay)

    # What the firehose calls.

    def _take(self, payload: memoryview) -> list[bytes] | None:
        statuses = self._fanout.feed(FIREHOSE_SOURCE, payload)
        self._builder.feed(payload, self._clock())
        self._hand_out_bars()
        if statuses:
            self._demand.answered(statuses)
        return statuses

    def _drained(self) -> None:
        self._fanout.flush()
        self._set_close_timer()

    def _refused(self, topics: Sequence[str], message: str) -> None:
        self._subscriptions.refused(Upstream.FIREHOSE, topics)

    def _tell(self, notice: bytes) -> None:
        self._log_lost_windows()
        self._notices.tell(Upstream.FIREHOSE, notice)

    # Bars.

    def _clock(self) -> int:
        return int(self._loop.time() * 1000)

    def _hand_out_bars(self) -> None:
        for message in self._builder.collect():
            self._fanout.feed(BARS_SOURCE, message)

    def _set_close_timer(self) -> None:
        """Have windows closed by the clock when no trade closes them, unless trades are late: then they alone do."""
        due = self._builder.next_advance()
        timer = self._close_timer
        if due is None or self._demand.catches_up:
            return
        at = (due + 1) / 1000  # the clock is cut to whole milliseconds
        if timer is not None:
            if timer.when() <= at:
                return  # it will look again
            timer.cancel()
        self._close_timer = self._loop.call_at(at, self._close_windows, at)

    def _close_windows(self, due: float) -> None:
        if self._loop.time() - due > STALL:
            # Trades that came in time may be waiting to be read: they come first.
            self._close_timer = self._loop.call_later(STALL / 2, self._close_windows, math.inf)
            return
        self._close_timer = None
        if self._demand.catches_up:
            return
        self._builder.advance(self._clock())
        self._hand_out_bars()
        self._fanout.flush()
        self._set_close_timer()

    def _keep_house(self) -> None:
        now = time.monotonic()
        self._wants.expire(now)
        self._demand.take_silence(now)
        if self._close_timer is None and not self._demand.catches_up:  # else trades may be waiting to be read
            self._builder.advance(self._clock())
            self._hand_out_bars()
        self._fanout.settle()
        self._fanout.flush()
        self._log_lost_windows()
        self._housekeeping_timer = self._loop.call_later(HOUSEKEEPING_INTERVAL, self._keep_house)

    def _log_lost_windows(self) -> None:
        lost = self._builder.counts.lost_windows
        if lost != self._lost_windows and not self._stopping:
            logger.warning("Trades were missed: %d windows have no bar", lost - self._lost_windows)
            self._lost_windows = lost
