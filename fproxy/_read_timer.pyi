"""Timing what is read from an upstream until it is written: two looks at the clock for each read."""

from collections.abc import Callable

BUCKET_ENDS: tuple[float, ...]
"""Where each bucket of the counts below ends, in seconds; the last is infinite. A bucket holds what is less."""

class ReadTimer:
    """Counts how long it takes from a read to the end of its writes, and from an event's own time to there.

    The age of events is looked at a hundred times a second at the most.

    Args:
        last_event_time: returns the own time of the last event that came, in Unix milliseconds; None without one.
    """

    def __init__(self, last_event_time: Callable[[], int | None]) -> None: ...
    @property
    def read_to_write(self) -> tuple[tuple[int, ...], float]:
        """How many reads took how long, by bucket; and the sum of all, in seconds."""

    @property
    def event_to_write(self) -> tuple[tuple[int, ...], float]:
        """How many of the events looked at were how old, by bucket; and the sum of all, in seconds."""
