"""From when on what has passed is brought, what of it has been, and what the client is told at its end."""

import json
from dataclasses import dataclass

from fproxy.core.status_event import REPLAYED_STATUS


@dataclass(frozen=True, slots=True)
class ReplayStart:
    """From when on events are replayed.

    Attributes:
        time: in Unix milliseconds.
        resumes: whether a client that was away is brought what was received from then on; else it asked for the events
            whose own time is then or later.
        number: for a role of ours that recovers what it missed, the first message that it lacks, and no time; None for
            every other client.
        request: the number of the request by which it does so.
        bars_from: bars that end at this time or later and were not built in time are built now, in Unix milliseconds;
            None for none.
    """

    time: int = 0
    resumes: bool = False
    number: int | None = None
    request: int = 0
    bars_from: int | None = None


@dataclass(slots=True)
class Replayed:
    """What a replay has brought of its topics, up to the moment of the request.

    Attributes:
        since: the events whose own time is then or later, in Unix milliseconds; 0 for all.
        first: of the messages from this number of the history on; None before it has begun.
    """

    since: int
    first: int | None = None

    @classmethod
    def of(cls, start: ReplayStart) -> "Replayed":
        """Return what a replay is to bring that has not begun."""
        return cls(0 if start.resumes or start.number is not None else max(1, start.time))


def replayed_message(start: ReplayStart, count: int, *, complete: bool) -> bytes:
    """Return the message that ends a replay: a JSON array with one status event.

    Args:
        start: from when on.
        count: how many events were replayed.
        complete: whether the history reached back that far.
    """
    reach = "all there were" if complete else "the history does not reach back that far, or has a gap"
    what = f"resumed: replayed {count} events received" if start.resumes else f"replayed {count} events"
    event = {
        "ev": "status",
        "status": REPLAYED_STATUS,
        "message": f"{what} since {start.time}: {reach}",
        "count": count,
        "since": start.time,
        "complete": complete,
    }
    if start.resumes:
        event["resumed"] = True
    return json.dumps([event], separators=(",", ":")).encode()
