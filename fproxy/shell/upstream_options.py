"""What a connection to an upstream can be told. Apart, so that settings need not import what connects."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamOptions:
    """What a connection can be told. Times are seconds.

    Attributes:
        connect_timeout: how long connecting, with its handshakes, may take.
        auth_wait: how long to wait for an answer to auth before going on without one.
        ping_interval: after how long without a message the upstream is pinged; 0 never pings.
        ping_timeout: how long the upstream may stay silent after a ping before it counts as gone.
        reconnect_min: the delay before the first attempt to connect again.
        reconnect_max: the longest such delay.
        refused_delay: the least delay after the upstream refused the key or had too many connections.
        stable_after: how long a connection must last for the delays to start anew.
        close_timeout: how long an orderly close may take.
        max_message_size: the largest message accepted, in bytes; a larger one drops the connection.
    """

    connect_timeout: float = 10.0
    auth_wait: float = 2.0
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    reconnect_min: float = 1.0
    reconnect_max: float = 30.0
    refused_delay: float = 60.0
    stable_after: float = 10.0
    close_timeout: float = 1.0
    max_message_size: int = 16 * 1024 * 1024
