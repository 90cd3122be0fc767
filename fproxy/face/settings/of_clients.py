"""The settings of a server for clients: where it listens, who may come in, and what clients may do."""

from typing import Final

from fproxy.face.settings.address_kinds import Host, Networks, Origins
from fproxy.face.settings.commands import CLIENTS, PROXY
from fproxy.face.settings.declaration import Declaration
from fproxy.face.settings.kinds import (
    ByteSize,
    CloseCode,
    FilePath,
    Number,
    Seconds,
    SecretList,
    SlowClient,
    WholeNumber,
)

MAX_DRAIN: Final = 3600.0
"""The longest time that may be asked for to let clients go, in seconds."""

CLIENT_SETTINGS: Final = (
    Declaration(
        "host",
        "FPROXY_HOST",
        Host(),
        CLIENTS,
        "Address to listen on; 0.0.0.0 for every IPv4 address of the machine.",
    ),
    Declaration(
        "client_keys",
        "FPROXY_CLIENT_KEYS",
        SecretList(),
        CLIENTS,
        "Keys that clients may authenticate with, separated by commas; unset: POLYGON_API_KEY is the one key; "
        "*: any key, on a loopback address only. Better not as a flag.",
        proxy_alone=True,
    ),
    Declaration(
        "keys_file",
        "FPROXY_KEYS_FILE",
        FilePath(),
        (*PROXY, "keys add"),
        "TOML file with a table for each client's key: its name, what it may do, when it expires. Read again when it "
        "changes. POLYGON_API_KEY is then no client's key.",
        proxy_alone=True,
    ),
    Declaration(
        "max_connections_per_key",
        "FPROXY_MAX_CONNECTIONS_PER_KEY",
        WholeNumber(1, 10**6),
        PROXY,
        "Connections that a key may have at once; one more costs it the oldest. Unset: any number.",
        proxy_alone=True,
    ),
    Declaration(
        "tls_cert",
        "FPROXY_TLS_CERT",
        FilePath(),
        CLIENTS,
        "Certificate in PEM, with those that lead to its authority: clients then connect to wss://. Read again when it "
        "changes.",
        proxy_alone=True,
    ),
    Declaration(
        "tls_key", "FPROXY_TLS_KEY", FilePath(), CLIENTS, "Its key, without a password.", proxy_alone=True
    ),
    Declaration(
        "tls_client_ca",
        "FPROXY_TLS_CLIENT_CA",
        FilePath(),
        CLIENTS,
        "Authorities in PEM: clients must then show a certificate of one of them, too.",
        proxy_alone=True,
    ),
    Declaration(
        "auth_timeout",
        "FPROXY_AUTH_TIMEOUT",
        Seconds(),
        CLIENTS,
        "Seconds a client may take to authenticate.",
    ),
    Declaration(
        "max_unsent_bytes",
        "FPROXY_MAX_UNSENT_BYTES",
        ByteSize(64 * 1024),
        CLIENTS,
        "A client with more than this waiting to be sent is a slow client: see --slow-client.",
        proxy_alone=True,
    ),
    Declaration(
        "max_lag",
        "FPROXY_MAX_LAG",
        Seconds(zero="for any time"),
        CLIENTS,
        "Seconds for which something may wait for a client; then it is a slow client, too.",
        proxy_alone=True,
    ),
    Declaration(
        "max_backlog",
        "FPROXY_MAX_BACKLOG",
        ByteSize(64 * 1024),
        CLIENTS,
        "The most memory for what waits for all clients together, in each process; then the one with the oldest "
        "backlog is disconnected. Unset: a quarter of what the process may have.",
        proxy_alone=True,
    ),
    Declaration(
        "slow_client",
        "FPROXY_SLOW_CLIENT",
        SlowClient(),
        CLIENTS,
        "What becomes of a client that lags. disconnect: it is told, and disconnected. drop: messages are discarded "
        "until it has caught up, and it is told how many events. conflate: while it lags only the newest event of each "
        "topic is kept, and every bar. block: the upstreams are read no faster than it reads; on this machine only.",
        proxy_alone=True,
    ),
    Declaration(
        "max_control_bytes",
        "FPROXY_MAX_CONTROL_BYTES",
        ByteSize(1024, 64 * 1024**2),
        CLIENTS,
        "Largest message accepted from a client.",
        proxy_alone=True,
    ),
    Declaration(
        "max_topics",
        "FPROXY_MAX_TOPICS",
        WholeNumber(1, 10**7),
        ("firehose", "aggregator"),
        "Topics that one client may have at once: a filtered proxy has those that all its own clients want.",
    ),
    Declaration(
        "max_topics",
        "FPROXY_MAX_TOPICS",
        WholeNumber(1, 10**7),
        ("proxy", "sim", "stack"),
        "Topics that one client may have at once.",
        proxy_alone=True,
    ),
    Declaration(
        "max_clients",
        "FPROXY_MAX_CLIENTS",
        WholeNumber(1, 10**6),
        CLIENTS,
        "Connections to keep at once; unset: as many as the process may open files.",
        proxy_alone=True,
    ),
    Declaration(
        "max_unauthenticated",
        "FPROXY_MAX_UNAUTHENTICATED",
        WholeNumber(1, 10**6),
        CLIENTS,
        "Connections that have not authenticated to keep at once; then a new one costs the address that has the most "
        "of them its oldest. Unset: half of --max-clients.",
        proxy_alone=True,
    ),
    Declaration(
        "max_connections_per_address",
        "FPROXY_MAX_CONNECTIONS_PER_ADDRESS",
        WholeNumber(1, 10**6),
        CLIENTS,
        "Connections that an address (of IPv6, a /64) may have at once. Unset: any number.",
        proxy_alone=True,
    ),
    Declaration(
        "max_auth_failures",
        "FPROXY_MAX_AUTH_FAILURES",
        WholeNumber(1, 10**6),
        CLIENTS,
        "Wrong keys that an address may send in a minute, each answered later than the one before; then its "
        "connections are refused for a while. This machine's own are only slowed down.",
        proxy_alone=True,
    ),
    Declaration(
        "max_control_rate",
        "FPROXY_MAX_CONTROL_RATE",
        Number(zero="for any number", most=10**6),
        CLIENTS,
        "Messages a second that are taken from one client, after a burst of two seconds' worth; the rest waits.",
        proxy_alone=True,
    ),
    Declaration(
        "trusted_proxies",
        "FPROXY_TRUSTED_PROXIES",
        Networks(),
        CLIENTS,
        "Addresses and networks of the reverse proxies whose word about their clients' addresses is taken: "
        "X-Forwarded-For, and the PROXY protocol (1 and 2).",
        proxy_alone=True,
    ),
    Declaration(
        "allowed_origins",
        "FPROXY_ALLOWED_ORIGINS",
        Origins(),
        CLIENTS,
        "Origins of the web pages that may connect, such as https://desk.example, and no others; * for all. Unset: "
        "all, but where any key will do only pages of this machine.",
        proxy_alone=True,
    ),
    Declaration(
        "close_code",
        "FPROXY_CLOSE_CODE",
        CloseCode(),
        CLIENTS,
        "Close code for clients when the program stops: 1012 (service restart) has the official clients come "
        "back, 1001 (going away) has the Python one end.",
    ),
    Declaration(
        "drain",
        "FPROXY_DRAIN",
        Seconds(zero="to let all go at once", most=MAX_DRAIN),
        CLIENTS,
        "Seconds over which clients are let go when the program stops; a second signal cuts it short.",
        proxy_alone=True,
    ),
    Declaration(
        "ping_interval",
        "FPROXY_PING_INTERVAL",
        Seconds(zero="never to ping"),
        CLIENTS,
        "Seconds between pings to a client.",
    ),
    Declaration(
        "ping_timeout",
        "FPROXY_PING_TIMEOUT",
        Seconds(),
        CLIENTS,
        "Seconds without an answer to a ping after which a client counts as gone.",
    ),
)
"""What every role that serves clients has."""
