"""Every setting: its flag, its environment variable, its default; and the settings of a role made of them.

A setting is looked for as a flag, then as an environment variable, then as a line of the ``.env`` file; else
its default counts. An environment variable that is set but empty counts as unset, and hides the line in
``.env``.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from fproxy.face.environment import EnvFileError, EnvLine, read_env_file, unknown_setting_warnings
from fproxy.face.option_types import (
    ByteSize,
    EventTypes,
    Host,
    LogLevel,
    Number,
    Port,
    Seconds,
    Secret,
    SecretList,
    WebSocketUrl,
    WholeNumber,
    size_text,
)
from fproxy.roles.settings import (
    ANY_KEY,
    AggregatorSettings,
    FilteredProxySettings,
    FirehoseSettings,
    OpenServerError,
    ServerSettings,
    UpstreamSettings,
    client_keys_for,
)
from fproxy.roles.simulator_settings import MAX_RATE, SimulatorSettings
from fproxy.shell.client_limits import ClientLimits

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Values = Mapping[str, Any]
S = TypeVar("S", ServerSettings, ClientLimits, UpstreamSettings)

_ENV_LINES: Final = "fproxy.env_lines"
"""Where a context keeps the lines of its ``.env`` file."""

_FLAGS: Final = "fproxy.flags"
"""Where a context keeps the settings that were given as flags."""


class Setting(click.Option):
    """An option that can also be given in the environment and in ``.env``, and says which if it is wrong."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs = {"show_envvar": True, "show_default": kwargs.get("default") is not None} | kwargs
        super().__init__(*args, **kwargs)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return where the value at fault was given: the flag, the variable, or the line of ``.env``."""
        source = ctx.get_parameter_source(self.name) if ctx is not None and self.name else None
        if source is ParameterSource.ENVIRONMENT:
            return f"{self.envvar} in the environment"
        if source is ParameterSource.DEFAULT_MAP and ctx is not None:
            return f"{self.envvar} in {env_lines(ctx)[str(self.envvar)].place}"
        return f"'{self.opts[0]}'"

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the value parsed, and keep the text of one given as a flag."""
        if self.name and ctx.get_parameter_source(self.name) is ParameterSource.COMMANDLINE:
            text = str(int(value)) if isinstance(value, bool) else str(value)
            ctx.meta.setdefault(_FLAGS, {})[str(self.envvar)] = text
        return super().process_value(ctx, value)


def given_flags(ctx: click.Context) -> dict[str, str]:
    """Return the settings given as flags, each as the environment variable that says the same."""
    flags: dict[str, str] = ctx.meta.get(_FLAGS, {})
    return dict(flags)


def setting(*flags: str, **attributes: Any) -> Decorator:
    """Return a decorator that gives a command one setting; ``attributes`` are those of ``click.option``."""
    return click.option(*flags, cls=Setting, **attributes)


def together(*decorators: Decorator) -> Decorator:
    """Return one decorator that applies ``decorators`` so that their options are listed in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def env_lines(ctx: click.Context) -> dict[str, EnvLine]:
    """Return the settings read from the context's ``.env`` file, by name."""
    lines: dict[str, EnvLine] = ctx.meta.get(_ENV_LINES, {})
    return lines


def _use_env_file(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Read the ``.env`` file before any other option looks for its value."""
    path = Path(value)
    if ctx.get_parameter_source("env_file") is ParameterSource.DEFAULT and not path.exists():
        return value
    try:
        lines = read_env_file(path)
    except EnvFileError as error:
        raise click.UsageError(str(error), ctx) from error
    ctx.meta[_ENV_LINES] = lines
    ctx.default_map = {
        option.name: lines[str(option.envvar)].value
        for option in ctx.command.params
        if isinstance(option, Setting)
        and option.name
        and option.envvar not in os.environ
        and lines.get(str(option.envvar), EnvLine("", "")).value
    }
    return value


def unknown_settings(ctx: click.Context, known: set[str]) -> list[str]:
    """Return a sentence about each ``FPROXY_*`` name in the environment or ``.env`` that is not ``known``."""
    return unknown_setting_warnings(os.environ, env_lines(ctx), known)


stop_at_eof_option: Final = setting(
    "--stop-at-eof",
    envvar="FPROXY_STOP_AT_EOF",
    is_flag=True,
    default=False,
    show_default=False,
    help="Stop at the end of standard input too, for a program that runs this one as its child.",
)

general_options: Final = together(
    setting(
        "--log-level",
        envvar="LOG_LEVEL",
        type=LogLevel(),
        default="info",
        help="debug, info, warning or error.",
    ),
    setting(
        "--env-file",
        envvar="FPROXY_ENV_FILE",
        type=click.Path(dir_okay=False),
        default=".env",
        is_eager=True,
        callback=_use_env_file,
        help="File with a NAME=value line for each setting.",
    ),
)

_UPSTREAM: Final = UpstreamSettings()
_SERVER: Final = ServerSettings()
_LIMITS: Final = _SERVER.limits
_FILTERED_PROXY: Final = FilteredProxySettings()
_FIREHOSE: Final = FirehoseSettings()
_AGGREGATOR: Final = AggregatorSettings()
_SIMULATOR: Final = SimulatorSettings()

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
        "--max-clients",
        envvar="FPROXY_MAX_CLIENTS",
        type=WholeNumber(1, 10**6),
        help="Connections to keep at once; unset: as many as the process may open files.",
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
        help="Seconds between pings, to clients and upstreams.",
    ),
    setting(
        "--ping-timeout",
        envvar="FPROXY_PING_TIMEOUT",
        type=Seconds(),
        default=f"{_LIMITS.ping_timeout:g}",
        help="Seconds without an answer to a ping after which a connection counts as dead.",
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
        help="Seconds to wait for an upstream's answer to auth before going on without one.",
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
)


def port_option(envvar: str, default: int) -> Decorator:
    """Return the setting of the port that a role listens on."""
    return setting("--port", envvar=envvar, type=Port(), default=default, help="Port to listen on.")


filtered_proxy_options: Final = together(
    port_option("FILTERED_PROXY_PORT", _FILTERED_PROXY.server.port),
    firehose_url_option,
    setting(
        "--ms-aggregator-url",
        "aggregator_url",
        envvar="MS_AGGREGATOR_URL",
        type=WebSocketUrl(),
        default=_FILTERED_PROXY.aggregator_url,
        help="Where bars come from: A, AM and <N>Ms.",
    ),
    polygon_api_key_option,
    server_options,
    linger_option,
    setting(
        "--coalesce-ms",
        envvar="FPROXY_COALESCE_MS",
        type=Number(zero="not to wait", most=1000),
        default=f"{_FILTERED_PROXY.coalesce_ms:g}",
        help="Milliseconds events may wait to share a message with others.",
    ),
    ping_options,
    upstream_options,
    stop_at_eof_option,
    general_options,
)

firehose_options: Final = together(
    port_option("FPROXY_FIREHOSE_PORT", _FIREHOSE.server.port),
    setting(
        "--polygon-ws-url",
        "vendor_url",
        envvar="POLYGON_WS_URL",
        type=WebSocketUrl(),
        default=_FIREHOSE.vendor_url,
        help="The vendor's WebSocket of one market.",
    ),
    polygon_api_key_option,
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
    linger_option,
    server_options,
    ping_options,
    upstream_options,
    stop_at_eof_option,
    general_options,
)

aggregator_options: Final = together(
    port_option("FPROXY_AGGREGATOR_PORT", _AGGREGATOR.server.port),
    firehose_url_option,
    polygon_api_key_option,
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


def _part(kind: type[S], values: Values, **replaced: Any) -> S:
    """Return the settings of one part of a role from those values of the command line that have its names."""
    names = {attribute.name for attribute in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in names} | replaced)


def _common(values: Values) -> dict[str, Any]:
    """Return the settings that every role has.

    Raises:
        click.UsageError: the server would accept any key from other machines.
    """
    api_key = values["polygon_api_key"] or ""
    try:
        keys = client_keys_for(values["host"], values["client_keys"] or (), api_key)
    except OpenServerError as error:
        raise click.UsageError(str(error)) from error
    return {
        "server": _part(ServerSettings, values, client_keys=keys, limits=_part(ClientLimits, values)),
        "upstream": _part(UpstreamSettings, values),
        "polygon_api_key": api_key,
        "unsubscribe_linger": values["unsubscribe_linger"],
    }


def filtered_proxy_settings(values: Values) -> FilteredProxySettings:
    """Return the filtered proxy's settings from the values of ``filtered_proxy_options``.

    Raises:
        click.UsageError: the settings do not go together.
    """
    return FilteredProxySettings(
        firehose_url=values["firehose_url"],
        aggregator_url=values["aggregator_url"],
        coalesce_ms=values["coalesce_ms"],
        **_common(values),
    )


def firehose_settings(values: Values) -> FirehoseSettings:
    """Return the firehose's settings from the values of ``firehose_options``.

    Raises:
        click.UsageError: the settings do not go together.
    """
    return FirehoseSettings(
        vendor_url=values["vendor_url"],
        data_types=values["data_types"],
        on_demand=values["on_demand"],
        **_common(values),
    )


def aggregator_settings(values: Values) -> AggregatorSettings:
    """Return the ms-aggregator's settings from the values of ``aggregator_options``.

    Raises:
        click.UsageError: the settings do not go together.
    """
    return AggregatorSettings(
        firehose_url=values["firehose_url"],
        bar_delay_ms=values["bar_delay_ms"],
        all_trades=values["all_trades"],
        **_common(values),
    )


def simulator_settings(values: Values) -> SimulatorSettings:
    """Return the market simulator's settings from the values of ``simulator_options``.

    It accepts any key wherever it listens, unless ``--client-keys`` names some: it has nothing to protect.
    """
    keys = values["client_keys"] or ()
    return SimulatorSettings(
        server=_part(
            ServerSettings,
            values,
            client_keys=() if keys == (ANY_KEY,) else keys,
            limits=_part(ClientLimits, values),
        ),
        rate=values["rate"],
        seed=values["seed"],
        symbols=values["symbols"],
        max_connections=values["max_connections"],
    )
