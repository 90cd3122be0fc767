"""The endpoints of a server: what is served on each of its paths, and by whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fproxy.core.market import Market
from fproxy.shell.client_handler import ClientHandler


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What clients of one path get.

    Attributes:
        path: the path of the URL, such as ``/stocks``.
        greets: whether the server speaks first there: it does for the vendor's own clients.
        market: the market.
        handler: the role's side; one with ``subscribe_since`` too (``ReplayingHandler``) gets clients' ``since``.
        denial: what whoever authenticates is told instead of being let in; None to let in those with a key.
    """

    path: str
    greets: bool
    market: Market
    handler: ClientHandler
    denial: str | None = None


def by_path(endpoints: Iterable[Endpoint]) -> Mapping[str, Endpoint]:
    """Return endpoints by their paths, in their order.

    Raises:
        ValueError: there is none, or two have the same path.
    """
    endpoints = tuple(endpoints)
    table = {endpoint.path: endpoint for endpoint in endpoints}
    if not table or len(table) != len(endpoints):
        raise ValueError(f"not distinct paths: {[endpoint.path for endpoint in endpoints]}")
    return MappingProxyType(table)
