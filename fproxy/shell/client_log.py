"""What the log says of a client's coming and going: one line each."""

from typing import TYPE_CHECKING

from websockets.protocol import Protocol as WebSocketProtocol

if TYPE_CHECKING:
    from fproxy.shell.client import Client


def joined_text(client: "Client", path: str) -> str:
    """Return the line about a client that has authenticated."""
    return f"{client.described} joined on {path}"


def left_text(client: "Client", *, topics: int, seconds: float, reason: str) -> str:
    """Return the line about a client that had joined and is gone.

    Args:
        client: the client.
        topics: how many it was subscribed to in the end.
        seconds: how long it was there.
        reason: why it is gone.
    """
    sink = client.sink
    return (
        f"{client.described} left after {seconds:.1f} s: {reason}; "
        f"{topics} topics, {sink.events_written} events, {sink.bytes_written} bytes"
    )


def closed_text(protocol: WebSocketProtocol) -> str:
    """Return why a connection is closing whose closing handshake has begun: who began it, and with what."""
    received = protocol.close_rcvd
    if received is not None and protocol.close_rcvd_then_sent:
        return f"closed by the client, {received.code} {received.reason}".rstrip()
    sent = protocol.close_sent
    return "closed" if sent is None else f"closed, {sent.code} {sent.reason}".rstrip()
