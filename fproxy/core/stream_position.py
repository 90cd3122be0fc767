"""Where a stream stands: how a server of ours and a role behind it find what the role missed while it was cut off.

The server numbers its messages within an *epoch*, which is a new one whenever it starts. It tells a role that asks for
it where it is; the role counts on, and when it comes back it says what the next message is that it lacks. All of this
is spoken between roles of ours only:

- The role adds ``"recover"`` to its ``auth``: an object with its position (``epoch``, ``next``, ``gaps``) and
  ``lost_at``, when it lost the connection; without a position ``"all": true`` asks for everything that is kept.
- The server answers behind ``auth_success`` with the status ``position``. What it recovers follows; the status
  ``recovered`` ends it.
- A server that sends each role something else (an ms-aggregator) says ``"counted": false``. Then the topics of those
  requests are recovered that have a number under ``"recover"`` themselves; each ends with a ``recovered`` of its own,
  which has that number under ``request``. The server repeats its position now and then, as the role cannot count.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

POSITION_STATUS: Final = "position"
"""The status with which a server says where its stream stands."""

RECOVERED_STATUS: Final = "recovered"
"""The status behind the last message that was recovered: what follows is live."""

MAX_NUMBER: Final = 2**53
"""Every JSON reader keeps integers exact up to this."""

MAX_EPOCH_LENGTH: Final = 64

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def new_epoch() -> str:
    """Return a name for a run of a server that no other run has."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """Where a stream stands.

    Attributes:
        epoch: which run of the server numbers the messages.
        next: the number of the next message.
        gaps: how many gaps the stream has had up to here that nobody can fill.
    """

    epoch: str
    next: int
    gaps: int


@dataclass(frozen=True, slots=True)
class RecoveryRequest:
    """What a role asks a server for when it connects.

    Attributes:
        position: where it stands; None when it begins.
        lost_at: when it lost the connection before this one, in Unix milliseconds; 0 when there was none.
        wants_all: without a position, it wants everything that is kept, and else what is live.
    """

    position: StreamPosition | None = None
    lost_at: int = 0
    wants_all: bool = False

    def encoded(self) -> str:
        """Return it as a JSON object."""
        if self.position is None:
            return _encode({"all": True} if self.wants_all else {})
        position = self.position
        return _encode(
            {
                "epoch": position.epoch,
                "next": position.next,
                "gaps": position.gaps,
                "lost_at": self.lost_at,
            }
        )


def parse_recovery_request(value: object) -> RecoveryRequest:
    """Read what a client says under ``recover`` in its auth.

    Raises:
        ValueError: it is not what a role says; the message says what is wrong.
    """
    if not isinstance(value, dict):
        raise ValueError("'recover' is not an object")
    if "epoch" not in value:
        return RecoveryRequest(wants_all=value.get("all") is True)
    epoch = value["epoch"]
    if not isinstance(epoch, str) or len(epoch) > MAX_EPOCH_LENGTH:
        raise ValueError("'epoch' in 'recover' is not a short string")
    numbers = []
    for name in ("next", "gaps", "lost_at"):
        number = value.get(name)
        if type(number) is not int or not 0 <= number <= MAX_NUMBER:
            raise ValueError(f"{name!r} in 'recover' is not an integer from 0 to {MAX_NUMBER}")
        numbers.append(number)
    following, gaps, lost_at = numbers
    return RecoveryRequest(StreamPosition(epoch, following, gaps), lost_at)


@dataclass(frozen=True, slots=True)
class RecoveryStart:
    """What a server recovers for a role.

    Attributes:
        number: the first message that it sends.
        complete: whether, with it, the role misses nothing.
        is_fresh: whether the role begins with it, and what comes is what is kept.
    """

    number: int
    complete: bool
    is_fresh: bool = False


def recovery_start(
    request: RecoveryRequest, position: StreamPosition, *, first: int, began: int
) -> RecoveryStart:
    """Decide what a server recovers for a role.

    A role that knows another epoch has seen nothing of this one, if this one began after it was cut off: then it gets
    everything. Else, behind another server of the same data, it may have seen all of it, and nothing is repeated.

    Args:
        request: what the role asks for.
        position: where the server's stream stands.
        first: the number of the oldest message that it keeps.
        began: when its epoch began, in Unix milliseconds.
    """
    known = request.position
    if known is None:
        return RecoveryStart(first if request.wants_all else position.next, complete=True, is_fresh=True)
    if known.epoch != position.epoch:
        return RecoveryStart(first if began > request.lost_at else position.next, complete=False)
    if known.next > position.next:
        return RecoveryStart(position.next, complete=False)
    return RecoveryStart(max(first, known.next), complete=known.next >= first and known.gaps == position.gaps)


@dataclass(frozen=True, slots=True)
class PositionStatus:
    """What a server says of its position.

    Attributes:
        position: where the messages that follow begin.
        counted: whether every message of the stream follows, so that the role can count on.
        recovery: what is recovered, behind this; None when this only says where the stream is.
        complete_from: with that, nothing is missing of what was received from this time on, in Unix milliseconds.
        all_of: the event types of which the stream holds everything, whatever is subscribed to.
    """

    position: StreamPosition
    counted: bool = True
    recovery: RecoveryStart | None = None
    complete_from: int = 0
    all_of: tuple[str, ...] = ()

    def event(self) -> bytes:
        """Return it as a status event, as compact JSON in ASCII."""
        event: dict[str, object] = {
            "ev": "status",
            "status": POSITION_STATUS,
            "message": f"the next message is number {self.position.next}",
            "epoch": self.position.epoch,
            "next": self.position.next,
            "gaps": self.position.gaps,
            "counted": self.counted,
            "all_of": self.all_of,
        }
        if self.recovery is not None:
            event |= {
                "complete": self.recovery.complete,
                "fresh": self.recovery.is_fresh,
                "complete_from": self.complete_from,
            }
        return _encode(event).encode()


NO_POSITION: Final = _encode(
    {"ev": "status", "status": POSITION_STATUS, "message": "messages are not numbered here"}
).encode()
"""The status event of a server of ours that numbers nothing: nothing that was missed can be asked of it."""


def parse_position(fields: Mapping[str, Any]) -> PositionStatus | None:
    """Read the members of a status event; None when it is not a server's position."""
    epoch, following, gaps = fields.get("epoch"), fields.get("next"), fields.get("gaps")
    if not isinstance(epoch, str) or type(following) is not int or type(gaps) is not int:
        return None
    complete, complete_from = fields.get("complete"), fields.get("complete_from")
    all_of = fields.get("all_of")
    recovery = None
    if isinstance(complete, bool):
        recovery = RecoveryStart(following, complete, fields.get("fresh") is True)
    return PositionStatus(
        StreamPosition(epoch, following, gaps),
        fields.get("counted") is True,
        recovery,
        complete_from if type(complete_from) is int else 0,
        tuple(kind for kind in all_of if isinstance(kind, str)) if isinstance(all_of, list) else (),
    )


def recovered_event(request: int = 0) -> bytes:
    """Return the status event that ends what is recovered, as compact JSON in ASCII.

    Args:
        request: the number of the request that it was recovered for; 0 for that of the auth.
    """
    event = {
        "ev": "status",
        "status": RECOVERED_STATUS,
        "message": "what follows is live",
        "request": request,
    }
    return _encode(event).encode()
