"""Keys that others may get to see: what an operator is warned of when the program starts."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from fproxy.core.loopback import is_loopback
from fproxy.face.settings.built import Values
from fproxy.face.settings.declared import DECLARATIONS
from fproxy.face.settings.kinds import Secret, SecretList
from fproxy.face.settings.sources import file_lines, market_values
from fproxy.roles.settings import ServerSettings

_SECRETS: Final = frozenset(it.variable for it in DECLARATIONS if isinstance(it.kind, (Secret, SecretList)))
_URLS: Final = ("firehose_url", "aggregator_url", "vendor_url", "url")


def exposed_files(ctx: click.Context, values: Values) -> Iterator[str]:
    """Yield a sentence about each file with keys that every user of this machine can read.

    Args:
        ctx: the command's context.
        values: its values.
    """
    holders = {
        line.place.rpartition(", line ")[0] for name, line in file_lines(ctx).items() if name in _SECRETS
    }
    holders.update(filter(None, (values.get(name) for name in ("keys_file", "tls_key", "upstream_key"))))
    for name in sorted(holders):
        if _others_read(Path(name)):
            yield f"{name} holds keys, and every user of this machine can read it: chmod o-r {name}"


def exposed_keys(ctx: click.Context, server: ServerSettings, values: Values) -> Iterator[str]:
    """Yield a sentence about each way in which keys of a server become known to those who should not have them.

    Args:
        ctx: the command's context.
        server: the server for clients.
        values: the command's values.
    """
    vendor_key = values.get("polygon_api_key")
    own_keys = values.get("client_keys") or values.get("keys_file")
    if vendor_key and not own_keys and not is_loopback(server.host):
        yield (
            f"Clients that reach {server.host} authenticate with the vendor's key (POLYGON_API_KEY), and so have to be "
            "given it: FPROXY_KEYS_FILE or FPROXY_CLIENT_KEYS give them keys of their own"
        )
    if vendor_key or values.get("internal_key"):
        yield from unencrypted(ctx, values)


def unencrypted(ctx: click.Context, values: Values) -> Iterator[str]:
    """Yield a sentence about each other machine that a key is sent to in the open.

    Args:
        ctx: the command's context.
        values: its values.
    """
    of_markets = (market_values(ctx, market) for market in values.get("markets", ()))
    for url in dict.fromkeys(found.get(name) for found in (values, *of_markets) for name in _URLS):
        parts = urlsplit(url or "")
        if parts.scheme == "ws" and not is_loopback(parts.hostname or ""):
            yield (
                f"The key goes to {parts.hostname} unencrypted, as its URL begins with ws://: "
                "whoever is on the way can read it; use wss://"
            )


def _others_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
