"""What a process of fproxy tells of itself to those who operate it: plain values, ready to be written as JSON.

Times are Unix milliseconds, ages and lags seconds, sizes bytes. Counts grow from the start of the process on: whoever
wants rates divides the difference of two reports by that of their ``now``. Keys never appear.
"""

from collections.abc import Iterable
from typing import NotRequired, TypedDict


class StreamReport(TypedDict):
    """One upstream of one market.

    Attributes:
        market: such as ``stocks``.
        upstream: such as ``firehose``.
        state: ``up``, ``interrupted`` or ``down``.
        reason: why it is not up; empty while it is.
        since: the time of the last event before the interruption that lasts; None while it is up.
        last_message: when its last message came, to about a second; None before the first.
        interruptions: how many times it was interrupted after it had been up.
        messages: how many messages it has brought.
    """

    market: str
    upstream: str
    state: str
    reason: str
    since: int | None
    last_message: int | None
    interruptions: int
    messages: int


class ClientReport(TypedDict):
    """One client.

    Attributes:
        id: names the connection within its process.
        name: of the holder of its key; empty where keys have no names.
        address: its address and port.
        market: the market of its path.
        connected: when it connected.
        topics: how many topics it has.
        events: how many events were written for it.
        bytes: how many bytes were written for it.
        unsent_bytes: how many of them wait to be sent.
        lag: for how long the oldest of them has waited, in seconds; 0 when none waits.
        dropped: how many events its slow-client policy left out.
        notices: how many times it was told of a stream's state, but for what it was told when it subscribed.
        topic_list: the topics themselves, as far as asked for.
        process: of which process, where several report together.
    """

    id: int
    name: str
    address: str
    market: str
    connected: int
    topics: int
    events: int
    bytes: int
    unsent_bytes: int
    lag: float
    dropped: int
    notices: int
    topic_list: NotRequired[list[str]]
    process: NotRequired[str]


class TopicReport(TypedDict):
    """One topic of a market, by what the history of the last seconds holds of it.

    Attributes:
        market: such as ``stocks``.
        topic: such as ``T.AAPL``.
        events: how many events of it there were in the time looked at.
        seconds: that time.
        clients: how many clients have this very topic.
        process: of which process, where several report together.
    """

    market: str
    topic: str
    events: int
    seconds: float
    clients: int
    process: NotRequired[str]


class ProcessReport(TypedDict):
    """One process as a whole.

    Attributes:
        name: such as ``proxy`` or ``worker 2``.
        role: ``proxy``, ``firehose``, ``aggregator`` or ``simulator``.
        version: of fproxy.
        pid: the process id.
        port: where clients connect.
        started: when the role started.
        now: when this was written.
        clients: how many clients there are.
        counts: what has been counted, by name.
        gauges: what is measured now, by name.
        streams: what it gets from upstream.
    """

    name: str
    role: str
    version: str
    pid: int
    port: int
    started: int
    now: int
    clients: int
    counts: dict[str, float]
    gauges: dict[str, float]
    streams: list[StreamReport]


def unready_reasons(streams: Iterable[StreamReport]) -> list[str]:
    """Return why a process is not ready to serve all that it is meant to: a line for each stream that is not up."""
    return [
        f"{stream['market']} {stream['upstream']}: {stream['state']}: {stream['reason']}"
        for stream in streams
        if stream["state"] != "up"
    ]


class MarketReport(TypedDict):
    """A market that clients find at a path of the port for clients.

    Attributes:
        name: such as ``stocks``.
        path: such as ``/stocks``.
    """

    name: str
    path: str


class StateReport(TypedDict):
    """All that a page or a terminal shows at once.

    Attributes:
        now: when this was written.
        version: of fproxy.
        client_port: where clients connect.
        client_tls: whether they do so by ``wss://``.
        markets: what they find there.
        processes: every process, in the order of the chain.
        clients: the clients that deserve a look first: those with most waiting, then those that get most.
        clients_total: how many clients there are.
        topics: the topics with most events, the first the hottest.
    """

    now: int
    version: str
    client_port: int
    client_tls: bool
    markets: list[MarketReport]
    processes: list[ProcessReport]
    clients: list[ClientReport]
    clients_total: int
    topics: list[TopicReport]


class ClientsReport(TypedDict):
    """A page of the list of clients.

    Attributes:
        now: when this was written.
        total: how many clients there are.
        offset: how many come before these, in the order asked for.
        limit: how many there are on a page.
        clients: these.
    """

    now: int
    total: int
    offset: int
    limit: int
    clients: list[ClientReport]


CLIENT_ORDERS = (
    "unsent_bytes",
    "lag",
    "events",
    "bytes",
    "topics",
    "connected",
    "dropped",
    "name",
    "address",
)
"""What a list of clients may be ordered by: numbers with the largest first, but ``connected`` with the oldest first."""


def ordered_clients(clients: Iterable[ClientReport], order: str) -> list[ClientReport]:
    """Return clients in an order of ``CLIENT_ORDERS``; those that are equal by it with the busiest first."""
    if order in ("name", "address", "connected"):
        return sorted(clients, key=lambda client: (client[order], -client["bytes"]))  # type: ignore[literal-required]
    return sorted(clients, key=lambda client: (-client[order], -client["bytes"]))  # type: ignore[literal-required]
