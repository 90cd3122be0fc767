"""The settings of each role: its flags, environment variables and defaults, in the order of ``--help``."""

from typing import Final

import click

from fproxy.face.option_types import (
    ByteSize,
    CloseCode,
    EventTypes,
    Host,
    Number,
    Port,
    Seconds,
    Secret,
    SecretList,
    WebSocketUrl,
    WholeNumber,
    size_text,
)
from fproxy.face.settings import Decorator, general_options, setting, together
from fproxy.roles.settings import (
    AggregatorSettings,
    FilteredProxySettings,
    FirehoseSettings,
    HistorySettings,
    ServerSettings,
)
from fproxy.roles.simulator_settings import MAX_RATE, SimulatorSettings
from fproxy.shell.upstream_options import UpstreamOptions

_UPSTREAM: Final = UpstreamOptions()
_SERVER: Final = ServerSettings()
_LIMITS: Final = _SERVER.limits
_FILTERED_PROXY: Final = FilteredProxySettings()
_FIREHOSE: Final = FirehoseSettings()
_HISTORY: Final = HistorySettings()
_AGGREGATOR: Final = AggregatorSettings()
_SIMULATOR: Final = SimulatorSettings()

MAX_DRAIN: Final = 3600.0
"""The longest time that may be asked for to let clients go, in seconds."""

stop_at_eof_option: Final = setting(
    "--stop-at-eof",
    envvar="FPROXY_STOP_AT_EOF",
    is_flag=True,
    default=False,
    show_default=False,
    help="Stop at the end of standard input too, for a program that runs this one as its child.",
)

polygon_api_key_option: Final = setting(
    "--polygon-api-key",
    envvar="POLYGON_API_KEY",
    type=Secret(),
    help="Key to authenticate upstream with. Better not as a flag: others on this machine can read those.",
)

firehose_url_option: Final = setting(
    "--firehose-url",
    envvar="FIREHOSE_URL",
    type=WebSocketUrl(),
    default=_FILTERED_PROXY.firehose_url,
    help="Where trades, quotes and the rest come from.",
)

linger_option: Final = setting(
    "--unsubscribe-linger",
    envvar="FPROXY_UNSUBSCRIBE_LINGER",
    type=Seconds(zero="to unsubscribe at once"),
    default=f"{_FILTERED_PROXY.unsubscribe_linger:g}",
    help="Seconds an upstream subscription outlives the last client that wanted it.",
)

server_options: Final = together(
    setting(
        "--host",
        envvar="FPROXY_HOST",
        type=Host(),
        default=_SERVER.host,
        help="Address to listen on; 0.0.0.0 for every IPv4 address of the machine.",
    ),
    setting(
        "--client-keys",
        envvar="FPROXY_CLIENT_KEYS",
        type=SecretList(),
        help="Keys that clients may authenticate with, separated by commas; unset: POLYGON_API_KEY is the "
        "one key; *: any key, on a loopback address only. Better not as a flag.",
    ),
    setting(
        "--auth-timeout",
        envvar="FPROXY_AUTH_TIMEOUT",
        type=Seconds(),
        default=f"{_LIMITS.auth_timeout:g}",
        help="Seconds a client may take to authenticate.",
    ),
    setting(
        "--max-unsent-bytes",
        envvar="FPROXY_MAX_UNSENT_BYTES",
        type=ByteSize(64 * 1024),
        default=size_text(_LIMITS.max_unsent_bytes),
        help="A client with more than this waiting to be sent is disconnected as a slow consumer.",
    ),
    setting(
        "--max-control-bytes",
        envvar="FPROXY_MAX_CONTROL_BYTES",
        type=ByteSize(1024, 64 * 1024**2),
        default=size_text(_LIMITS.max_control_bytes),
        help="Largest message accepted from a client.",
    ),
    setting(
        "--max-topics",
        envvar="FPROXY_MAX_TOPICS",
        type=WholeNumber(1, 10**7),
        default=_LIMITS.max_topics,
        help="Topics that one client may have at once.",
    ),
    setting(
        "--max-clients",
        envvar="FPROXY_MAX_CLIENTS",
        type=WholeNumber(1, 10**6),
        help="Connections to keep at once; unset: as many as the process may open files.",
    ),
    setting(
        "--close-code",
        envvar="FPROXY_CLOSE_CODE",
        type=CloseCode(),
        default=str(_SERVER.close_code),
        help="Close code for clients when the program stops: 1012 (service restart) has the official clients come "
        "back, 1001 (going away) has the Python one end.",
    ),
    setting(
        "--drain",
        envvar="FPROXY_DRAIN",
        type=Seconds(zero="to let all go at once", most=MAX_DRAIN),
        default=f"{_SERVER.drain:g}",
        help="Seconds over which clients are let go when the program stops; a second signal cuts it short.",
    ),
    setting(
        "--metrics-port",
        envvar="FPROXY_METRICS_PORT",
        type=Port(),
        help="Serve Prometheus metrics on this port; unset: do not.",
    ),
    setting(
        "--metrics-host",
        envvar="FPROXY_METRICS_HOST",
        type=Host(),
        default="127.0.0.1",
        help="Address to serve metrics on.",
    ),
)

ping_options: Final = together(
    setting(
        "--ping-interval",
        envvar="FPROXY_PING_INTERVAL",
        type=Seconds(zero="never to ping"),
        default=f"{_LIMITS.ping_interval:g}",
        help="Seconds between pings to a client.",
    ),
    setting(
        "--ping-timeout",
        envvar="FPROXY_PING_TIMEOUT",
        type=Seconds(),
        default=f"{_LIMITS.ping_timeout:g}",
        help="Seconds without an answer to a ping after which a client counts as gone.",
    ),
)

upstream_options: Final = together(
    setting(
        "--connect-timeout",
        envvar="FPROXY_CONNECT_TIMEOUT",
        type=Seconds(),
        default=f"{_UPSTREAM.connect_timeout:g}",
        help="Seconds connecting to an upstream may take.",
    ),
    setting(
        "--auth-wait",
        envvar="FPROXY_AUTH_WAIT",
        type=Seconds(),
        default=f"{_UPSTREAM.auth_wait:g}",
        help="Seconds to wait for an upstream's answer to auth, and to the first requests, before going on without.",
    ),
    setting(
        "--upstream-silence",
        "silence",
        envvar="FPROXY_UPSTREAM_SILENCE",
        type=Seconds(zero="to wait for ever"),
        default=f"{_UPSTREAM.silence:g}",
        help="Seconds in which an upstream may send nothing, not even the answer to a ping, before it counts as gone.",
    ),
    setting(
        "--peer-reconnect-min",
        envvar="FPROXY_PEER_RECONNECT_MIN",
        type=Seconds(),
        default=f"{_UPSTREAM.peer_reconnect_min:g}",
        help="As --reconnect-min, for an upstream that is a role of fproxy.",
    ),
    setting(
        "--reconnect-min",
        envvar="FPROXY_RECONNECT_MIN",
        type=Seconds(),
        default=f"{_UPSTREAM.reconnect_min:g}",
        help="Seconds before the first new attempt to connect to an upstream; doubles with every failure.",
    ),
    setting(
        "--reconnect-max",
        envvar="FPROXY_RECONNECT_MAX",
        type=Seconds(),
        default=f"{_UPSTREAM.reconnect_max:g}",
        help="Longest such delay.",
    ),
    setting(
        "--refused-delay",
        envvar="FPROXY_REFUSED_DELAY",
        type=Seconds(),
        default=f"{_UPSTREAM.refused_delay:g}",
        help="Least delay after an upstream refused the key or had too many connections.",
    ),
    setting(
        "--max-message-size",
        envvar="FPROXY_MAX_MESSAGE_SIZE",
        type=ByteSize(64 * 1024, 2**30),
        default=size_text(_UPSTREAM.max_message_size),
        help="Largest message accepted from an upstream.",
    ),
)


def port_option(envvar: str, default: int) -> Decorator:
    """Return the setting of the port that a role listens on."""
    return setting("--port", envvar=envvar, type=Port(), default=default, help="Port to listen on.")


coalesce_option: Final = setting(
    "--coalesce-ms",
    envvar="FPROXY_COALESCE_MS",
    type=Number(zero="not to wait", most=1000),
    default=f"{_FILTERED_PROXY.coalesce_ms:g}",
    help="Milliseconds events may wait to share a message with others.",
)

history_options: Final = together(
    setting(
        "--history",
        envvar="FPROXY_HISTORY",
        type=Seconds(zero="to keep nothing"),
        default=f"{_HISTORY.history:g}",
        help="Seconds for which upstream messages are kept, for clients that ask for what has passed.",
    ),
    setting(
        "--history-bytes",
        envvar="FPROXY_HISTORY_BYTES",
        type=ByteSize(0, 2**40),
        default=size_text(_HISTORY.history_bytes),
        help="The most memory that they may take; 0 to keep nothing.",
    ),
)

gap_notices_option: Final = setting(
    "--gap-notices",
    envvar="FPROXY_GAP_NOTICES",
    type=click.BOOL,
    metavar="on|off",
    default="on",
    help="Tell clients when a stream that concerns them is interrupted, and when it is whole again.",
)

resume_options: Final = together(
    setting(
        "--resume",
        envvar="FPROXY_RESUME",
        type=click.BOOL,
        metavar="on|off",
        default="off",
        help="Bring clients that connect and subscribe again with the same key what they missed, as far as the history "
        "goes: every event at least once. Upstream subscriptions then outlive their clients as long as the history.",
    ),
    setting(
        "--resume-overlap",
        envvar="FPROXY_RESUME_OVERLAP",
        type=Seconds(zero="for none"),
        default=f"{_FILTERED_PROXY.resume_overlap:g}",
        help="Seconds before the end of the last connection with which that begins; earlier where bytes were unsent.",
    ),
)

workers_option: Final = setting(
    "--workers",
    envvar="FPROXY_WORKERS",
    type=WholeNumber(1, 256),
    default=1,
    help="Processes that share the port and its clients, each with upstream connections of its own, so never with "
    "the vendor as upstream. --max-clients is for each; metrics are on --metrics-port and the ports after it. Linux.",
)

filtered_proxy_options: Final = together(
    port_option("FILTERED_PROXY_PORT", _FILTERED_PROXY.server.port),
    workers_option,
    firehose_url_option,
    setting(
        "--ms-aggregator-url",
        "aggregator_url",
        envvar="MS_AGGREGATOR_URL",
        type=WebSocketUrl(),
        default=_FILTERED_PROXY.aggregator_url,
        help="Where bars come from: of minutes, seconds and milliseconds.",
    ),
    polygon_api_key_option,
    server_options,
    linger_option,
    coalesce_option,
    gap_notices_option,
    history_options,
    resume_options,
    ping_options,
    upstream_options,
    stop_at_eof_option,
    general_options,
)

vendor_options: Final = together(
    setting(
        "--polygon-ws-url",
        "vendor_url",
        envvar="POLYGON_WS_URL",
        type=WebSocketUrl(),
        default=_FIREHOSE.vendor_url,
        help="The vendor's WebSocket of one market.",
    ),
    setting(
        "--subscribe-data-types",
        "data_types",
        envvar="SUBSCRIBE_DATA_TYPES",
        type=EventTypes(),
        default=",".join(_FIREHOSE.data_types),
        help="Event types to subscribe to, each for all symbols.",
    ),
    setting(
        "--on-demand/--no-on-demand",
        envvar="FPROXY_ON_DEMAND",
        default=_FIREHOSE.on_demand,
        help="Subscribe to what clients ask for instead.",
    ),
)

firehose_options: Final = together(
    port_option("FPROXY_FIREHOSE_PORT", _FIREHOSE.server.port),
    vendor_options,
    polygon_api_key_option,
    linger_option,
    history_options,
    server_options,
    ping_options,
    upstream_options,
    stop_at_eof_option,
    general_options,
)

bar_options: Final = together(
    setting(
        "--bar-delay-ms",
        envvar="BAR_DELAY_MS",
        type=Number(zero="not to wait", most=60_000),
        default=f"{_AGGREGATOR.bar_delay_ms:g}",
        help="Milliseconds a bar waits for late trades after its window has closed.",
    ),
    setting(
        "--all-trades/--no-all-trades",
        envvar="FPROXY_ALL_TRADES",
        default=_AGGREGATOR.all_trades,
        help="Count every trade in bars, whatever its conditions.",
    ),
)

aggregator_options: Final = together(
    port_option("FPROXY_AGGREGATOR_PORT", _AGGREGATOR.server.port),
    firehose_url_option,
    polygon_api_key_option,
    bar_options,
    linger_option,
    server_options,
    ping_options,
    upstream_options,
    stop_at_eof_option,
    general_options,
)


simulation_options: Final = together(
    setting(
        "--rate",
        envvar="FPROXY_SIMULATOR_RATE",
        type=Number(zero="for as many as clients read", most=MAX_RATE),
        default=f"{_SIMULATOR.rate:g}",
        help="Trades, quotes and other events a second, in all; bars come on top.",
    ),
    setting(
        "--symbols",
        envvar="FPROXY_SIMULATOR_SYMBOLS",
        type=WholeNumber(1, _SIMULATOR.symbols),
        default=_SIMULATOR.symbols,
        help="How many instruments, the most active first.",
    ),
    setting(
        "--seed",
        envvar="FPROXY_SIMULATOR_SEED",
        type=WholeNumber(0, 2**63 - 1),
        default=_SIMULATOR.seed,
        help="Of the random walk: the same seed gives the same one.",
    ),
)

simulator_options: Final = together(
    port_option("FPROXY_SIMULATOR_PORT", _SIMULATOR.server.port),
    simulation_options,
    setting(
        "--max-connections",
        envvar="FPROXY_SIMULATOR_MAX_CONNECTIONS",
        type=WholeNumber(0, 10**6, " (0: any number)"),
        default=_SIMULATOR.max_connections,
        help="Connections that one key may have; one more costs it the oldest, as with the vendor.",
    ),
    server_options,
    ping_options,
    stop_at_eof_option,
    general_options,
)


def _chain_port(flag: str, envvar: str, default: int, whose: str) -> Decorator:
    return setting(
        flag, envvar=envvar, type=Port(), default=default, help=f"Port of the {whose}, for this machine."
    )


chain_port_options: Final = together(
    _chain_port("--firehose-port", "FPROXY_FIREHOSE_PORT", _FIREHOSE.server.port, "firehose"),
    _chain_port("--aggregator-port", "FPROXY_AGGREGATOR_PORT", _AGGREGATOR.server.port, "ms-aggregator"),
)

stack_options: Final = together(
    port_option("FILTERED_PROXY_PORT", _FILTERED_PROXY.server.port),
    workers_option,
    chain_port_options,
    vendor_options,
    polygon_api_key_option,
    bar_options,
    server_options,
    linger_option,
    coalesce_option,
    gap_notices_option,
    history_options,
    resume_options,
    ping_options,
    upstream_options,
    general_options,
)

demo_options: Final = together(
    port_option("FILTERED_PROXY_PORT", _FILTERED_PROXY.server.port),
    chain_port_options,
    _chain_port("--simulator-port", "FPROXY_SIMULATOR_PORT", _SIMULATOR.server.port, "simulated market"),
    simulation_options,
    general_options,
)
