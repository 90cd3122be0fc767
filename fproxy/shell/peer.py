"""The other end of a connection: its address, and how log lines show it."""

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from fproxy.core.loopback import is_loopback

if TYPE_CHECKING:
    from fproxy.shell.admission import Connection


class Arrival(NamedTuple):
    """A connection that has been let in before its client was made, as TLS comes first.

    Attributes:
        connection: what it was let in as.
        host: where it comes from: the address of the other end.
        forwarded: the client's address where a reverse proxy has named it already.
    """

    connection: "Connection"
    host: str
    forwarded: str | None


def host_of(transport: asyncio.BaseTransport) -> str:
    """Return the address of the other end; empty when the system does not tell any more."""
    address = transport.get_extra_info("peername")
    return str(address[0]) if isinstance(address, tuple) else ""


def shown(transport: asyncio.BaseTransport | None, forwarded: str | None) -> str:
    """Return how log lines show the other end: address and port, or the address that a reverse proxy has named."""
    if forwarded is not None:
        return forwarded
    address = transport and transport.get_extra_info("peername")
    if not isinstance(address, tuple):
        return "unknown"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_on_this_machine(transport: asyncio.BaseTransport, forwarded: str | None) -> bool:
    """Return whether the client is; with a reverse proxy in between, whether the address that it has named is."""
    if forwarded is not None:
        return is_loopback(forwarded)
    address = transport.get_extra_info("peername")
    return not isinstance(address, tuple) or is_loopback(address[0])
