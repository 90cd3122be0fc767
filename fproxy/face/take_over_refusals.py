"""Where ``--take-over`` cannot be: what is asked for is refused at the start, with the reason."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import click

from fproxy.face.settings.built import Values
from fproxy.roles.market_settings import settings_of_market
from fproxy.roles.settings import FilteredProxySettings

VENDOR_DOMAINS: Final = ("massive.com", "polygon.io")
"""Where the vendor is, who allows an account one connection for each market."""

NO_TAKE_OVER: Final[Mapping[str, str]] = {
    "firehose": "its vendor allows an account one connection, and the firehose that serves has it; restart it, with "
    "the port held by a service manager (LISTEN_FDS)",
    "aggregator": "the bars whose windows are open cannot be handed over; restart it, with the port held by a service "
    "manager (LISTEN_FDS)",
    "sim": "its market goes on in the process that it began in",
    "stack": "it consists of several processes; run each role by itself",
    "demo": "it consists of several processes; run each role by itself",
    "--workers": "several processes share the port; restart them one after the other",
}
"""What cannot take over, and why not."""


def refuse_take_over(what: str, values: Values) -> None:
    """Refuse to take over where that cannot be.

    Raises:
        click.UsageError: ``--take-over`` was given.
    """
    if values["take_over"]:
        name = what if what.startswith("-") else f"fproxy {what}"
        raise click.UsageError(f"{name} cannot take over (FPROXY_TAKE_OVER): {NO_TAKE_OVER[what]}")


def check_take_over(values: Values, settings: FilteredProxySettings) -> None:
    """Refuse to take over where a proxy cannot.

    Raises:
        click.UsageError: the port is to be chosen by the system, or an upstream is the vendor.
    """
    if not values["take_over"]:
        return
    if values["port"] == 0:
        raise click.UsageError(
            "--take-over needs the port of the process that serves now (FILTERED_PROXY_PORT)"
        )
    for market in settings.markets:
        own = settings_of_market(settings, market)
        hosts = [urlsplit(url).hostname or "" for url in (own.firehose_url, own.aggregator_url)]
        for host in hosts:
            if not host.endswith(VENDOR_DOMAINS):
                continue
            raise click.UsageError(
                f"--take-over: {host} allows an account one connection, which the process that serves now has; put an "
                "fproxy firehose between"
            )
