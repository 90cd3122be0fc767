"""The settings of the simulated market, of the terminal client, and of every program."""

from typing import Final

from fproxy.face.settings.address_kinds import Host, HttpUrl, WebSocketUrl
from fproxy.face.settings.commands import ALL, ROLES, SERVERS, SIMULATION
from fproxy.face.settings.declaration import Declaration
from fproxy.face.settings.kinds import FilePath, LogFormat, LogLevel, Number, OnOff, Port, Secret, WholeNumber
from fproxy.face.settings.market_kinds import MarketName
from fproxy.roles.simulator_settings import MAX_RATE

ENV_FILE: Final = Declaration(
    "env_file",
    "FPROXY_ENV_FILE",
    FilePath(),
    ALL,
    "File with a NAME=value line for each setting.",
    default=".env",
    in_files=False,
)

CONFIG: Final = Declaration(
    "config",
    "FPROXY_CONFIG",
    FilePath(),
    ALL,
    "Configuration file in TOML, for what is too much for flags; unset: none.",
    in_files=False,
)

SIMULATION_SETTINGS: Final = (
    Declaration(
        "rate",
        "FPROXY_SIMULATOR_RATE",
        Number(zero="for as many as clients read", most=MAX_RATE),
        SIMULATION,
        "Trades, quotes and other events a second, in all; bars come on top.",
        key="simulator-rate",
    ),
    Declaration(
        "symbols",
        "FPROXY_SIMULATOR_SYMBOLS",
        WholeNumber(1, ROLES["sim"].symbols),
        SIMULATION,
        "How many instruments, the most active first.",
        key="simulator-symbols",
    ),
    Declaration(
        "seed",
        "FPROXY_SIMULATOR_SEED",
        WholeNumber(0, 2**63 - 1),
        SIMULATION,
        "Of the random walk: the same seed gives the same one.",
        key="simulator-seed",
    ),
    Declaration(
        "max_connections",
        "FPROXY_SIMULATOR_MAX_CONNECTIONS",
        WholeNumber(0, 10**6, " (0: any number)"),
        ("sim",),
        "Connections that one key may have; one more costs it the oldest, as with the vendor.",
        key="simulator-max-connections",
    ),
)
"""What the simulated market has."""

TAIL_SETTINGS: Final = (
    Declaration(
        "market",
        "FPROXY_MARKET",
        MarketName(),
        ("tail",),
        "Market to look at, on the server's path for it; unset: what the URL says.",
        key="tail-market",
    ),
    Declaration(
        "url",
        "FPROXY_URL",
        WebSocketUrl(),
        ("tail",),
        "The server, with the path of its market.",
        default=f"ws://localhost:{ROLES['proxy'].server.port}/stocks",
        key="tail-url",
    ),
    Declaration(
        "key",
        "FPROXY_KEY",
        Secret(),
        ("tail",),
        "Key to authenticate with; unset: the first of FPROXY_CLIENT_KEYS, or POLYGON_API_KEY, or demo.",
        key="tail-key",
    ),
)
"""What ``fproxy tail`` has."""

ADMIN_SETTINGS: Final = (
    Declaration(
        "admin_port",
        "FPROXY_ADMIN_PORT",
        Port(),
        ("proxy", "stack", "demo"),
        "Serve the admin pages on this port: a live page, health, metrics, clients; 0 for none.",
        default=8764,
    ),
    Declaration(
        "admin_port",
        "FPROXY_ADMIN_PORT",
        Port(),
        ("firehose", "aggregator", "sim"),
        "Serve the admin pages on this port: a live page, health, metrics, clients; 0 for none.",
        default=0,
    ),
    Declaration(
        "admin_host",
        "FPROXY_ADMIN_HOST",
        Host(),
        SERVERS,
        "Address to serve the admin pages on.",
        default="127.0.0.1",
    ),
    Declaration(
        "admin_socket",
        "FPROXY_ADMIN_SOCKET",
        FilePath(),
        ("proxy", "firehose", "aggregator", "sim"),
        "Unix socket to serve the admin pages on, too; unset: none.",
    ),
    Declaration(
        "admin_url",
        "FPROXY_ADMIN_URL",
        HttpUrl(),
        ("top",),
        "The admin pages to show.",
        flag="--url",
        default="http://127.0.0.1:8764",
    ),
)
"""What every program that serves has for those who operate it, and ``fproxy top``."""

GENERAL_SETTINGS: Final = (
    Declaration(
        "stop_at_eof",
        "FPROXY_STOP_AT_EOF",
        OnOff(),
        ("proxy", "firehose", "aggregator", "sim"),
        "Stop at the end of standard input too, for a program that runs this one as its child.",
        default=False,
        switch=True,
        in_files=False,
    ),
    Declaration("log_level", "LOG_LEVEL", LogLevel(), ALL, "debug, info, warning or error.", default="info"),
    Declaration(
        "log_format",
        "FPROXY_LOG_FORMAT",
        LogFormat(),
        ALL,
        "text: a time, the level and what happened; bare: without the time, for what adds its own; json: an object a "
        "line. To systemd's journal text goes without a time, with levels that it knows.",
        default="text",
    ),
    CONFIG,
    ENV_FILE,
)
"""What every command has."""
