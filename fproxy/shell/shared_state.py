"""What all clients of one server share."""

import asyncio
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fproxy._socket_writer import BacklogPool
from fproxy.core.activity import ActivityKind
from fproxy.core.client_keys import ClientKeys
from fproxy.metrics import Metrics
from fproxy.shell.admission import Admission
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.clock import unix_ms
from fproxy.shell.connection_limits import ConnectionLimits
from fproxy.shell.endpoint import Endpoint
from fproxy.shell.input_pacer import InputPacer
from fproxy.shell.key_holders import KeyHolders
from fproxy.shell.log_throttle import LogThrottle
from fproxy.shell.timer_wheel import TimerWheel
from fproxy.shell.upstream_hold import UpstreamHold

if TYPE_CHECKING:
    from fproxy.shell.client import Client

READ_BYTES: Final = 4096
"""How much is read from a client at once: little, as the requests in one piece of input are taken
together."""

logger: Final = logging.getLogger("fproxy.server")


@dataclass(slots=True, kw_only=True)
class SharedState:
    """The state of one server that its clients use.

    Attributes:
        loop: the event loop.
        reading: the event loop as clients' connections have it, which are read behind market data.
        keys: the keys that clients may authenticate with.
        holders: who has authenticated with which.
        metrics: the counters of the process.
        limits: what clients may do.
        endpoints: what is served, by its path.
        max_clients: how many connections there may be at once.
        connection_limits: what else limits who may connect.
        admission: who is let in.
        timers: every client's timeout.
        pacer: every client's input.
        backlog: what waits to be sent to all clients.
        upstream_hold: who wants which upstreams held up.
        read_buffer: where every client's bytes are read to; they are taken out of it before the next read.
        clients: every connection, from its first byte to its last.
        accepting: whether new connections are welcome.
        empty: set while there is no connection.
    """

    loop: asyncio.AbstractEventLoop
    reading: asyncio.AbstractEventLoop
    keys: ClientKeys
    holders: KeyHolders
    metrics: Metrics
    limits: ClientLimits
    endpoints: Mapping[str, Endpoint]
    max_clients: int
    connection_limits: ConnectionLimits
    admission: Admission
    timers: TimerWheel
    pacer: InputPacer
    backlog: BacklogPool
    upstream_hold: UpstreamHold = field(default_factory=UpstreamHold)
    read_buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(READ_BYTES)))
    clients: "set[Client]" = field(default_factory=set)
    accepting: bool = True
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    auth_failure_log: LogThrottle = field(default_factory=lambda: LogThrottle(logger, logging.WARNING))
    tls_log: LogThrottle = field(default_factory=lambda: LogThrottle(logger, logging.INFO, 10.0))
    proxy_log: LogThrottle = field(default_factory=lambda: LogThrottle(logger, logging.WARNING, 10.0))
    origin_log: LogThrottle = field(default_factory=lambda: LogThrottle(logger, logging.WARNING, 10.0))

    def next_number(self) -> int:
        """Return a number that no connection of the server has had."""
        return next(self._numbers)

    def record(self, kind: ActivityKind, text: str) -> None:
        """Something has happened to a client."""
        self.metrics.observed.activity.record(kind, text, now=unix_ms())
