"""The settings of one role or another."""

from typing import Final

from fproxy.face.settings.address_kinds import WebSocketUrl
from fproxy.face.settings.commands import AGGREGATOR, CHAINS, FIREHOSE, HISTORY, MARKETS, PROXY, ROLES
from fproxy.face.settings.declaration import Declaration
from fproxy.face.settings.kinds import ByteSize, FolderPath, Number, OnOff, Port, Seconds, WholeNumber
from fproxy.face.settings.market_kinds import EventTypes, Feed, Markets

_PORT_HELP: Final = "Port to listen on."

ROLE_SETTINGS: Final = (
    Declaration("port", "FILTERED_PROXY_PORT", Port(), ("proxy", "stack", "demo"), _PORT_HELP),
    Declaration("port", "FPROXY_FIREHOSE_PORT", Port(), ("firehose",), _PORT_HELP, key="firehose-port"),
    Declaration("port", "FPROXY_AGGREGATOR_PORT", Port(), ("aggregator",), _PORT_HELP, key="aggregator-port"),
    Declaration("port", "FPROXY_SIMULATOR_PORT", Port(), ("sim",), _PORT_HELP, key="simulator-port"),
    Declaration(
        "markets",
        "FPROXY_MARKETS",
        Markets(),
        MARKETS,
        "Markets to serve, each on the vendor's path (/options); the first on / too.",
    ),
    Declaration(
        "workers",
        "FPROXY_WORKERS",
        WholeNumber(1, 256),
        PROXY,
        "Processes that share the port and its clients, each with upstream connections of its own, so never with "
        "the vendor as upstream. --max-clients is for each; the admin pages tell of all. "
        "Linux.",
        default=1,
    ),
    Declaration(
        "take_over",
        "FPROXY_TAKE_OVER",
        OnOff(),
        ("proxy", "firehose", "aggregator", "sim", "stack", "demo"),
        "Take over from the filtered proxy that serves the port now, without a gap; with none there, start as usual. "
        "Not for the other roles, a stack, the demo or --workers. Linux.",
        default=False,
        switch=True,
        in_files=False,
    ),
    Declaration(
        "take_over_dir",
        "FPROXY_TAKE_OVER_DIR",
        FolderPath(),
        ("proxy",),
        "Directory, of this user alone, in which the next proxy finds this one to take over from it; unset: fproxy in "
        "XDG_RUNTIME_DIR, or fproxy-UID in the directory for temporary files.",
    ),
    Declaration(
        "take_over_timeout",
        "FPROXY_TAKE_OVER_TIMEOUT",
        Seconds(),
        ("proxy",),
        "Seconds that the next proxy may take to become ready; after them the one that serves goes on serving.",
        default=30.0,
    ),
    Declaration(
        "firehose_port",
        "FPROXY_FIREHOSE_PORT",
        Port(),
        CHAINS,
        "Port of the firehose, for this machine.",
        default=ROLES["firehose"].server.port,
    ),
    Declaration(
        "aggregator_port",
        "FPROXY_AGGREGATOR_PORT",
        Port(),
        CHAINS,
        "Port of the ms-aggregator, for this machine.",
        default=ROLES["aggregator"].server.port,
    ),
    Declaration(
        "simulator_port",
        "FPROXY_SIMULATOR_PORT",
        Port(),
        ("demo",),
        "Port of the simulated market, for this machine.",
        default=ROLES["sim"].server.port,
    ),
    Declaration(
        "firehose_url",
        "FIREHOSE_URL",
        WebSocketUrl(),
        ("proxy", "aggregator"),
        "Where trades, quotes and the rest come from.",
        per_market=True,
    ),
    Declaration(
        "aggregator_url",
        "MS_AGGREGATOR_URL",
        WebSocketUrl(),
        ("proxy",),
        "Where bars come from: of minutes, seconds and milliseconds.",
        flag="--ms-aggregator-url",
        per_market=True,
    ),
    Declaration(
        "vendor_url",
        "POLYGON_WS_URL",
        WebSocketUrl(),
        FIREHOSE,
        "The vendor's WebSocket of stocks, from which those of the other markets follow.",
        flag="--polygon-ws-url",
        per_market=True,
    ),
    Declaration(
        "feed",
        "FPROXY_FEED",
        Feed(),
        FIREHOSE,
        "Feed of the vendor's that the account has, such as realtime, delayed or business, in place of a URL.",
    ),
    Declaration(
        "data_types",
        "SUBSCRIBE_DATA_TYPES",
        EventTypes(),
        FIREHOSE,
        "Event types to subscribe to, each for all symbols; of other markets than stocks, unset: all that * means.",
        flag="--subscribe-data-types",
        per_market=True,
    ),
    Declaration(
        "on_demand",
        "FPROXY_ON_DEMAND",
        OnOff(),
        FIREHOSE,
        "Subscribe to what clients ask for instead.",
        switch=True,
        negatable=True,
        per_market=True,
    ),
    Declaration(
        "bar_delay_ms",
        "BAR_DELAY_MS",
        Number(zero="not to wait", most=60_000),
        AGGREGATOR,
        "Milliseconds a bar waits for late trades after its window has closed.",
    ),
    Declaration(
        "all_trades",
        "FPROXY_ALL_TRADES",
        OnOff(),
        AGGREGATOR,
        "Count every trade in bars, whatever its conditions.",
        switch=True,
        negatable=True,
    ),
    Declaration(
        "max_bar_windows",
        "FPROXY_MAX_BAR_WINDOWS",
        WholeNumber(1, 10**9),
        AGGREGATOR,
        "Bars of a market that may be under construction at once, some 200 bytes each; for those beyond, trades count "
        "as missed.",
    ),
    Declaration(
        "max_bar_wildcards",
        "FPROXY_MAX_BAR_WILDCARDS",
        WholeNumber(0, 64),
        PROXY,
        "Intervals at which one client may have the millisecond bars of all symbols.",
        proxy_alone=True,
    ),
    Declaration(
        "coalesce_ms",
        "FPROXY_COALESCE_MS",
        Number(zero="not to wait", most=1000),
        PROXY,
        "Milliseconds events may wait to share a message with others.",
    ),
    Declaration(
        "gap_notices",
        "FPROXY_GAP_NOTICES",
        OnOff(),
        PROXY,
        "Tell clients when a stream that concerns them is interrupted, and when it is whole again.",
    ),
    Declaration(
        "history",
        "FPROXY_HISTORY",
        Seconds(zero="to keep nothing"),
        HISTORY,
        "Seconds for which messages are kept, for clients that ask for what has passed.",
    ),
    Declaration(
        "history_bytes",
        "FPROXY_HISTORY_BYTES",
        ByteSize(0),
        HISTORY,
        "The most memory that they may take for each market; 0 to keep nothing. An aggregator keeps trades besides, "
        "for bars asked for later, which may take as much again, or 40 MiB where that is more.",
    ),
    Declaration(
        "resume",
        "FPROXY_RESUME",
        OnOff(),
        PROXY,
        "Bring clients that connect and subscribe again with the same key what they missed, as far as the history "
        "goes: every event at least once. Upstream subscriptions then outlive their clients as long as the history.",
    ),
    Declaration(
        "resume_overlap",
        "FPROXY_RESUME_OVERLAP",
        Seconds(zero="for none"),
        PROXY,
        "Seconds before the end of the last connection with which that begins; earlier where bytes were unsent.",
    ),
    Declaration(
        "snapshot",
        "FPROXY_SNAPSHOT",
        OnOff(),
        PROXY,
        "Send the last event of each topic also to clients that subscribe without asking for it.",
    ),
    Declaration(
        "snapshot_bytes",
        "FPROXY_SNAPSHOT_BYTES",
        ByteSize(0),
        PROXY,
        "The most memory that the last events of topics may take, for each market; 0 to keep none. What was updated "
        "longest ago makes room.",
    ),
)
"""Where each role listens, what it connects to, and what it does."""
