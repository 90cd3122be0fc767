"""Why a connection to an upstream failed or ended: the names that metrics use."""

import enum


class UpstreamFailure(enum.StrEnum):
    """The reasons, as they appear in the ``reason`` label of ``upstream_failures``."""

    REFUSED = "refused"
    """Nothing listens there."""
    UNRESOLVABLE = "unresolvable"
    """The host's name has no address."""
    TIMEOUT = "timeout"
    """Connecting, with its handshakes, took too long."""
    TLS = "tls"
    """The certificate was not accepted, or TLS failed otherwise."""
    HTTP_STATUS = "http_status"
    """The server answered the handshake with an HTTP status other than 101."""
    HANDSHAKE = "handshake"
    """The server's handshake was not WebSocket's, or it broke off."""
    AUTH_FAILED = "auth_failed"
    """The upstream refused the key."""
    AUTH_TIMEOUT = "auth_timeout"
    """The upstream says that no auth came."""
    MAX_CONNECTIONS = "max_connections"
    """The account has too many connections."""
    CLOSED = "closed"
    """The upstream closed the connection."""
    LOST = "lost"
    """The connection broke without a close."""
    SILENT = "silent"
    """Nothing came, not even the answer to a ping."""
    TOO_BIG = "too_big"
    """A message was over the limit."""
    PROTOCOL = "protocol"
    """The upstream broke the WebSocket protocol."""
    NETWORK = "network"
    """Another error of the operating system."""
    INTERNAL = "internal"
    """An error of this program."""

    @property
    def turned_away(self) -> bool:
        """Whether the upstream turned the program away, so that coming back soon does no good."""
        return self in (UpstreamFailure.AUTH_FAILED, UpstreamFailure.MAX_CONNECTIONS)
