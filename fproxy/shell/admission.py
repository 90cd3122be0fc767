"""Which connections are let in, and which have to go for others: limits in all, by address, and before auth."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from fproxy.core.auth_failures import AuthFailures
from fproxy.core.client_address import TrustedProxies, limit_group
from fproxy.metrics import Metrics
from fproxy.shell.connection_limits import ConnectionLimits
from fproxy.shell.log_throttle import LogThrottle

logger: Final = logging.getLogger("fproxy.server")


class Refusal(NamedTuple):
    """How a connection is turned away.

    Attributes:
        response: what it is answered.
        log_text: why, for the log.
    """

    response: bytes
    log_text: str


def _http(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()


_BUSY: Final = _http("503 Service Unavailable")
_TOO_MANY: Final = _http("429 Too Many Requests")

REFUSALS: Final[Mapping[str, Refusal]] = {
    "clients": Refusal(_BUSY, "there are too many connections already"),
    "unauthenticated": Refusal(_BUSY, "too many connections have not authenticated"),
    "address": Refusal(_TOO_MANY, "its address has too many connections already"),
    "auth_failures": Refusal(_TOO_MANY, "its address has sent too many wrong keys of late"),
}
"""How connections are turned away, by the reason."""


class Connection(Protocol):
    """A connection, as far as its admission goes."""

    def abort(self) -> None:
        """End at once."""


SILENCE: Final = 2.0
"""After how many seconds without authentication a connection goes for a newcomer of its own address, too."""


class _Group:
    """The connections of one address."""

    __slots__ = ("connections", "pending")

    def __init__(self) -> None:
        self.connections = 0
        # Those that have not authenticated, each with when it came, the oldest first.
        self.pending: dict[Connection, float] = {}


class _Ranking:
    """The addresses with connections that have not authenticated, by how many: each look and change takes one step."""

    __slots__ = ("_by_count",)

    def __init__(self) -> None:
        # By the count; those with as many in the order in which they came to have so many.
        self._by_count: list[OrderedDict[_Group, None]] = [OrderedDict()]

    @property
    def busiest(self) -> _Group:
        """The address that has the most; of several the one that has had so many for longest. There must be one."""
        return next(iter(self._by_count[-1]))

    def change(self, group: _Group, before: int) -> None:
        """An address has one more than ``before``, or one less."""
        count = len(group.pending)
        if before:
            del self._by_count[before][group]
        if count:
            if count == len(self._by_count):
                self._by_count.append(OrderedDict())
            self._by_count[count][group] = None
        while len(self._by_count) > 1 and not self._by_count[-1]:
            self._by_count.pop()


class Admission:
    """Counts a server's connections, from the first moment of each to its last.

    When too many connections have not authenticated, or no place is left, the next one is let in at the cost of the
    oldest of these, of the address that has the most of them; if that is its own, only of one that has been silent for
    a while. So nobody who connects and stays silent keeps out those who have a key.
    """

    def __init__(
        self, limits: ConnectionLimits, *, max_clients: int, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        """Begin with nobody.

        Args:
            limits: how many may connect.
            max_clients: how many connections there may be in all.
            metrics: where to count.
            clock: returns the time, in seconds.
        """
        self._limits = limits
        self._max_clients = max_clients
        self._max_pending = limits.max_unauthenticated or max(1, max_clients // 2)
        self._metrics = metrics
        self._clock = clock
        self._trusted = TrustedProxies(limits.trusted_proxies)
        self._failures = AuthFailures(limits.max_auth_failures)
        self._groups: dict[str, _Group] = {}
        self._group_of: dict[Connection, str] = {}
        self._ranking = _Ranking()
        self._pending = 0
        self._log = LogThrottle(logger, logging.WARNING, 10.0)

    @property
    def trusted_proxies(self) -> TrustedProxies:
        """The reverse proxies whose word is taken."""
        return self._trusted

    def arrived(self, connection: Connection, host: str) -> str | None:
        """A connection has come. Return why it cannot stay, as the metrics name it; None when it can.

        It counts until it has ``left``, whether it can stay or not.

        Args:
            connection: the connection.
            host: where it comes from; for a reverse proxy, its own address.
        """
        group = self._join(connection, limit_group(host))
        if self._trusted.trust(host):
            return self._make_room(connection)  # its clients are looked at when it has said who they are
        return self._reason(connection, group) or self._make_room(connection)

    def identified(self, connection: Connection, host: str) -> str | None:
        """A reverse proxy has said whose a connection is. Return why it cannot stay; None when it can."""
        since = self._groups[self._group_of[connection]].pending.get(connection)
        self.left(connection)
        group = self._join(connection, limit_group(host), since)
        return self._reason(connection, group)

    def becomes(self, connection: Connection, other: Connection) -> None:
        """A connection goes on as another object."""
        name = self._group_of[connection]
        since = self._groups[name].pending.get(connection)
        self.left(connection)
        self._join(other, name, since)

    def authenticated(self, connection: Connection) -> None:
        """A connection has authenticated."""
        self._no_longer_pending(self._groups[self._group_of[connection]], connection)

    def failed_auth(self, connection: Connection) -> float:
        """A connection has sent a wrong key. Return how long its answer is to be held back, in seconds."""
        return self._failures.failed(self._group_of[connection], self._clock())

    def shuts_out(self, connection: Connection) -> bool:
        """Return whether the address of a connection has sent too many wrong keys of late for another attempt."""
        return self._failures.is_refused(self._group_of.get(connection, ""), self._clock())

    def left(self, connection: Connection) -> None:
        """A connection is gone."""
        name = self._group_of.pop(connection, None)
        if name is None:
            return
        group = self._groups[name]
        group.connections -= 1
        self._no_longer_pending(group, connection)
        if not group.connections:
            del self._groups[name]

    def refused(self, reason: str, text: str, *arguments: object) -> None:
        """Count a connection that is turned away, and log it, now and then."""
        self._metrics.refused_connections.labels(reason).inc()
        self._log.log(text, *arguments)

    def _join(self, connection: Connection, name: str, since: float | None = None) -> str:
        group = self._groups.setdefault(name, _Group())
        group.connections += 1
        group.pending[connection] = self._clock() if since is None else since
        self._ranking.change(group, len(group.pending) - 1)
        self._group_of[connection] = name
        self._pending += 1
        return name

    def _no_longer_pending(self, group: _Group, connection: Connection) -> None:
        if group.pending.pop(connection, None) is not None:
            self._pending -= 1
            self._ranking.change(group, len(group.pending) + 1)

    def _reason(self, connection: Connection, name: str) -> str | None:
        limit = self._limits.max_connections_per_address
        if limit is not None and self._groups[name].connections > limit:
            return "address"
        return "auth_failures" if self._failures.is_refused(name, self._clock()) else None

    def _make_room(self, connection: Connection) -> str | None:
        """Return what there is no room for, if there is none and none can be made."""
        if len(self._group_of) > self._max_clients:
            reason = "clients"
        elif self._pending > self._max_pending:
            reason = "unauthenticated"
        else:
            return None
        busiest = self._ranking.busiest
        oldest, since = next(iter(busiest.pending.items()))
        if busiest is self._groups[self._group_of[connection]] and self._clock() - since < SILENCE:
            return reason
        self.refused(reason, "a connection that has not authenticated has to go: there are too many")
        self.left(oldest)
        oldest.abort()
        return None
