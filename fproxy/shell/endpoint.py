"""The endpoints of a server: what is served on each of its paths, and by whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from fproxy.core.market import Market
from fproxy.shell.client_handler import (
    ClientHandler,
    PreparingHandler,
    RecoveringHandler,
    ReplayingHandler,
    SnapshotHandler,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What clients of one path get.

    Attributes:
        path: the path of the URL, such as ``/stocks``.
        greets: whether the server speaks first there: it does for the vendor's own clients.
        market: the market.
        handler: the role's side.
        denial: what whoever authenticates is told instead of being let in; None to let in those with a key.
        replaying: the same handler when it can send what has passed, else None: it gets clients' ``since``.
        recovering: the same for what a role of ours has missed.
        snapshots: the same for last events.
        preparing: the same for changes that take long.
    """

    path: str
    greets: bool
    market: Market
    handler: ClientHandler
    denial: str | None = None
    replaying: ReplayingHandler | None = field(init=False, repr=False, compare=False)
    recovering: RecoveringHandler | None = field(init=False, repr=False, compare=False)
    snapshots: SnapshotHandler | None = field(init=False, repr=False, compare=False)
    preparing: PreparingHandler | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Asked once: whether something has the methods of a protocol takes as long to find out as to answer a request.
        handler = self.handler
        object.__setattr__(self, "replaying", handler if isinstance(handler, ReplayingHandler) else None)
        object.__setattr__(self, "recovering", handler if isinstance(handler, RecoveringHandler) else None)
        object.__setattr__(self, "snapshots", handler if isinstance(handler, SnapshotHandler) else None)
        object.__setattr__(self, "preparing", handler if isinstance(handler, PreparingHandler) else None)


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
