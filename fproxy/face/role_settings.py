"""The settings of each role, made of the values that a command line gave its options."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import click

from fproxy.roles.settings import (
    ANY_KEY,
    AggregatorSettings,
    FilteredProxySettings,
    FirehoseSettings,
    HistorySettings,
    OpenServerError,
    ServerSettings,
    client_keys_for,
)
from fproxy.roles.simulator_settings import SimulatorSettings
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.upstream_options import UpstreamOptions

Values = Mapping[str, Any]
S = TypeVar("S", ServerSettings, ClientLimits, UpstreamOptions, HistorySettings)


def _part(kind: type[S], values: Values, **replaced: Any) -> S:
    """Return the settings of one part of a role from those values of the command line that have its names."""
    names = {attribute.name for attribute in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in names} | replaced)


def server_settings(values: Values) -> ServerSettings:
    """Return the settings of a server for clients from the values of ``server_options``.

    Raises:
        click.UsageError: the server would accept any key from other machines, or listen where its metrics are served.
    """
    if values["port"] and values["port"] == values.get("metrics_port"):
        raise click.UsageError(
            f"port {values['port']} is both for clients and for metrics (FPROXY_METRICS_PORT)"
        )
    try:
        keys = client_keys_for(values["host"], values["client_keys"] or (), values["polygon_api_key"] or "")
    except OpenServerError as error:
        raise click.UsageError(str(error)) from error
    return _part(ServerSettings, values, client_keys=keys, limits=_part(ClientLimits, values))


def _common(values: Values) -> dict[str, Any]:
    """Return the settings that every role with an upstream has.

    Raises:
        click.UsageError: the settings do not go together.
    """
    if values["reconnect_min"] > values["reconnect_max"]:
        raise click.UsageError(
            f"the first delay before connecting again, {values['reconnect_min']:g} s (FPROXY_RECONNECT_MIN), is "
            f"more than the longest, {values['reconnect_max']:g} s (FPROXY_RECONNECT_MAX)"
        )
    return {
        "server": server_settings(values),
        "upstream": _part(UpstreamOptions, values),
        "polygon_api_key": values["polygon_api_key"] or "",
        "unsubscribe_linger": values["unsubscribe_linger"],
    }


def filtered_proxy_settings(values: Values) -> FilteredProxySettings:
    """Return the filtered proxy's settings from the values of ``filtered_proxy_options``.

    Raises:
        click.UsageError: the settings do not go together.
    """
    history = _part(HistorySettings, values)
    if values["resume"] and not history.keeps_anything:
        raise click.UsageError(
            "--resume (FPROXY_RESUME) needs a history (FPROXY_HISTORY, FPROXY_HISTORY_BYTES)"
        )
    return FilteredProxySettings(
        firehose_url=values["firehose_url"],
        aggregator_url=values["aggregator_url"],
        coalesce_ms=values["coalesce_ms"],
        gap_notices=values["gap_notices"],
        resume=values["resume"],
        resume_overlap=values["resume_overlap"],
        history=history,
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
        history=_part(HistorySettings, values),
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
