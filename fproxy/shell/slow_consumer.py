"""What a client is told that is disconnected because it reads more slowly than it is written to."""

from collections.abc import Mapping
from typing import Final

from fproxy.core.status_replies import status_message

SLOW_CONSUMER: Final = "slow_consumer"
"""The status of the last message of such a client."""

_REASONS: Final[Mapping[str, str]] = {
    "bytes": "too much was waiting",
    "lag": "it had waited for too long",
    "memory": "the server needed the memory",
    "replay": "the history had passed by",
}
"""Why, by what metrics call it (``fproxy.metrics.SLOW_CONSUMER_REASONS``)."""


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
