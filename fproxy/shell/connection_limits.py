"""Who may connect, and how many at once, as far as nothing is known of them but their address."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What connections can be limited to.

    Attributes:
        max_connections_per_address: how many connections an address may have at once (of IPv6, a /64); None for any
            number.
        max_unauthenticated: how many connections that have not authenticated there may be at once; None for half of all
            that there may be.
        max_auth_failures: how many times in a minute an address may fail to authenticate.
        max_control_rate: how many control messages a second are taken from one client, the rest waiting; 0 for any
            number.
        trusted_proxies: the addresses and networks of the reverse proxies that say whose connections they pass on.
        allowed_origins: the origins of the web pages that may connect; empty for the usual ones, ``*`` for all.
    """

    max_connections_per_address: int | None = None
    max_unauthenticated: int | None = None
    max_auth_failures: int = 10
    max_control_rate: float = 1000.0
    trusted_proxies: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
