"""Sending a client, of some topics, what an upstream has brought apart, and then what has come of them since."""

from collections.abc import Collection, Sequence, Set
from typing import Final

from fproxy._fastpath import Fanout, History
from fproxy.core.topics import Topic
from fproxy.roles.brought_past import Passage
from fproxy.shell.client import Client
from fproxy.shell.work_steps import Steps

PIECE_BYTES: Final = 64 * 1024
"""About how much is read in one step, in bytes of upstream messages: some tenths of a millisecond."""

PIECE_TOPICS: Final = 500
"""How many topics a reader takes in one step: about as long."""

UNSENT_BYTES: Final = 128 * 1024
"""A client with more than this waiting to be sent gets no more for the moment."""

PAUSE: Final = 0.01
"""For how long, in seconds."""


class PassageReading:
    """Reads the topics that have one passage, or none.

    Attributes:
        events: how many events have been sent.
    """

    def __init__(
        self,
        client: Client,
        history: History,
        topics: Sequence[Topic],
        *,
        past: Fanout,
        live: Fanout,
    ) -> None:
        """Prepare to read.

        Args:
            client: whom to send to.
            history: has the messages.
            topics: of which topics.
            past: a fan-out without clients that matches what was brought apart.
            live: one that matches what came live.
        """
        self.events = 0
        self._client = client
        self._history = history
        self._topics = set(topics)
        self._past = past
        self._live = live
        self._reader: tuple[Fanout, int] | None = None

    @property
    def topics(self) -> Set[Topic]:
        """Those that have not been given up."""
        return self._topics

    def drop(self, topics: Collection[Topic]) -> None:
        """The client gives topics up."""
        self._topics.difference_update(topics)
        if self._reader is not None:
            fanout, reader = self._reader
            fanout.unsubscribe(reader, topics)

    def read(self, passage: Passage | None, first: int, end: int, *, since: int) -> Steps:
        """Send all up to a message's number.

        Args:
            passage: where what was brought is; None when nothing was: then what came live is all there is.
            first: the number of the message from which on that is read then.
            end: the number up to which.
            since: leave out what is older, in Unix milliseconds.
        """
        if passage is not None:
            yield from self._read(self._past, passage.first, passage.end, since)
            first = passage.end
        yield from self._read(self._live, first, end, 0 if passage is not None else since)

    def _read(self, fanout: Fanout, first: int, end: int, since: int) -> Steps:
        reader = fanout.add_client(self._client.sink)
        self._reader = fanout, reader
        topics = tuple(self._topics)
        for begin in range(0, len(topics), PIECE_TOPICS):
            fanout.subscribe(
                reader, [each for each in topics[begin : begin + PIECE_TOPICS] if each in self._topics]
            )
            yield None
        cursor = first
        while cursor < end:
            if self._client.unsent_bytes > UNSENT_BYTES:
                yield PAUSE
                continue
            cursor = fanout.replay(self._history, cursor, end, since=since, max_bytes=PIECE_BYTES)
            yield None
        self.events += fanout.events_collected
        self._reader = None
