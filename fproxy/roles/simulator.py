"""The market simulator: plays the vendor, with the vendor's manners, for whoever has no account.

Clients connect, authenticate and subscribe as with the vendor. An account, which is a key here, may have so
many connections: one more costs it the oldest, which is told ``max_connections`` and closed. Slow readers are
cut off. The market goes on with the clock whether or not anybody listens; flat out, without a clock, it goes
on as fast as it is made and read.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence, Set
from typing import Final

from fproxy._fastpath import Fanout
from fproxy.core.control import POLICY_VIOLATION, status_message
from fproxy.core.market import STOCKS
from fproxy.core.topics import Topic
from fproxy.metrics import Metrics
from fproxy.roles.market_server import market_server
from fproxy.roles.simulator_settings import SimulatorSettings
from fproxy.shell.client import Client
from fproxy.shell.log_throttle import LogThrottle
from fproxy.simulation.market import Market
from fproxy.simulation.pacing import Pacer

logger: Final = logging.getLogger("fproxy.simulator")

TICK: Final = 0.002
"""Seconds between looks at the clock: what happens is sent within about three milliseconds."""

FLAT_OUT_RATE: Final = 100_000.0
"""Events a second of market time when the market runs as fast as it can."""

MAX_CONNECTIONS_STATUS: Final = (
    "max_connections",
    "Maximum number of websocket connections exceeded. "
    "You have reached the connection limit for your account. (This is fproxy's simulated market.)",
)

_SOURCE: Final = 0


class Simulator:
    """A simulated market behind the vendor's protocol.

    Args:
        settings: what to simulate, and where.
        metrics: where to count clients.
        clock: returns Unix seconds.

    Raises:
        ValueError: a setting is out of range.
    """

    def __init__(
        self, settings: SimulatorSettings, metrics: Metrics, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._fanout = Fanout()
        metrics.of(STOCKS.name).watch_fanout(self._fanout)
        flat_out = settings.rate == 0
        self._market = Market(
            seed=settings.seed,
            start=int(clock() * 1_000),
            rate=FLAT_OUT_RATE if flat_out else settings.rate,
            symbols=settings.symbols,
        )
        self._pacer = Pacer(self._market, None if flat_out else clock)
        # Without a clock the market waits for subscriptions, and for readers with more than this unsent.
        self._hold_above = settings.server.limits.max_unsent_bytes // 4 if flat_out else None
        self._server = market_server({STOCKS: self}, settings.server, metrics)
        self._subscribers: dict[Client, int] = {}
        self._topics: dict[Client, set[Topic]] = {}
        # Each account's clients, oldest first.
        self._accounts: dict[str, list[Client]] = {}
        self._turn_handle: asyncio.Handle | None = None
        self._skipped_log = LogThrottle(logger, logging.WARNING, 60.0)

    @property
    def port(self) -> int:
        """The port that clients connect to, once started."""
        return self._server.port

    async def start(self) -> None:
        """Begin to serve clients and to let the market go on.

        Raises:
            ServerStartError: the server cannot listen.
        """
        await self._server.start()
        settings = self._settings
        logger.info(
            "Simulating a market of %d symbols on port %d: %s, seed %d",
            settings.symbols,
            self.port,
            f"{settings.rate:g} events/s" if settings.rate else "as fast as it is read",
            settings.seed,
        )
        self._turn_handle = asyncio.get_running_loop().call_soon(self._turn)

    async def stop(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Halt the market and close every client. Stopping twice does nothing.

        Args:
            timeout: how long clients may take to read what was sent and to close, in seconds.
        """
        if self._turn_handle is not None:
            self._turn_handle.cancel()
            self._turn_handle = None
        await self._server.stop(timeout)

    # What the server calls.

    def client_joined(self, client: Client) -> None:
        """Take in a client, at the cost of its account's oldest where that has too many."""
        self._subscribers[client] = self._fanout.add_client(client.sink)
        self._topics[client] = set()
        if self._settings.max_connections == 0:
            return
        connections = self._accounts.setdefault(client.account, [])
        connections.append(client)
        while len(connections) > self._settings.max_connections:
            self._evict(connections[0])

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Subscribe a client."""
        self._fanout.subscribe(self._subscribers[client], topics)
        self._topics[client].update(topics)

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Unsubscribe a client."""
        self._fanout.unsubscribe(self._subscribers[client], topics)
        self._topics[client].difference_update(topics)

    def topics(self, client: Client) -> Set[Topic]:
        """Return what a client is subscribed to."""
        return self._topics[client]

    def client_left(self, client: Client) -> None:
        """Forget a client, unless it was evicted and so forgotten already."""
        subscriber = self._subscribers.pop(client, None)
        if subscriber is None:
            return
        self._fanout.remove_client(subscriber)
        del self._topics[client]
        connections = self._accounts.get(client.account, [])
        if client in connections:
            connections.remove(client)
            if not connections:
                del self._accounts[client.account]

    # The market.

    def _evict(self, client: Client) -> None:
        logger.info(
            "%s disconnected: its account has more than %d connections",
            client.described,
            self._settings.max_connections,
        )
        self.client_left(client)
        client.send_status(status_message(MAX_CONNECTIONS_STATUS))
        client.close(POLICY_VIOLATION, "")

    def _turn(self) -> None:
        """Let the market catch up with the clock, by one batch, and see to the next turn."""
        loop = asyncio.get_running_loop()
        heard = any(map(self._fanout.topic_count, self._subscribers.values()))
        if self._hold_above is not None and (not heard or self._readers_lag(self._hold_above)):
            self._turn_handle = loop.call_later(TICK, self._turn)
            return
        skipped = self._pacer.skipped
        frames, behind = self._pacer.advance(render=heard)
        if self._pacer.skipped > skipped:
            self._skipped_log.log(
                "Left out %d ms of the market: this machine does not make %g events/s, or it was asleep",
                self._pacer.skipped - skipped,
                self._settings.rate,
            )
        for frame in frames:
            self._fanout.feed(_SOURCE, frame.payload)
        self._fanout.flush()
        self._turn_handle = loop.call_soon(self._turn) if behind else loop.call_later(TICK, self._turn)

    def _readers_lag(self, limit: int) -> bool:
        return any(client.unsent_bytes > limit for client in self._subscribers)
