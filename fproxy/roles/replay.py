"""Sending a client what has passed, and then what came meanwhile, until it has caught up with what is live.

A client says from when on, or a role of ours from which message on.

While a client catches up, all that it gets is read from the history, by one reader, in order: first the kept events of
the topics that it asked for, up to the moment of the request; then everything that it is subscribed to. When nothing is
left the live distribution takes over, between two messages. So no event is missed or doubled at the seam.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from fproxy._fastpath import Broadcast, Fanout, History
from fproxy.core.rebuilt_bars import RebuiltBars
from fproxy.core.stream_notice import notice_message
from fproxy.core.stream_position import recovered_event
from fproxy.core.topics import WILDCARD, Topic, is_covered
from fproxy.metrics import MarketMetrics
from fproxy.roles.brought_past import BroughtPast, Passage
from fproxy.roles.passage_reading import PAUSE, PIECE_BYTES, PIECE_TOPICS, UNSENT_BYTES, PassageReading
from fproxy.roles.replay_start import Replayed, ReplayStart, replayed_message
from fproxy.shell.client import Client
from fproxy.shell.work_steps import Steps, Work, WorkSteps

UPSTREAM_PATIENCE: Final = 5.0
"""How long an upstream may take to bring what it has of topics that nobody had before, in seconds."""


class _TooSlowError(Exception):
    """The client reads more slowly than the history forgets."""


def awaits_nothing(topics: Collection[Topic]) -> bool:
    """Return that no upstream is about to bring anything."""
    return False


Rebuild = Callable[[Collection[Topic], int], Iterator[tuple[Topic, RebuiltBars]]]
"""Builds the bars of topics that end at a time or later and were not built before: see ``roles/bar_rebuilding.py``."""


def rebuilds_nothing(topics: Collection[Topic], from_end: int) -> Iterator[tuple[Topic, RebuiltBars]]:
    """Return that there are no bars to be built anew."""
    return iter(())


class Replay(ABC):
    """One client's way from a time in the past to what is live.

    Attributes:
        replayed: what it has brought.
    """

    def __init__(
        self,
        client: Client,
        *,
        history: History,
        start: ReplayStart,
        asked_at: int,
        is_complete: Callable[[Collection[Topic]], bool],
        matching: Callable[[], Fanout],
        metrics: MarketMetrics,
        ended: Callable[["Replay"], None],
        awaits: Callable[[Collection[Topic]], bool] = awaits_nothing,
        rebuild: Rebuild = rebuilds_nothing,
        past: BroughtPast | None = None,
    ) -> None:
        """Prepare a replay. The client must get nothing live from now on, until ``ended``.

        Args:
            client: whom to send to.
            history: has the messages.
            start: from when on.
            asked_at: the number that the next message had when the client asked.
            is_complete: returns whether nothing of topics is missing since then, as far as the streams go.
            matching: returns what matches the kept events: a fan-out without clients, which routes and spells as the
                live one does.
            metrics: where to count what was brought.
            ended: the client has caught up, and has to get what is live from this very moment on.
            awaits: returns whether an upstream is about to bring what it has of topics.
            rebuild: builds bars that are neither kept nor to come.
            past: what an upstream has brought of topics apart; None for nothing.
        """
        self._client = client
        self._history = history
        self._from = start
        self._is_complete = is_complete
        self._reaches_back = start.time >= history.complete_from
        self._metrics = metrics
        self._ended = ended
        self._awaits = awaits
        self._rebuild = rebuild
        self._events_apart = 0  # that are neither live nor among what the reader has taken
        self._whole: set[Topic] = set()  # topics of whose events none is missing, whatever else is
        self._rebuilt_in_part: set[Topic] = set()
        if start.number is not None:
            self._cursor = start.number
        else:
            self._cursor = history.received_from(start.time) if start.resumes else history.first
        self._boundary = self._live_from = asked_at
        self._matching = matching
        self._kept = matching()
        self._reader = self._kept.add_client(client.sink)
        # What the reader is to take, each from a message's number on.
        self._joins: deque[tuple[int, deque[Topic]]] = deque()
        # What it is not to take any more, likewise.
        self._leaves: deque[tuple[int, frozenset[Topic]]] = deque()
        # What to tell the client, each before a message's number.
        self._notices: deque[tuple[int, bytes]] = deque()
        self._asked: set[Topic] = set()
        self._past = past
        # Those that the reader must not take yet, for what has passed of them.
        self._apart: set[Topic] = set()
        self._apart_wildcards: set[Topic] = set()  # those of them that bring others
        self._left_apart: set[Topic] = set()  # nor ever, as another replay brings what comes of them
        self._passage_reading: PassageReading | None = None
        self._work: Work | None = None
        self.replayed = Replayed.of(start)

    @property
    def started(self) -> bool:
        """Whether it has begun to send."""
        return self._work is not None

    def ask(self, topics: Iterable[Topic], apart: Collection[Topic] = ()) -> None:
        """Bring what is kept of topics; to be called before ``start``.

        Args:
            topics: which.
            apart: those of them of which an upstream brings what has passed, or has brought it, beside what came live.
        """
        asked = tuple(topics)
        self._asked.update(asked)
        self._apart.update(apart)
        self._apart_wildcards.update(topic for topic in apart if topic.symbol.endswith(WILDCARD))
        self._joins.appendleft((self._cursor, deque(topic for topic in asked if topic not in self._apart)))

    def start(self, steps: WorkSteps) -> None:
        """Begin to send."""
        self._work = steps.add(self._client, self._run())

    def leave(self, topics: Iterable[Topic]) -> None:  # noqa: B027 (whoever brings everything leaves nothing out)
        """What comes of topics from now on is brought by another replay, which follows this one."""

    def unsubscribe(self, topics: Iterable[Topic]) -> None:
        """The client gives topics up, at once."""
        gone = frozenset(topics)
        self._asked -= gone
        self._apart -= gone
        self._apart_wildcards -= gone
        if self._passage_reading is not None:
            self._passage_reading.drop(gone)
        for index, (position, joining) in enumerate(self._joins):
            self._joins[index] = (position, deque(topic for topic in joining if topic not in gone))
        self._kept.unsubscribe(self._reader, gone)

    def cancel(self) -> None:
        """Stop, and tell nobody."""
        if self._work is not None:
            self._work.cancel()

    def tell(self, event: bytes) -> None:
        """Send a status event behind all that has come so far."""
        self._notices.append((self._history.next, event))

    @abstractmethod
    def _read_live(self, start: int, stop: int) -> int:
        """Send messages that came after the request; arguments and result as of ``Fanout.replay``."""

    def _run(self) -> Steps:
        try:
            yield from self._bring_rebuilt()
            yield from self._read_kept()
            self._cursor = max(self._cursor, self._live_from)
            if self._from.number is None:
                yield from self._await_upstreams()
                yield from self._bring_passages()
                yield from self._tell_replayed()
            while self._lags:
                yield self._read_on()
        except _TooSlowError:
            self._client.cut_off("replay")
            return
        if self._from.number is not None:
            self._metrics.recovered_messages.inc(self._cursor - self._from.number)
            recovered = recovered_event(self._from.request, complete=not self._rebuilt_in_part)
            self._client.send_status(notice_message(recovered))
        self._ended(self)

    def _bring_rebuilt(self) -> Steps:
        """Send the bars that are built anew. They are of windows before all that are kept of the same topics."""
        if self._from.bars_from is None:
            return
        for topic, rebuilt in self._rebuild(tuple(self._asked), self._from.bars_from):
            while self._client.unsent_bytes > UNSENT_BYTES:
                yield PAUSE
            (self._whole if rebuilt.complete else self._rebuilt_in_part).add(topic)
            if topic in self._asked:  # and was not given up meanwhile
                for message in rebuilt.messages:
                    self._client.send_message(message)
                self._events_apart += rebuilt.bars
            yield None
        self._whole -= self._rebuilt_in_part

    def _read_kept(self) -> Steps:
        """Send what was kept when the client asked."""
        self.replayed.first = self._cursor
        while self._cursor < self._boundary:
            if self._client.unsent_bytes > UNSENT_BYTES:
                yield PAUSE
                continue
            if not self._prepare():
                if self._cursor < self._history.first:  # it reads more slowly than the history forgets
                    if self._from.number is not None:
                        raise _TooSlowError
                    self._reaches_back = False
                    self.replayed.first = self._history.first
                self._cursor = self._kept.replay(
                    self._history,
                    self._cursor,
                    self._boundary,
                    since=self.replayed.since,
                    max_bytes=PIECE_BYTES,
                )
            yield None

    def _await_upstreams(self) -> Steps:
        """Go on while upstreams bring what they have of the topics, which nobody had before: for a while."""
        asked = tuple(self._asked)
        end = time.monotonic() + UPSTREAM_PATIENCE
        brought = self._cursor
        for first in range(0, len(asked), PIECE_TOPICS):
            while self._awaits(asked[first : first + PIECE_TOPICS]) and time.monotonic() < end:
                yield self._read_on() if self._lags else PAUSE
                brought = self._history.next
            yield None
        while self._cursor < brought:
            yield self._read_on()

    def _bring_passages(self) -> Steps:
        """Send what has been brought apart, and what has come of the same topics since; then the reader takes them."""
        if not self._apart or self._past is None:
            return
        passages: dict[tuple[Passage | None, int], list[Topic]] = {}
        for count, topic in enumerate(tuple(self._apart)):
            passage = self._past.passage(self._brought_by(topic), self._from.time)
            first = 0 if topic in self._asked else self._boundary
            passages.setdefault((passage, first), []).append(topic)
            if count % PIECE_TOPICS == PIECE_TOPICS - 1:
                yield None
        for (passage, first), topics in passages.items():
            reading = self._passage_reading = PassageReading(
                self._client, self._history, topics, past=self._past.fanout(), live=self._matching()
            )
            reading.drop([topic for topic in topics if topic not in self._apart])
            # What came live before the passage is in it.
            while passage is not None and self._cursor < passage.end:
                yield self._read_on()
            yield from reading.read(passage, first, self._cursor, since=0 if first else self.replayed.since)
            self._events_apart += reading.events
            self._apart.difference_update(topics)
            self._apart_wildcards.difference_update(topics)
            self._joins.appendleft((self._cursor, deque(reading.topics - self._left_apart)))
            if passage is not None and passage.is_complete:
                self._whole.update(topics)
        self._passage_reading = None

    def _brought_by(self, topic: Topic) -> Topic:
        """Return the wildcard or prefix by which a topic comes; itself for none."""
        beginnings = (topic.symbol[:length] for length in range(len(topic.symbol)))
        wildcards = (Topic(topic.event_type, beginning + WILDCARD) for beginning in beginnings)
        return next((wildcard for wildcard in wildcards if wildcard in self._apart_wildcards), topic)

    def _is_apart(self, topic: Topic) -> bool:
        if self._apart_wildcards and is_covered(topic, self._apart_wildcards):
            self._apart.add(topic)  # it comes with the wildcard
        return topic in self._apart

    def _tell_replayed(self) -> Steps:
        complete = self._reaches_back
        asked = tuple(self._asked)
        for first in range(0, len(asked), PIECE_TOPICS):
            piece = asked[first : first + PIECE_TOPICS]
            piece = tuple(topic for topic in piece if topic not in self._whole)
            complete = complete and (not piece or self._is_complete(piece))
            yield None
        count = self._kept.events_collected + self._events_apart
        self._metrics.replayed_events.inc(count)
        self._client.send_status(replayed_message(self._from, count, complete=complete))

    @property
    def _lags(self) -> bool:
        """Whether something has come that the client has not got."""
        return bool(self._joins or self._leaves or self._notices or self._cursor < self._history.next)

    def _read_on(self) -> float | None:
        """Send a piece of what came after the request, or do what is due there; return how long to rest then.

        Raises:
            _TooSlowError: the history has forgotten something of it.
        """
        if self._client.unsent_bytes > UNSENT_BYTES:
            return PAUSE
        if self._cursor < self._history.first:
            raise _TooSlowError
        if not self._prepare():
            self._cursor = self._read_live(self._cursor, self._next_seam())
        return None

    def _next_seam(self) -> int:
        """Return the number of the message before which something has to be done; that of the next to come for none."""
        seams = [queue[0][0] for queue in (self._joins, self._leaves, self._notices) if queue]
        return min((*seams, self._history.next))

    def _prepare(self) -> bool:
        """Do a piece of what has to be done before the next message. Return whether there was something."""
        if self._joins and self._joins[0][0] <= self._cursor:
            topics = self._joins[0][1]
            piece = [topics.popleft() for _ in range(min(PIECE_TOPICS, len(topics)))]
            self._kept.subscribe(self._reader, [topic for topic in piece if not self._is_apart(topic)])
            if not topics:
                self._joins.popleft()
            return True
        if self._leaves and self._leaves[0][0] <= self._cursor:
            self._kept.unsubscribe(self._reader, self._leaves.popleft()[1])
            return True
        if self._notices and self._notices[0][0] <= self._cursor:
            self._client.send_status(notice_message(self._notices.popleft()[1]))
            return True
        return False


class FilteredReplay(Replay):
    """The replay to a client of a fan-out: what is live is what it is subscribed to."""

    def __init__(self, client: Client, *, held: Iterable[Topic], **replay: object) -> None:
        """Prepare a replay.

        Args:
            client: whom to send to.
            held: what else the client is subscribed to, and has got up to now.
            replay: the other arguments of :class:`Replay`.
        """
        super().__init__(client, **replay)  # type: ignore[arg-type]
        self._joins.append((self._history.next, deque(held)))

    def subscribe(self, topics: Iterable[Topic]) -> None:
        """The client gets topics, from now on."""
        self._joins.append((self._history.next, deque(topics)))

    def leave(self, topics: Iterable[Topic]) -> None:
        """What comes of topics from now on is brought by another replay, which follows this one."""
        gone = frozenset(topics)
        self._left_apart |= gone & self._apart
        self._leaves.append((self._history.next, gone))

    def _read_live(self, start: int, stop: int) -> int:
        return self._kept.replay(self._history, start, stop, live_only=True, max_bytes=PIECE_BYTES)


class WholeReplay(Replay):
    """The replay to a client of a broadcast: what is live is everything, message for message."""

    def __init__(self, client: Client, **replay: object) -> None:
        """Prepare a replay; ``replay`` are the other arguments of :class:`Replay`."""
        super().__init__(client, **replay)  # type: ignore[arg-type]
        if self._from.number is not None:
            self._boundary = self._live_from = self._cursor
        else:
            self._live_from = self._history.next  # up to there it has got everything
        self._broadcast = Broadcast()
        self._broadcast.add_client(client.sink)

    def _read_live(self, start: int, stop: int) -> int:
        return self._broadcast.replay(self._history, start, stop, max_bytes=PIECE_BYTES)
