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
  which has that number under ``request``, and ``"complete": false`` if something of it is missing. The server repeats
  its position now and then, as the role cannot count.
- Such a server also says, under ``source``, how much of its own upstream is in what it has sent. The role gives that
  back to the one that follows it in a new epoch: what that has got of the same upstream since is what is missing.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
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
class SourcePosition:
    """How much of its own upstream is in what a server has sent up to a position of its own.

    Attributes:
        epoch: of the upstream.
        next: the number of the first message of the upstream's that is not.
        bars_until: bars that end at this time or earlier are, in Unix milliseconds; 0 when there was no trade yet.
    """

    epoch: str
    next: int
    bars_until: int = 0

    def fields(self) -> dict[str, object]:
        """Return it as the members of a JSON object."""
        return {"epoch": self.epoch, "next": self.next, "bars_until": self.bars_until}


@dataclass(frozen=True, slots=True)
class RecoveryRequest:
    """What a role asks a server for when it connects.

    Attributes:
        position: where it stands; None when it begins.
        lost_at: when it lost the connection before this one, in Unix milliseconds; 0 when there was none.
        wants_all: without a position, it wants everything that is kept, and else what is live.
        source: what the server that told the position said of its own upstream; None for nothing.
    """

    position: StreamPosition | None = None
    lost_at: int = 0
    wants_all: bool = False
    source: SourcePosition | None = None

    def encoded(self) -> str:
        """Return it as a JSON object."""
        if self.position is None:
            return _encode({"all": True} if self.wants_all else {})
        position = self.position
        fields: dict[str, object] = {
            "epoch": position.epoch,
            "next": position.next,
            "gaps": position.gaps,
            "lost_at": self.lost_at,
        }
        if self.source is not None:
            fields["source"] = self.source.fields()
        return _encode(fields)


def parse_recovery_request(value: object) -> RecoveryRequest:
    """Read what a client says under ``recover`` in its auth.

    Raises:
        ValueError: it is not what a role says; the message says what is wrong.
    """
    if not isinstance(value, dict):
        raise ValueError("'recover' is not an object")
    if "epoch" not in value:
        return RecoveryRequest(wants_all=value.get("all") is True)
    epoch, (following, gaps, lost_at) = _epoch_and_numbers(value, ("next", "gaps", "lost_at"), "recover")
    source = None
    if "source" in value:
        if not isinstance(value["source"], dict):
            raise ValueError("'source' in 'recover' is not an object")
        source_epoch, numbers = _epoch_and_numbers(value["source"], ("next", "bars_until"), "source")
        source = SourcePosition(source_epoch, *numbers)
    return RecoveryRequest(StreamPosition(epoch, following, gaps), lost_at, source=source)


def _epoch_and_numbers(
    value: Mapping[str, Any], names: Sequence[str], place: str
) -> tuple[str, tuple[int, ...]]:
    epoch = value.get("epoch")
    if not isinstance(epoch, str) or len(epoch) > MAX_EPOCH_LENGTH:
        raise ValueError(f"'epoch' in {place!r} is not a short string")
    for name in names:
        number = value.get(name)
        if type(number) is not int or not 0 <= number <= MAX_NUMBER:
            raise ValueError(f"{name!r} in {place!r} is not an integer from 0 to {MAX_NUMBER}")
    return epoch, tuple(value[name] for name in names)


@dataclass(frozen=True, slots=True)
class RecoveryStart:
    """What a server recovers for a role.

    Attributes:
        number: the first message that it sends.
        complete: whether, with it, the role misses nothing.
        is_fresh: whether the role begins with it, and what comes is what is kept.
        bars_from: bars that end at this time or later are brought too, in Unix milliseconds, be they built anew; None
            for those only that are kept.
    """

    number: int
    complete: bool
    is_fresh: bool = False
    bars_from: int | None = None


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
        complete_at: with a recovery, nothing is missing from the message of this number on.
        source: how much of the server's own upstream is in what it has sent up to the position; None for not known.
    """

    position: StreamPosition
    counted: bool = True
    recovery: RecoveryStart | None = None
    complete_from: int = 0
    all_of: tuple[str, ...] = ()
    complete_at: int = 0
    source: SourcePosition | None = None

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
                "complete_at": self.complete_at,
            }
        if self.source is not None:
            event["source"] = self.source.fields()
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
    complete_at = fields.get("complete_at")
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
        complete_at if type(complete_at) is int else 0,
        _parse_source(fields.get("source")),
    )


def _parse_source(value: object) -> SourcePosition | None:
    if not isinstance(value, dict):
        return None
    try:
        epoch, numbers = _epoch_and_numbers(value, ("next", "bars_until"), "source")
    except ValueError:
        return None
    return SourcePosition(epoch, *numbers)


def recovered_event(request: int = 0, *, complete: bool = True) -> bytes:
    """Return the status event that ends what is recovered, as compact JSON in ASCII.

    Args:
        request: the number of the request that it was recovered for; 0 for that of the auth.
        complete: whether nothing of it is missing.
    """
    event: dict[str, object] = {
        "ev": "status",
        "status": RECOVERED_STATUS,
        "message": "what follows is live",
        "request": request,
    }
    if not complete:
        event["complete"] = False
    return _encode(event).encode()
