"""Telling clients of the streams that concern them, in order with the data of those streams."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from fproxy._fastpath import Fanout
from fproxy.core.market import Upstream
from fproxy.core.stream import Stream
from fproxy.core.stream_notice import interruption_event, notice_message
from fproxy.core.topics import WILDCARD, Topic
from fproxy.shell.client import Client

_NOTICE_TYPE: Final = "stream "
"""What a stream's own topic begins with: a type that no client can ask for, as it holds a space."""


class StreamNotices:
    """Gives out what a fan-out's clients are to be told of its streams.

    Each stream has a topic of its own, which a client of the fan-out has as long as it has any topic that the stream
    serves. So a notice goes where the stream's events go, in their order and at their cost, however many clients
    there are.

    Attributes:
        enabled: whether clients are told at all.
    """

    def __init__(self, fanout: Fanout, streams: Mapping[Upstream, Stream], *, enabled: bool = True) -> None:
        """Begin without clients.

        Args:
            fanout: has the clients.
            streams: the streams that it distributes.
            enabled: whether clients are told at all.
        """
        self._fanout = fanout
        self._streams = streams
        self.enabled = enabled
        self._topics = {
            upstream: Topic(f"{_NOTICE_TYPE}{stream.name}", WILDCARD) for upstream, stream in streams.items()
        }
        for topic in self._topics.values():
            fanout.set_sources(topic.event_type, [])  # no event of an upstream is a notice of ours
        # Clients that have subscribed to something of a stream that is down, and wait for the acknowledgement.
        self._late: dict[Client, set[Upstream]] = {}

    def topics(self, upstreams: Iterable[Upstream]) -> list[Topic]:
        """Return the fan-out's topics for those whom streams concern."""
        return [self._topics[upstream] for upstream in upstreams]

    def tell(self, upstream: Upstream, event: bytes) -> None:
        """Tell whom a stream concerns, in a message of its own behind all that the stream has brought so far."""
        if self.enabled:
            self._fanout.flush()
            self._fanout.publish(self._topics[upstream], event)
            self._fanout.flush()

    def tell_late(self, client: Client, upstreams: Iterable[Upstream]) -> None:
        """Tell a client that has subscribed just now which of the streams are down, behind the acknowledgement."""
        down = {upstream for upstream in upstreams if self._streams[upstream].interruption is not None}
        if not down or not self.enabled:
            return
        if client not in self._late:
            self._late[client] = set()
            client.after_reply(lambda: self._tell_now(client, self._late.pop(client, ())))
        self._late[client] |= down

    def tell_joined(self, client: Client) -> None:
        """Tell a client that has authenticated just now which streams are down.

        For servers whose clients are roles of ours, which are concerned from then on, topics or not.
        """
        self._tell_now(client, self._streams.keys())

    def _tell_now(self, client: Client, upstreams: Collection[Upstream]) -> None:
        for upstream, stream in self._streams.items():
            interruption = stream.interruption
            if upstream in upstreams and interruption is not None:
                client.send_status(notice_message(interruption_event(interruption)))
