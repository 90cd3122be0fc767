"""What clients are told of a stream: status events, in the form that the vendor gives all of its own.

The official clients read ``ev``, ``status`` and ``message`` of a status event and pass over the rest, so programs that
know nothing of these notices are not disturbed by them.
"""

import json
import re
from typing import Final

from fproxy.core.status_event import INTERRUPTED_STATUS, RESTORED_STATUS
from fproxy.core.stream import Interruption, Restoration

CONSEQUENCE: Final = "events may be missing from now on"
"""How the message of an interruption ends."""

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
_CONSEQUENCE: Final = re.compile(rf"\s*;?\s*{CONSEQUENCE}\s*$")


def interruption_event(notice: Interruption) -> bytes:
    """Return the status event that tells of an interruption, as compact JSON in ASCII."""
    return _encode(
        {
            "ev": "status",
            "status": INTERRUPTED_STATUS,
            "message": f"{notice.upstream}: {notice.reason}; {CONSEQUENCE}",
            "upstream": notice.upstream,
            "since": notice.since,
        }
    ).encode()


def restoration_event(notice: Restoration) -> bytes:
    """Return the status event that tells that a stream is whole again, as compact JSON in ASCII."""
    message = (
        f"{notice.upstream}: back; what came in the meantime has been delivered"
        if notice.recovered
        else f"{notice.upstream}: back; events from {notice.start} to {notice.end} may be missing"
    )
    return _encode(
        {
            "ev": "status",
            "status": RESTORED_STATUS,
            "message": message,
            "upstream": notice.upstream,
            "from": notice.start,
            "to": notice.end,
            "recovered": notice.recovered,
        }
    ).encode()


def notice_message(event: bytes) -> bytes:
    """Return a message that holds just this event: a JSON array, as everything that a server sends."""
    return b"[%b]" % event


def reason_of(message: str) -> str:
    """Return why an upstream says that it is interrupted, without the consequence that our own message adds."""
    return _CONSEQUENCE.sub("", message)
