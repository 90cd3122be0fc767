"""One simulated market behind the vendor's protocol, with the vendor's limits and refusals."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

from fproxy._fastpath import Fanout
from fproxy.core.control import POLICY_VIOLATION
from fproxy.core.market import STOCKS, Market
from fproxy.core.spelling import matcher
from fproxy.core.status_replies import status_message
from fproxy.core.symbol_limits import SymbolLimits
from fproxy.core.topics import Topic
from fproxy.metrics import Metrics
from fproxy.roles.served_markets import ServedMarket
from fproxy.roles.simulator_settings import SimulatorSettings
from fproxy.shell.client import Client
from fproxy.shell.log_throttle import LogThrottle
from fproxy.shell.work_steps import WorkSteps
from fproxy.simulation.market import Market as Simulation
from fproxy.simulation.pacing import Pacer
from fproxy.simulation.rosters import ROSTERS

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


@dataclass(slots=True)
class _ClientState:
    """What is kept with a client: its number in the fan-out, its topics, and how many more it may have."""

    number: int
    limits: SymbolLimits
    topics: set[Topic] = field(default_factory=set)


class SimulatedMarket(ServedMarket):
    """What plays one market of the vendor's.

    Attributes:
        market: the market.
    """

    def __init__(
        self, market: Market, settings: SimulatorSettings, metrics: Metrics, *, clock: Callable[[], float]
    ) -> None:
        """Prepare; nothing happens before :meth:`start`.

        Args:
            market: what to simulate.
            settings: what the role is told.
            metrics: where to count.
            clock: returns Unix seconds.

        Raises:
            ValueError: a setting is out of range.
        """
        self.market = market
        self._settings = settings
        self._fanout = Fanout(event_topics=matcher(market))
        metrics.of(market.name).watch_fanout(self._fanout)
        flat_out = settings.rate == 0
        self._simulation = Simulation(
            seed=settings.seed,
            start=int(clock() * 1_000),
            rate=FLAT_OUT_RATE if flat_out else settings.rate,
            symbols=settings.symbols if market is STOCKS else None,
            roster=ROSTERS[market.name],
        )
        self._pacer = Pacer(self._simulation, None if flat_out else clock)
        # Without a clock the market waits for subscriptions, and for readers with more than this unsent.
        self._hold_above = settings.server.limits.max_unsent_bytes // 4 if flat_out else None
        self._clients: dict[Client, _ClientState] = {}
        # Each account's clients, oldest first.
        self._accounts: dict[str, list[Client]] = {}
        self._turn_handle: asyncio.Handle | None = None
        self._skipped_log = LogThrottle(logger, logging.WARNING, 60.0)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instruments' symbols, the most active first."""
        return self._simulation.symbols

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients; the market has no work to be done in steps."""

    def start(self) -> None:
        """Let the market go on."""
        self._turn_handle = asyncio.get_running_loop().call_soon(self._turn)

    def stopping(self) -> None:
        """Halt the market."""
        if self._turn_handle is not None:
            self._turn_handle.cancel()
            self._turn_handle = None

    def flush(self) -> None:
        """Send clients what is pending."""
        self._fanout.flush()

    async def stop(self) -> None:
        """Stop; the market has halted already."""

    # What the server calls.

    def client_joined(self, client: Client) -> None:
        """Take in a client, at the cost of its account's oldest where that has too many."""
        self._clients[client] = _ClientState(
            self._fanout.add_client(client.sink), limits=SymbolLimits(self.market)
        )
        if self._settings.max_connections == 0:
            return
        connections = self._accounts.setdefault(client.account, [])
        connections.append(client)
        while len(connections) > self._settings.max_connections:
            self._evict(connections[0])

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> Mapping[Topic, str]:
        """Subscribe a client.

        Returns:
            the topics that are more than the vendor allows a connection, each with the reason.
        """
        state = self._clients[client]
        refused: dict[Topic, str] = {}
        for topic in topics:
            if topic in state.topics:
                continue
            reason = state.limits.refusal(topic.event_type)
            if reason is None:
                state.topics.add(topic)
                state.limits.add(topic.event_type)
            else:
                refused[topic] = reason
        # To the vendor a prefix is a ticker that it does not know: it acknowledges it, and nothing ever comes.
        self._fanout.subscribe(
            state.number, [topic for topic in topics if topic not in refused and not topic.is_prefix]
        )
        return refused

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        """Unsubscribe a client."""
        state = self._clients[client]
        gone = state.topics.intersection(topics)
        state.topics -= gone
        for topic in gone:
            state.limits.discard(topic.event_type)
        self._fanout.unsubscribe(state.number, list(gone))

    def topics(self, client: Client) -> Set[Topic]:
        """Return what a client is subscribed to."""
        return self._clients[client].topics

    def client_left(self, client: Client) -> None:
        """Forget a client, unless it was evicted and so forgotten already."""
        state = self._clients.pop(client, None)
        if state is None:
            return
        self._fanout.remove_client(state.number)
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
        heard = any(state.topics for state in self._clients.values())
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
        return any(client.unsent_bytes > limit for client in self._clients)
