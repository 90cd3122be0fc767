"""Why a connection to an upstream ended."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from picows import WSCloseCode, WSTransport

from fproxy.core.redaction import redact
from fproxy.core.upstream_failure import UpstreamFailure

MAX_CONNECTIONS_TEXT: Final = "maximum number of websocket connections"
"""How the vendor says that an account has too many connections, if only the close frame says it."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """Why a connection ended.

    Attributes:
        failure: as metrics name it.
        text: for people.
    """

    failure: UpstreamFailure
    text: str


def too_big(limit: int) -> LinkEnd:
    """Return the end for a message that is longer than ``limit`` bytes."""
    return LinkEnd(UpstreamFailure.TOO_BIG, f"a message longer than the limit of {limit} bytes")


def end_of(transport: WSTransport, secrets: Iterable[str], max_message_size: int) -> LinkEnd:
    """Return why a connection ended.

    Args:
        transport: the connection, which has ended.
        secrets: what must not be shown.
        max_message_size: how long messages could be, in bytes.
    """
    handshake = transport.close_handshake
    if handshake is None:
        return LinkEnd(UpstreamFailure.LOST, "the connection broke off")
    if handshake.recv is not None:
        code, reason = handshake.recv.code.value, redact(handshake.recv.reason or "", secrets)
        failure = (
            UpstreamFailure.MAX_CONNECTIONS
            if code == WSCloseCode.POLICY_VIOLATION.value and MAX_CONNECTIONS_TEXT in reason.lower()
            else UpstreamFailure.CLOSED
        )
        shown_code = f"with code {code}" if code else "without a code"
        return LinkEnd(failure, f"closed by the upstream {shown_code}{reason and f' ({reason})'}")
    sent = handshake.sent
    assert sent is not None, "a close handshake has a close frame"
    if sent.code is WSCloseCode.MESSAGE_TOO_BIG:
        return too_big(max_message_size)
    reason = redact(sent.reason or "", secrets)
    return LinkEnd(UpstreamFailure.PROTOCOL, f"the upstream broke the protocol: {reason}")
