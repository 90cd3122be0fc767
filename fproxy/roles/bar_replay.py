"""Sending a client the bars that have already passed, at the pace at which it reads them."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from fproxy._bars import BarBuilder
from fproxy.core.frames import text_frame
from fproxy.core.topics import Topic, bar_interval
from fproxy.shell.client import Client

PIECE_BYTES: Final = 256 * 1024
"""About how much is sent in one turn of the loop, so that live data does not wait for it."""

UNSENT_BYTES: Final = 1024 * 1024
"""A client with more than this waiting to be sent gets no more for the moment."""

PAUSE: Final = 0.01
"""For how long, in seconds."""


class BarReplay:
    """The replay of some topics to one client: topic after topic, each until it has caught up with what is live.

    It begins behind the acknowledgement of the subscription.
    """

    def __init__(
        self,
        client: Client,
        topics: Iterable[Topic],
        since: int,
        *,
        builder: BarBuilder,
        caught_up: Callable[[Client, Topic], None],
        ended: Callable[[Client, "BarReplay"], None],
    ) -> None:
        """Schedule a replay.

        Args:
            client: whom to send to.
            topics: millisecond-bar topics.
            since: from when on, in Unix milliseconds.
            builder: has the bars; what it has closed has been collected whenever the loop is between callbacks.
            caught_up: gets each topic at the moment when everything of it that has closed is sent.
            ended: nothing is left to do.
        """
        self._client = client
        self._waiting = dict.fromkeys(topics, since)  # topic -> from when on the rest is to be sent
        self._builder = builder
        self._caught_up = caught_up
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None
        self._cancelled = False
        client.after_reply(self._begin)

    @property
    def waiting(self) -> Iterable[Topic]:
        """The topics that have not caught up yet."""
        return self._waiting.keys()

    def drop(self, topic: Topic) -> None:
        """The client does not want a topic any more."""
        self._waiting.pop(topic, None)

    def cancel(self) -> None:
        """Stop, and tell nobody."""
        self._cancelled = True
        if self._next is not None:
            self._next.cancel()

    def _begin(self) -> None:
        if not self._cancelled:
            self._next = self._loop.call_soon(self._send_piece)

    def _send_piece(self) -> None:
        budget = PIECE_BYTES
        while self._waiting:
            if self._client.unsent_bytes > UNSENT_BYTES:
                self._next = self._loop.call_later(PAUSE, self._send_piece)
                return
            if budget <= 0:
                self._next = self._loop.call_soon(self._send_piece)
                return
            topic, since = next(iter(self._waiting.items()))
            interval = bar_interval(topic.event_type)
            assert interval is not None, "a millisecond-bar topic"
            messages, rest = self._builder.history(interval, topic.symbol, since, max_bytes=budget)
            for message in messages:
                self._client.write(text_frame(message))
                budget -= len(message)
            if rest is None:
                del self._waiting[topic]
                self._caught_up(self._client, topic)
            else:
                self._waiting[topic] = rest
        self._ended(self._client, self)
