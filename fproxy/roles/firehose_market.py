"""One market of the firehose: the vendor's one connection, shared; every client gets everything."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Final

from fproxy._fastpath import Broadcast, Fanout, History
from fproxy.core.demand import Demand
from fproxy.core.market import Market, Upstream
from fproxy.core.routes import firehose_route
from fproxy.core.spelling import matcher
from fproxy.core.stream import Stream
from fproxy.core.stream_notice import interruption_event, notice_message
from fproxy.core.stream_position import RecoveryRequest
from fproxy.core.topics import Topic, bar_interval
from fproxy.metrics import Metrics
from fproxy.roles.followers import Followers
from fproxy.roles.held_answers import HeldAnswers
from fproxy.roles.kept_history import kept_history, trimming
from fproxy.roles.limited_topics import LimitedTopics
from fproxy.roles.replay import Replay, WholeReplay
from fproxy.roles.replay_queue import ReplayQueue
from fproxy.roles.replay_start import ReplayStart
from fproxy.roles.served_markets import ServedMarket
from fproxy.roles.settings import FirehoseSettings
from fproxy.roles.subscriptions import Subscriptions
from fproxy.roles.upstream_feed import UpstreamFeed
from fproxy.shell.client import Client
from fproxy.shell.clock import unix_ms
from fproxy.shell.upstream import UpstreamConnection
from fproxy.shell.work_steps import Steps, Work, WorkSteps, pieces

UPSTREAM_NAME: Final = "vendor"
"""What logs and metrics call the vendor."""


class FirehoseMarket(ServedMarket):
    """What keeps the one connection that the vendor allows an account for one market.

    Every message of the vendor goes to every authenticated client as it came. What clients subscribe to matters on
    demand: the vendor is asked for the union of it, and a topic is acknowledged when the vendor has done so. Else it
    matters only for what the vendor has no wildcard for, and for types that it has added since.

    Attributes:
        market: the market.
        stream: what it gets from the vendor, with its state.
    """

    def __init__(self, market: Market, settings: FirehoseSettings, metrics: Metrics) -> None:
        """Prepare; nothing happens before :meth:`start`.

        Args:
            market: what to serve.
            settings: what the role is told.
            metrics: where to count.

        Raises:
            fproxy.core.urls.UrlError: the vendor's URL is not one of an upstream.
        """
        self.market = market
        self._metrics = counters = metrics.of(market.name)
        self._history = kept_history(settings.history, counters)
        self._broadcast = Broadcast(history=self._history)
        counters.watch_distributor(self._broadcast)
        # How those clients catch up that have ever asked for what has passed.
        self._replays: dict[Client, ReplayQueue[WholeReplay]] = {}
        self._steps: WorkSteps
        self._trimming: Work | None = None
        self._clients: set[Client] = set()
        # Those that have subscribed while the vendor is away, and wait for the acknowledgement.
        self._to_tell: set[Client] = set()
        self.stream = Stream(UPSTREAM_NAME, market=market.name, now=unix_ms())
        counters.watch_stream(self.stream)
        self._held = HeldAnswers()
        demand = Demand(linger=settings.unsubscribe_linger, market=market)
        self._feed = UpstreamFeed(
            self.stream,
            counters,
            take=self._broadcast,
            drained=self._broadcast.flush,
            refused=self._refused,
            last_event=self._broadcast.last_event,
            tell=self._tell,
            taken=lambda: self._broadcast.data_messages,
            confirmed=self._held.answer,
            given_up=self._given_up,
        )
        self._vendor = UpstreamConnection(
            name=UPSTREAM_NAME,
            url=settings.vendor_url,
            api_key=settings.polygon_api_key,
            demand=demand,
            listener=self._feed,
            metrics=counters,
            options=settings.upstream,
            is_vendor=True,
        )
        self._on_demand = settings.on_demand
        self._followers: Followers | None = None
        if self._history is not None:
            self._followers = Followers(
                self._history,
                # What nobody wanted for a while is missing for who comes back.
                gaps=lambda: self.stream.gaps + demand.drops,
                is_counted=True,
                all_of=() if settings.on_demand else tuple(settings.data_types),
            )
        self._subscriptions = Subscriptions(
            firehose_route(market), {Upstream.FIREHOSE: demand}, {Upstream.FIREHOSE: self._vendor}
        )
        if not settings.on_demand:
            for event_type in settings.data_types:
                demand.acquire(f"{event_type}.*")

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients."""
        self._steps = steps
        self._subscriptions.prepare(steps)
        self._held.prepare(steps)
        if self._history is not None:
            self._trimming = steps.add(self._history, trimming(self._history))

    def start(self) -> None:
        """Begin to connect to the vendor."""
        self._vendor.start()

    def flush(self) -> None:
        """Send clients what is pending."""
        self._broadcast.flush()

    async def stop(self) -> None:
        """Close the vendor's connection."""
        await self._vendor.stop()
        if self._trimming is not None:
            self._trimming.cancel()

    # What the server calls.

    def client_joined(self, client: Client) -> None:
        """Send a client everything from now on."""
        self._broadcast.add_client(client.sink)
        self._clients.add(client)
        self._subscriptions.add_client(client)
        # Before its requests are acknowledged: else a role of ours would take its stream for whole. Behind what is kept
        # for it.
        client.after_reply(partial(self._tell_if_interrupted, client))

    def client_follows(self, client: Client, request: RecoveryRequest) -> bool:
        """Bring a role of ours what it missed, and tell it where the stream is."""
        history = self._history
        if history is None or self._followers is None:
            return False
        complete_from = max(history.complete_from, self._feed.whole_since)
        start = self._followers.welcome(
            client,
            request,
            complete_from=complete_from,
            complete_at=history.received_from(self._feed.whole_since),
        )
        self._replays_of(client, history).recover(ReplayStart(number=start.number))
        return True

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> Mapping[Topic, str | None]:
        """Ask the vendor for topics, as far as that is for clients to say.

        Returns:
            the topics that no vendor has, each with the reason, and those that wait for the vendor's answer.
        """
        answers: dict[Topic, str | None] = {
            topic: "not served by a firehose"
            for topic in topics
            if bar_interval(topic.event_type) is not None
        }
        asked = [topic for topic in topics if topic not in answers and self._is_for_clients(topic)]
        answers.update(self._subscriptions.subscribe(client, asked).unserved)
        held = [topic for topic in asked if topic not in answers and self._is_unanswered(topic)]
        if held:
            self._held.hold(client, held)
            answers.update(dict.fromkeys(held))
        if self.stream.interruption is not None and client not in self._to_tell:
            self._to_tell.add(client)
            client.after_reply(partial(self._tell_late, client))
        return answers

    def subscribe_since(
        self, client: Client, topics: Sequence[Topic], since: int
    ) -> Mapping[Topic, str | None]:
        """Do as :meth:`subscribe`, and first send the kept events of the topics from a time on, by their own times."""
        answers = self.subscribe(client, topics)
        if self._history is None:
            client.refuse_replay()
            return answers
        self._replays_of(client, self._history).ask(
            [topic for topic in topics if answers.get(topic) is None], ReplayStart(since)
        )
        return answers

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Give topics up."""
        self._held.answer_client(client, topics)
        self._subscriptions.unsubscribe(client, topics)

    def topics(self, client: Client) -> Set[Topic]:
        """Return what a client is subscribed to, of what is for clients to say: nothing else takes room."""
        return LimitedTopics(self._subscriptions.topics(client), self._is_for_clients)

    def hold(self, holding: bool) -> None:
        """Read nothing from upstream for now, or read again."""
        self._vendor.hold(holding)

    def client_left(self, client: Client) -> None:
        """Forget a client."""
        replays = self._replays.pop(client, None)
        if replays is not None:
            replays.cancel()
        if replays is None or replays.current is None:
            self._broadcast.remove_client(client.sink)
        self._clients.discard(client)
        if self._followers is not None:
            self._followers.client_left(client)
        topics = self._subscriptions.topics(client)
        self._steps.add(client, self._give_up(client, topics, self._subscriptions.remove_client(client)))

    def _give_up(self, client: Client, topics: Iterable[Topic], rest: Steps) -> Steps:
        for piece in pieces(topics):
            self._held.drop(client, piece)
            yield None
        yield from rest

    def _replays_of(self, client: Client, history: History) -> ReplayQueue[WholeReplay]:
        """Return how a client catches up."""
        if client not in self._replays:
            self._replays[client] = ReplayQueue(
                client,
                history=history,
                steps=self._steps,
                make=partial(self._new_replay, client),
                live=partial(self._go_live, client),
            )
        return self._replays[client]

    def _new_replay(
        self, client: Client, start: ReplayStart, asked_at: int, ended: Callable[[Replay], None]
    ) -> WholeReplay:
        assert self._history is not None
        return WholeReplay(
            client,
            history=self._history,
            start=start,
            asked_at=asked_at,
            is_complete=partial(self._is_complete, start),
            matching=lambda: Fanout(event_topics=matcher(self.market)),
            metrics=self._metrics,
            ended=ended,
        )

    def _is_complete(self, start: ReplayStart, topics: Collection[Topic]) -> bool:
        """Return whether no event of topics is missing since then: neither for a gap nor for want of a subscription."""
        return (
            self.stream.interruption is None
            and start.time >= self._feed.whole_since
            and self._subscriptions.flow_since(topics, start.time)
        )

    def _go_live(self, client: Client, live: bool) -> None:
        """A client gets what is live from now on, or has to catch up first."""
        if live:
            self._broadcast.add_client(client.sink)
        else:
            self._broadcast.remove_client(client.sink)

    def _is_for_clients(self, topic: Topic) -> bool:
        """Return whether the vendor is asked for a topic because a client wants it.

        On demand it always is. Else the settings say what is subscribed to, except for what the vendor has no wildcard
        for, and for what it has added since.
        """
        if self._on_demand or topic.is_everything:
            return self._on_demand
        event_type = self.market.event_types.get(topic.event_type)
        return event_type is None or not event_type.has_wildcard

    def _is_unanswered(self, topic: Topic) -> bool:
        """Return whether the vendor is there and has still to answer for a topic."""
        return (
            self._vendor.ready
            and not topic.is_everything
            and not self._vendor.is_confirmed(topic.text)
            and self._vendor.refusal(topic.covering.text) is None
        )

    def _tell(self, notice: bytes) -> None:
        # Clients cannot see it themselves, and some must know: a bar, say, is not whole when trades may be missing.
        if self.stream.interruption is not None:
            self._held.answer_all()  # no acknowledgement of the vendor's will come
        self._broadcast.publish(notice_message(notice))
        self._broadcast.flush()
        for (
            replays
        ) in self._replays.values():  # those of clients that have asked for what has passed, which are few
            if replays.current is not None:
                replays.current.tell(notice)

    def _send_notice(self, client: Client, notice: bytes) -> None:
        """Send a client a status event behind what has come so far."""
        replays = self._replays.get(client)
        if replays is None or replays.current is None:
            client.send_status(notice_message(notice))
        else:
            replays.current.tell(notice)

    def _given_up(self, topics: Sequence[str]) -> None:
        if self._followers is None:
            return
        self._broadcast.flush()
        mark = self._followers.mark()
        for client in self._followers:
            self._send_notice(client, mark)

    def _tell_late(self, client: Client) -> None:
        self._to_tell.discard(client)
        self._tell_if_interrupted(client)

    def _tell_if_interrupted(self, client: Client) -> None:
        if self.stream.interruption is not None and client in self._clients:
            self._send_notice(client, interruption_event(self.stream.interruption))

    def _refused(self, topics: Sequence[str], message: str) -> None:
        self._held.refused(topics)
        self._subscriptions.refused(Upstream.FIREHOSE, topics)
