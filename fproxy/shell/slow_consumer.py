"""What becomes of a client that reads more slowly than it is written to: by which policy, and what it is told."""

from collections.abc import Callable, Mapping
from typing import Final

from fproxy._socket_writer import SocketWriter
from fproxy.core.client_key import ClientKey
from fproxy.core.slow_client_policy import SlowClientPolicy
from fproxy.core.status_replies import status_message
from fproxy.shell.client_limits import ClientLimits

SLOW_CONSUMER: Final = "slow_consumer"
"""The status of the last message of such a client."""

_REASONS: Final[Mapping[str, str]] = {
    "bytes": "too much was waiting",
    "lag": "it had waited for too long",
    "memory": "the server needed the memory",
    "replay": "the history had passed by",
}
"""Why, by what metrics call it (``fproxy.metrics.SLOW_CONSUMER_REASONS``)."""


def use_slow_client_policy(
    writer: SocketWriter,
    key: ClientKey | None,
    limits: ClientLimits,
    *,
    is_local: bool,
    hold: Callable[[bool], None],
) -> None:
    """Have a client's writer go by what its key says of slow clients, and where that says nothing by the server.

    Args:
        writer: what the client is written to with.
        key: the client's; None before it has authenticated.
        limits: of the server.
        is_local: whether the client is on this machine: no other may hold up an upstream.
        hold: holds the client's upstreams up, or goes on.
    """
    policy = (key and key.slow_client) or limits.slow_client
    if policy is SlowClientPolicy.BLOCK and not is_local:
        policy = SlowClientPolicy.DISCONNECT
    unsent = key.max_unsent_bytes if key is not None else None
    writer.use_policy(
        policy.value,
        max_bytes=limits.max_unsent_bytes if unsent is None else unsent,
        block=hold if policy is SlowClientPolicy.BLOCK else None,
    )


def slowness(reason: str, unsent: int) -> str:
    """Return what is wrong with a client, for the log.

    Args:
        reason: one of ``fproxy.metrics.SLOW_CONSUMER_REASONS``.
        unsent: how many bytes waited.
    """
    return f"{unsent} bytes were waiting to be sent; {_REASONS[reason]}"


def slow_consumer_message(reason: str, unsent: int) -> bytes:
    """Return the last message of a client: a JSON array with one status event. Arguments as for :func:`slowness`."""
    return status_message(
        (SLOW_CONSUMER, f"Disconnected for reading too slowly: {slowness(reason, unsent)}.")
    )
