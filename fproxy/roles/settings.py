"""What each role can be told: one frozen dataclass a role, with the defaults that the command line shows.

The command line (``fproxy.face``) fills these in from flags, the environment and ``.env``; a role reads them
and knows nothing of where they came from. Times are seconds and sizes bytes, unless a name says otherwise.
Secrets are left out of every ``repr``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fproxy.core.bar_allowance import ALL_CLIENTS, MAX_BAR_INTERVALS, MAX_BAR_WILDCARDS
from fproxy.core.client_key import ClientKey
from fproxy.core.control import DEFAULT_MAX_TOPICS_OF_ROLES
from fproxy.core.loopback import is_loopback
from fproxy.core.market import STOCKS, Market
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.connection_limits import ConnectionLimits
from fproxy.shell.socket_activation import ListeningSocket
from fproxy.shell.tls import ServerTls
from fproxy.shell.upstream_options import UpstreamOptions

ANY_KEY: Final = "*"
"""As the only client key: accept whatever key a client sends."""


# Where the clients are filtered proxies, each with what all its own clients want.
_LIMITS_OF_ROLES: Final = ClientLimits(
    max_topics=DEFAULT_MAX_TOPICS_OF_ROLES,
    max_bar_wildcards=MAX_BAR_WILDCARDS,
    max_bar_intervals=MAX_BAR_INTERVALS,
    holder=ALL_CLIENTS,
)


class OpenServerError(ValueError):
    """A server would accept any key on an address open to other machines; the message says what to set."""


def client_keys_for(
    host: str, client_keys: Sequence[str], polygon_api_key: str, *, has_keys_file: bool = False
) -> tuple[str, ...]:
    """Return the keys that a server on ``host`` accepts from its clients; none at all means any key.

    Args:
        host: the address that the server listens on.
        client_keys: the keys as configured; ``*`` alone for any key; empty when not configured, and then
            ``polygon_api_key`` is the one key.
        polygon_api_key: the vendor's key; empty when not configured.
        has_keys_file: whether there are named keys; then no key of these is needed, and the vendor's is no client's.

    Raises:
        OpenServerError: any key would do, and ``host`` is not a loopback address.
    """
    if has_keys_file:
        return tuple(key for key in client_keys if key != ANY_KEY)
    keys = tuple(client_keys) or ((polygon_api_key,) if polygon_api_key else ())
    if keys and keys != (ANY_KEY,):
        return keys
    if not is_loopback(host):
        raise OpenServerError(
            f"refusing to accept any key on {host}, which other machines may reach: set FPROXY_CLIENT_KEYS "
            "(or POLYGON_API_KEY) to the keys that clients must send, or FPROXY_HOST to 127.0.0.1"
        )
    return ()


def with_internal_key(keys: tuple[str, ...], internal_key: str, *, is_closed: bool) -> tuple[str, ...]:
    """Return the keys that a server accepts, with that of fproxy's own roles, which does not close an open one.

    Args:
        keys: the keys as :func:`client_keys_for` returns them.
        internal_key: the key of fproxy's own roles; empty for none.
        is_closed: whether the server accepts named keys, and so not every key, even when ``keys`` is empty.
    """
    if not internal_key or internal_key in keys or not (keys or is_closed):
        return keys
    return (*keys, internal_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server for clients can be told.

    Attributes:
        host: the address to listen on.
        port: the port to listen on; 0 lets the system choose a free one.
        client_keys: the keys that clients may authenticate with; none means that any key will do, unless there are
            named ones.
        named_keys: the keys of the keys file, each with what it allows; None when there is no such file.
        limits: what clients may do, and for how long.
        connections: who may connect, and how many.
        tls: the certificates for ``wss://``.
        max_clients: how many connections to keep at once; None for as many as the process may open files.
        listening: a socket that listens already, to be used instead of ``host`` and ``port``; None to open one.
        reuse_port: whether other processes listen on the same port, and share its clients.
        close_code: the WebSocket close code with which clients are let go when the server stops: 1012 has the official
            clients come back, 1001 has the Python one end.
        drain: over how long they are let go, in seconds; 0 for at once.
        account_salt: with which the names of accounts are made, when they are to be those of the process that is taken
            over; empty for a new one.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    client_keys: tuple[str, ...] = field(default=(), repr=False)
    named_keys: tuple[ClientKey, ...] | None = field(default=None, repr=False)
    limits: ClientLimits = field(default_factory=ClientLimits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    tls: ServerTls = field(default_factory=ServerTls)
    max_clients: int | None = None
    reuse_port: bool = False
    listening: ListeningSocket | None = None
    close_code: int = 1012
    drain: float = 0.0
    account_salt: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """How much of what has passed a role keeps, whichever bound is reached first.

    Attributes:
        history: for how long, in seconds; 0 for nothing.
        history_bytes: how much, in bytes; 0 for nothing.
    """

    history: float = 60.0
    history_bytes: int = 64 * 1024 * 1024

    @property
    def keeps_anything(self) -> bool:
        """Whether both bounds leave room for something."""
        return bool(self.history and self.history_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredProxySettings:
    """What the filtered proxy can be told.

    Attributes:
        markets: what to serve; the first is served on ``/``, too.
        own_of_markets: what markets have of their own: values by the name of the field.
        server: the server for clients.
        upstream: how to connect to both upstreams.
        firehose_url: the ``ws://`` or ``wss://`` URL of the firehose.
        aggregator_url: the same of the ms-aggregator.
        polygon_api_key: the key to authenticate upstream with; empty when there is none.
        unsubscribe_linger: how long an upstream subscription outlives the last client that wanted it.
        coalesce_ms: how long, in milliseconds, events may wait for others to share a message with; 0 sends
            them as soon as the burst that brought them has been read.
        history: how much of what has passed to keep.
        gap_notices: tell clients when a stream that concerns them is interrupted, and when it is whole again.
        resume: bring clients that connect and subscribe again what they missed meanwhile, as far as the history goes.
        resume_overlap: what they are brought begins so long before the moment up to which they have got everything, in
            seconds.
        snapshot: send the last event of each topic to clients that do not say whether they want it.
        snapshot_bytes: the most memory that last events may take; 0 to keep none.
    """

    markets: tuple[Market, ...] = (STOCKS,)
    own_of_markets: Mapping[Market, Mapping[str, Any]] = field(default_factory=dict)
    server: ServerSettings = ServerSettings()
    upstream: UpstreamOptions = field(default_factory=UpstreamOptions)
    firehose_url: str = "ws://localhost:8767"
    aggregator_url: str = "ws://localhost:8768"
    polygon_api_key: str = field(default="", repr=False)
    unsubscribe_linger: float = 30.0
    coalesce_ms: float = 0.0
    gap_notices: bool = True
    resume: bool = False
    resume_overlap: float = 2.0
    history: HistorySettings = field(default_factory=HistorySettings)
    snapshot: bool = False
    snapshot_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirehoseSettings:
    """What the firehose can be told.

    Attributes:
        markets: what to serve; the first is served on ``/``, too.
        own_of_markets: what markets have of their own: values by the name of the field.
        server: the server for clients.
        upstream: how to connect to the vendor.
        feed: the vendor's feed, one of ``fproxy.core.feeds.FEEDS``; empty for what ``vendor_url`` says.
        vendor_url: the ``ws://`` or ``wss://`` URL of the vendor's market.
        polygon_api_key: the key to authenticate with; empty when there is none.
        data_types: the event types to subscribe to, each with the wildcard symbol. What the vendor has no wildcard for,
            and what it has added since, is subscribed to as clients ask for it.
        on_demand: subscribe to the union of what clients asked for, instead of ``data_types``.
        unsubscribe_linger: on demand, how long a subscription outlives the last client that wanted it.
        history: how much of what has passed to keep.
    """

    markets: tuple[Market, ...] = (STOCKS,)
    own_of_markets: Mapping[Market, Mapping[str, Any]] = field(default_factory=dict)
    server: ServerSettings = ServerSettings(port=8767, limits=_LIMITS_OF_ROLES)
    upstream: UpstreamOptions = field(default_factory=UpstreamOptions)
    feed: str = ""
    vendor_url: str = "wss://socket.massive.com/stocks"
    polygon_api_key: str = field(default="", repr=False)
    data_types: tuple[str, ...] = ("T", "Q", "A", "AM", "LULD", "FMV")
    on_demand: bool = False
    unsubscribe_linger: float = 30.0
    history: HistorySettings = field(default_factory=HistorySettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorSettings:
    """What the ms-aggregator can be told.

    Attributes:
        markets: what to serve; the first is served on ``/``, too.
        own_of_markets: what markets have of their own: values by the name of the field.
        server: the server for clients.
        upstream: how to connect to the firehose.
        firehose_url: the ``ws://`` or ``wss://`` URL of the firehose.
        polygon_api_key: the key to authenticate with; empty when there is none.
        bar_delay_ms: how long, in milliseconds, after its window has closed a bar waits for late trades.
        all_trades: count every trade, whatever its conditions say.
        max_bar_windows: how many bars of a market may be under construction at once, some 200 bytes each.
        unsubscribe_linger: how long an upstream subscription outlives the last client that wanted it.
        history: how much of what has passed to keep.
    """

    markets: tuple[Market, ...] = (STOCKS,)
    own_of_markets: Mapping[Market, Mapping[str, Any]] = field(default_factory=dict)
    server: ServerSettings = ServerSettings(port=8768, limits=_LIMITS_OF_ROLES)
    upstream: UpstreamOptions = field(default_factory=UpstreamOptions)
    firehose_url: str = "ws://localhost:8767"
    polygon_api_key: str = field(default="", repr=False)
    bar_delay_ms: float = 20.0
    all_trades: bool = False
    max_bar_windows: int = 1_000_000
    unsubscribe_linger: float = 30.0
    history: HistorySettings = field(default_factory=HistorySettings)
