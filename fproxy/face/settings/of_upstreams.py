"""The settings of connections to upstreams."""

from typing import Final

from fproxy.face.settings.commands import UPSTREAMS
from fproxy.face.settings.declaration import Declaration
from fproxy.face.settings.kinds import ByteSize, FilePath, Seconds, Secret

UPSTREAM_SETTINGS: Final = (
    Declaration(
        "polygon_api_key",
        "POLYGON_API_KEY",
        Secret(),
        UPSTREAMS,
        "Key to authenticate upstream with. Better not as a flag: others on this machine can read those.",
    ),
    Declaration(
        "internal_key",
        "FPROXY_INTERNAL_KEY",
        Secret(),
        UPSTREAMS,
        "Key with which roles of fproxy let each other in, beside the keys of clients; a stack makes one up. Unset: "
        "POLYGON_API_KEY serves for that, too. Better not as a flag.",
    ),
    Declaration(
        "upstream_ca",
        "FPROXY_UPSTREAM_CA",
        FilePath(),
        UPSTREAMS,
        "Authorities in PEM that wss:// upstreams' certificates must be of. Unset: those that the system trusts.",
    ),
    Declaration(
        "upstream_cert",
        "FPROXY_UPSTREAM_CERT",
        FilePath(),
        UPSTREAMS,
        "Certificate in PEM to show to wss:// upstreams that ask for one.",
    ),
    Declaration("upstream_key", "FPROXY_UPSTREAM_KEY", FilePath(), UPSTREAMS, "Its key, without a password."),
    Declaration(
        "unsubscribe_linger",
        "FPROXY_UNSUBSCRIBE_LINGER",
        Seconds(zero="to unsubscribe at once"),
        UPSTREAMS,
        "Seconds an upstream subscription outlives the last client that wanted it.",
    ),
    Declaration(
        "connect_timeout",
        "FPROXY_CONNECT_TIMEOUT",
        Seconds(),
        UPSTREAMS,
        "Seconds connecting to an upstream may take.",
    ),
    Declaration(
        "auth_wait",
        "FPROXY_AUTH_WAIT",
        Seconds(),
        UPSTREAMS,
        "Seconds to wait for an upstream's answer to auth, and to the first requests, before going on without.",
    ),
    Declaration(
        "silence",
        "FPROXY_UPSTREAM_SILENCE",
        Seconds(zero="to wait for ever"),
        UPSTREAMS,
        "Seconds in which an upstream may send nothing, not even the answer to a ping, before it counts as gone.",
        flag="--upstream-silence",
    ),
    Declaration(
        "peer_reconnect_min",
        "FPROXY_PEER_RECONNECT_MIN",
        Seconds(),
        UPSTREAMS,
        "As --reconnect-min, for an upstream that is a role of fproxy.",
    ),
    Declaration(
        "reconnect_min",
        "FPROXY_RECONNECT_MIN",
        Seconds(),
        UPSTREAMS,
        "Seconds before the first new attempt to connect to an upstream; doubles with every failure.",
    ),
    Declaration("reconnect_max", "FPROXY_RECONNECT_MAX", Seconds(), UPSTREAMS, "Longest such delay."),
    Declaration(
        "refused_delay",
        "FPROXY_REFUSED_DELAY",
        Seconds(),
        UPSTREAMS,
        "Least delay after an upstream refused the key or had too many connections.",
    ),
    Declaration(
        "max_message_size",
        "FPROXY_MAX_MESSAGE_SIZE",
        ByteSize(64 * 1024, 2**30),
        UPSTREAMS,
        "Largest message accepted from an upstream.",
    ),
)
"""What every role with an upstream has."""
