"""The settings of each role, made of the values that a command line gave its options."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from fproxy.face.settings.declared import DECLARATIONS
from fproxy.face.settings.sources import market_values
from fproxy.roles.market_settings import MarketSettingsError, RoleSettings, settings_of_market
from fproxy.roles.settings import (
    ANY_KEY,
    AggregatorSettings,
    FilteredProxySettings,
    FirehoseSettings,
    OpenServerError,
    ServerSettings,
    client_keys_for,
    with_internal_key,
)
from fproxy.roles.simulator_settings import SimulatorSettings
from fproxy.shell.tls import ServerTls, TlsError, UpstreamTls

Values = Mapping[str, Any]
S = TypeVar("S")
R = TypeVar("R", bound=RoleSettings)


def filled(settings: S, values: Values) -> S:
    """Return a dataclass with each field, of its own or of a part of it, that has a value of its name.

    Args:
        settings: what to start with: it keeps what has no value, or None.
        values: the values by name.
    """
    changed = {}
    for field in fields(settings):  # type: ignore[arg-type]
        present = getattr(settings, field.name)
        if is_dataclass(present):
            changed[field.name] = filled(present, values)
        elif values.get(field.name) is not None:
            changed[field.name] = values[field.name]
    return replace(settings, **changed)  # type: ignore[type-var]


def server_settings(values: Values) -> ServerSettings:
    """Return the settings of a server for clients from a command's values.

    Raises:
        click.UsageError: the server would accept any key from other machines.
    """
    return filled(ServerSettings(), _checked_server(values))


def filtered_proxy_settings(values: Values) -> FilteredProxySettings:
    """Return the filtered proxy's settings from the values of ``fproxy``.

    Raises:
        click.UsageError: the settings do not go together.
    """
    settings = _sound(filled(FilteredProxySettings(), _checked(values)))
    if settings.resume and not settings.history.keeps_anything:
        raise click.UsageError(
            "--resume (FPROXY_RESUME) needs a history (FPROXY_HISTORY, FPROXY_HISTORY_BYTES)"
        )
    if settings.snapshot and not settings.snapshot_bytes:
        raise click.UsageError(
            "--snapshot (FPROXY_SNAPSHOT) needs memory for last events (FPROXY_SNAPSHOT_BYTES)"
        )
    return settings


def firehose_settings(values: Values) -> FirehoseSettings:
    """Return the firehose's settings from the values of ``fproxy firehose``.

    Raises:
        click.UsageError: the settings do not go together.
    """
    vendor_url_source = click.get_current_context().get_parameter_source("vendor_url")
    if values["feed"] and vendor_url_source is not ParameterSource.DEFAULT:
        raise click.UsageError(
            "--feed (FPROXY_FEED) and --polygon-ws-url (POLYGON_WS_URL) both say where the vendor is; set one of them"
        )
    return _sound(filled(FirehoseSettings(), _checked(values, serves_roles=True)))


def aggregator_settings(values: Values) -> AggregatorSettings:
    """Return the ms-aggregator's settings from the values of ``fproxy aggregator``.

    Raises:
        click.UsageError: the settings do not go together.
    """
    return _sound(filled(AggregatorSettings(), _checked(values, serves_roles=True)))


def simulator_settings(values: Values) -> SimulatorSettings:
    """Return the market simulator's settings from the values of ``fproxy sim``.

    It accepts any key wherever it listens, unless ``--client-keys`` names some: it has nothing to protect.
    """
    keys = values["client_keys"] or ()
    _check_tls(values)
    return filled(SimulatorSettings(), {**values, "client_keys": () if keys == (ANY_KEY,) else keys})


def _check_tls(values: Values) -> None:
    """Refuse certificates that cannot be used.

    Raises:
        click.UsageError: the message says which, and why.
    """
    try:
        filled(ServerTls(), values).context()
        upstream = filled(UpstreamTls(), values)
        if upstream.names_files:
            upstream.context()
    except TlsError as error:
        raise click.UsageError(str(error)) from error


def _checked_server(values: Values, *, serves_roles: bool = False) -> Values:
    """Return the values with the keys that clients may have.

    Args:
        values: the values as given.
        serves_roles: whether its clients are roles of fproxy: then their key alone makes it a server that is not open.
    """
    _check_tls(values)
    if values.get("keys_file") and values["client_keys"] == (ANY_KEY,):
        raise click.UsageError(
            "--client-keys * accepts any key: with --keys-file (FPROXY_KEYS_FILE) it has no sense"
        )
    given, vendor_key = values["client_keys"] or (), values["polygon_api_key"] or ""
    internal_key, has_file = values.get("internal_key") or "", bool(values.get("keys_file"))
    if serves_roles and not given and not vendor_key and internal_key:
        given = (internal_key,)
    try:
        keys = client_keys_for(values["host"], given, vendor_key, has_keys_file=has_file)
    except OpenServerError as error:
        raise click.UsageError(str(error)) from error
    return {**values, "client_keys": with_internal_key(keys, internal_key, is_closed=has_file)}


def _checked(values: Values, *, serves_roles: bool = False) -> Values:
    if values["reconnect_min"] > values["reconnect_max"]:
        raise click.UsageError(
            f"the first delay before connecting again, {values['reconnect_min']:g} s (FPROXY_RECONNECT_MIN), is "
            f"more than the longest, {values['reconnect_max']:g} s (FPROXY_RECONNECT_MAX)"
        )
    context = click.get_current_context()
    own = {market: found for market in values["markets"] if (found := market_values(context, market))}
    return {**_checked_server(values, serves_roles=serves_roles), "own_of_markets": own}


def _sound(settings: R) -> R:
    """Return the settings of a role, which do for each of its markets.

    Raises:
        click.UsageError: they do not.
    """
    for market in settings.markets:
        try:
            settings_of_market(settings, market)
        except MarketSettingsError as error:
            declared = next(declared for declared in DECLARATIONS if declared.name == error.field)
            own = declared.market_variable(market)
            raise click.UsageError(f"{declared.variable}: {error} ({own})") from error
    return settings
