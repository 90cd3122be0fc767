"""What a client of the server may do, and for how long."""

from dataclasses import dataclass

from fproxy.core.bar_allowance import CLIENT, DEFAULT_MAX_BAR_INTERVALS, DEFAULT_MAX_BAR_WILDCARDS
from fproxy.core.control import DEFAULT_MAX_TOPICS
from fproxy.core.slow_client_policy import SlowClientPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """What a client may do, and for how long; times in seconds.

    Attributes:
        handshake_timeout: how long the opening handshake may take.
        auth_timeout: how long authenticating may take after that.
        ping_interval: how often a client is pinged; 0 never pings.
        ping_timeout: how long a client may stay silent after a ping.
        close_timeout: how long closing may take without any progress.
        max_unsent_bytes: a client with more than this waiting to be sent is a slow consumer.
        max_lag: a client for which something has waited for longer than this is one too; 0 for however long.
        max_backlog: the most memory for what waits for all clients together, in bytes; when that is reached, the one
            whose backlog is the oldest is a slow consumer. None for a quarter of the memory that the process may have.
        slow_client: what becomes of a client that lags.
        max_control_bytes: the largest message accepted from a client.
        max_topics: how many topics a client may have at once.
        max_connections_per_key: how many connections a key may have at once; one more costs it the oldest. None for any
            number.
        max_bar_wildcards: at how many intervals it may have the millisecond bars of all symbols.
        max_bar_intervals: at how many it may have those of one symbol.
        holder: who has the limits of topics, as refusals say it.
    """

    handshake_timeout: float = 10.0
    auth_timeout: float = 10.0
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 10.0
    max_unsent_bytes: int = 16 * 1024 * 1024
    max_lag: float = 10.0
    max_backlog: int | None = None
    slow_client: SlowClientPolicy = SlowClientPolicy.DISCONNECT
    max_control_bytes: int = 1024 * 1024
    max_topics: int = DEFAULT_MAX_TOPICS
    max_connections_per_key: int | None = None
    max_bar_wildcards: int = DEFAULT_MAX_BAR_WILDCARDS
    max_bar_intervals: int = DEFAULT_MAX_BAR_INTERVALS
    holder: str = CLIENT
