"""What a connection to an upstream can be told. Apart, so that settings need not import what connects."""

from dataclasses import dataclass, field

from fproxy.shell.tls import UpstreamTls


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamOptions:
    """What a connection can be told. Times are seconds.

    Attributes:
        connect_timeout: how long connecting, with its handshakes, may take.
        auth_wait: how long to wait for an answer to auth, and to the first requests, before going on without one.
        silence: how long an upstream may send nothing at all, not even the answer to a ping, before it counts as gone;
            0 waits for ever. It is pinged when half of that has passed.
        peer_reconnect_min: the delay before the first attempt to connect again to a role of fproxy's own, which
            restarts in no time and has nothing against being asked.
        reconnect_min: the same for any other upstream.
        reconnect_max: the longest such delay.
        refused_delay: the least delay after the upstream refused the key or had too many connections.
        stable_after: how long a connection must last for the delays to start anew.
        close_timeout: how long an orderly close may take.
        max_message_size: the largest message accepted, in bytes; a larger one drops the connection.
        internal_key: the key to authenticate with where the upstream is a role of fproxy's own; empty for the same.
        tls: whom to trust, and what to show, over ``wss://``.
    """

    connect_timeout: float = 10.0
    auth_wait: float = 2.0
    silence: float = 10.0
    peer_reconnect_min: float = 0.03
    reconnect_min: float = 1.0
    reconnect_max: float = 30.0
    refused_delay: float = 60.0
    stable_after: float = 10.0
    close_timeout: float = 1.0
    max_message_size: int = 16 * 1024 * 1024
    internal_key: str = field(default="", repr=False)
    tls: UpstreamTls = field(default_factory=UpstreamTls)
