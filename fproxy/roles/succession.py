"""What one market of a proxy hands to the proxy that takes over: the topics wanted, and who may resume what."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from fproxy.core.demand import Demand
from fproxy.core.market import Upstream
from fproxy.core.routes import Route
from fproxy.core.stream import Stream, StreamState
from fproxy.core.topics import Topic
from fproxy.roles.resumption import LOOK_INTERVAL, Resumption
from fproxy.roles.upstream_feed import UpstreamFeed
from fproxy.shell.clock import unix_ms
from fproxy.shell.upstream import UpstreamConnection

LOOK: Final = 0.02
"""How long between looks at whether what was waited for has come, in seconds."""

ANSWER_TIME: Final = 2.0
"""How long an upstream may take to acknowledge topics that are asked for at the last moment, in seconds."""

TOPICS_PER_TURN: Final = 1_000
"""How many topics are given up in one turn of the event loop: about a millisecond."""


class StreamPart(NamedTuple):
    """One stream, with what is asked of its upstream.

    Attributes:
        stream: its state.
        demand: what is wanted of it.
        connection: brings it.
        feed: knows since when nothing is missing.
    """

    stream: Stream
    demand: Demand
    connection: UpstreamConnection
    feed: UpstreamFeed


class Succession:
    """One market's part in a take-over, on either side.

    Attributes:
        resumption: who may resume what; None where nobody may.
    """

    def __init__(
        self,
        parts: Mapping[Upstream, StreamPart],
        *,
        route: Route,
        resumption: Resumption | None,
        overlap: float | None,
    ) -> None:
        """Begin with nothing held.

        Args:
            parts: the market's streams, each with its upstream.
            route: which upstream topics bring a client's topic.
            resumption: who may resume what; None where nobody may.
            overlap: how far before the moment up to which a client has got everything it is to be brought what has
                passed, in seconds; None when no history is kept.
        """
        self.resumption = resumption
        self._parts = {_name(part.stream): part for part in parts.values()}
        self._names = {upstream: _name(part.stream) for upstream, part in parts.items()}
        self._route = route
        self._overlap = overlap
        self._held: dict[str, dict[str, None]] = {name: {} for name in self._parts}

    # Of the one that is taken over.

    @property
    def streams_up(self) -> tuple[str, ...]:
        """The names of the streams that are up, each with its market before it."""
        return tuple(name for name, part in self._parts.items() if part.stream.state is StreamState.UP)

    def wanted(self) -> Mapping[str, Collection[str]]:
        """Return the topics that are wanted of each stream's upstream now; a copy."""
        return {name: part.demand.wanted for name, part in self._parts.items()}

    # Of the one that takes over.

    def hold(self, stream: str, topics: Iterable[str]) -> None:
        """Want topics of a stream's upstream until :meth:`let_go`. A stream that is not known here is passed over."""
        part = self._parts.get(stream)
        if part is None:
            return
        held = self._held[stream]
        for topic in topics:
            if topic not in held:
                held[topic] = None
                part.demand.acquire(topic)
        part.connection.poke()

    async def hold_topics(self, topics: Iterable[Topic]) -> None:
        """Want what brings a client's topics until :meth:`let_go`; return when the upstreams have acknowledged it."""
        fresh: dict[str, list[str]] = {}
        for number, topic in enumerate(topics, 1):
            for upstream, text in self._route(topic):
                name = self._names[upstream]
                if text not in self._held[name] and text not in self._parts[name].demand:
                    fresh.setdefault(name, []).append(text)
                self.hold(name, (text,))
            if not number % TOPICS_PER_TURN:
                await asyncio.sleep(0)
        for name, texts in fresh.items():
            await self.until_answered(name, texts)

    async def until_answered(self, stream: str, topics: Collection[str]) -> None:
        """Wait until topics that are held have been acknowledged or refused, but not for long."""
        part = self._parts.get(stream)
        if part is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIME):
                await _until(lambda: all(_is_answered(part, topic) for topic in topics))

    async def until_ready(self, streams: Collection[str]) -> None:
        """Wait until streams are whole, and the history reaches back as far as clients that come over will want.

        Args:
            streams: the names of those that are up in the other process; those not known here are passed over.
        """
        parts = [part for name, part in self._parts.items() if name in streams]
        reach = 0.0 if self._overlap is None else self._overlap + 2 * LOOK_INTERVAL
        await _until(
            lambda: all(
                part.stream.state is StreamState.UP and part.feed.whole_since <= unix_ms() - 1000 * reach
                for part in parts
            )
        )

    async def let_go(self) -> None:
        """Want the topics held no longer. They linger upstream, as those of clients do that are gone."""
        if self.resumption is not None:
            self.resumption.end_adoption()
        for name, part in self._parts.items():
            held = self._held[name]
            while held:
                for topic in [topic for topic, _ in zip(held, range(TOPICS_PER_TURN), strict=False)]:
                    del held[topic]
                    part.demand.release(topic, time.monotonic())
                part.connection.poke()
                await asyncio.sleep(0)


async def _until(condition: Callable[[], bool]) -> None:
    """Look again and again, until a condition holds: streams and sessions tell nobody of it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(LOOK)


def _name(stream: Stream) -> str:
    return f"{stream.market}/{stream.name}"


def _is_answered(part: StreamPart, topic: str) -> bool:
    connection = part.connection
    return not connection.ready or connection.is_confirmed(topic) or connection.refusal(topic) is not None
