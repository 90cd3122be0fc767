"""What a command looks at before it serves: settings that cannot be, and what its operator should know."""

import logging
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import click

from fproxy.core.loopback import is_loopback
from fproxy.core.urls import redacted_url
from fproxy.face.exposure import exposed_files, exposed_keys
from fproxy.face.logs import configure_logging
from fproxy.face.settings.built import Values
from fproxy.face.settings.sources import unknown_settings
from fproxy.roles.market_settings import RoleSettings, settings_of_market
from fproxy.roles.settings import FirehoseSettings, ServerSettings

log = logging.getLogger(__name__)


def begin(values: Values) -> None:
    """Configure logging as a command's values say; warn of settings that nothing reads, and files that too many can."""
    configure_logging(values["log_level"], values["log_format"])
    context = click.get_current_context()
    for sentence in (*unknown_settings(context), *exposed_files(context, values)):
        log.warning("%s", sentence)


def warn_if_open(server: ServerSettings, values: Values) -> None:
    """Warn that a server accepts any key, unless somebody asked for just that, and of keys that others get to see."""
    if not server.client_keys and not values["client_keys"] and not values.get("keys_file"):
        log.warning(
            "No key is set: any client on this machine is served. FPROXY_CLIENT_KEYS sets the keys to accept"
        )
    for sentence in exposed_keys(click.get_current_context(), server, values):
        log.warning("%s", sentence)


def require_vendor_key(settings: FirehoseSettings) -> None:
    """Refuse to connect to another machine's market without a key.

    Raises:
        click.UsageError: there is no key, and a market is not a simulated one on this machine.
    """
    for url in urls_of(settings, "vendor_url"):
        if not settings.polygon_api_key and not is_loopback(urlsplit(url).hostname or ""):
            raise click.UsageError(
                f"POLYGON_API_KEY is not set, and {redacted_url(url)} wants a key (fproxy demo needs none)"
            )


def urls_of(settings: RoleSettings, field: str) -> Iterator[str]:
    """Yield a URL of each of a role's markets.

    Args:
        settings: what the role is told.
        field: the field that has the URL.
    """
    for market in settings.markets:
        yield getattr(settings_of_market(settings, market), field)


def with_handed_socket(values: dict[str, Any]) -> dict[str, Any]:
    """Return a command's values with the listening socket that the service manager handed over, where it did.

    Raises:
        click.UsageError: what was handed over is not one listening TCP socket.
    """
    from fproxy.shell.socket_activation import SocketActivationError, take_socket

    try:
        listening = take_socket(os.environ)
    except SocketActivationError as error:
        raise click.UsageError(str(error)) from error
    if listening is None:
        return values
    host, port = listening.getsockname()[:2]
    return {**values, "host": host, "port": port, "listening": listening}


def refuse_handed_socket(what: str) -> None:
    """Refuse a listening socket of the service manager's where nothing would use it.

    Raises:
        click.UsageError: one was handed over.
    """
    from fproxy.shell.socket_activation import is_handed_over

    if is_handed_over(os.environ):
        raise click.UsageError(
            f"{what} cannot use the socket that LISTEN_FDS announces: run each role by itself"
        )


def check_workers(values: Values) -> None:
    """Refuse several workers where they cannot be had.

    Raises:
        click.UsageError: the system cannot spread connections over processes.
    """
    from fproxy.shell.port_reservation import spreads_connections

    if not spreads_connections():
        raise click.UsageError(
            f"{values['workers']} workers (FPROXY_WORKERS) need a system that spreads the connections to one port over "
            "processes, as Linux does; this one does not"
        )
