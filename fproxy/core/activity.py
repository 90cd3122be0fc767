"""What happens to clients and upstreams, for people who watch: the last of it kept, what is new told at once."""

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

KEPT: Final = 300
"""How many records are kept for those who begin to watch."""


class ActivityKind(enum.StrEnum):
    """What a record is about."""

    CLIENT_JOINED = "client_joined"
    CLIENT_LEFT = "client_left"
    CLIENT_SLOW = "client_slow"
    CLIENT_REFUSED = "client_refused"
    STREAM_INTERRUPTED = "stream_interrupted"
    STREAM_RESTORED = "stream_restored"


@dataclass(frozen=True, slots=True)
class ActivityRecord:
    """One thing that happened.

    Attributes:
        number: counts the records of one process, from 1 on.
        time: when, in Unix milliseconds.
        kind: what it is about.
        text: one line for people, without secrets.
    """

    number: int
    time: int
    kind: ActivityKind
    text: str


Watcher = Callable[[ActivityRecord], None]
"""Gets each new record. It must return at once and not raise."""


class Activity:
    """The records of one process. A storm of clients costs no more than the last ``KEPT`` records."""

    __slots__ = ("_records", "_watchers", "count")

    def __init__(self) -> None:
        """Begin without records; ``count`` is how many there have been."""
        self.count = 0
        self._records: deque[ActivityRecord] = deque(maxlen=KEPT)
        self._watchers: set[Watcher] = set()

    def record(self, kind: ActivityKind, text: str, *, now: int) -> None:
        """Something has happened.

        Args:
            kind: what it is about.
            text: one line for people; no key and no other secret may be in it.
            now: the time, in Unix milliseconds.
        """
        self.count += 1
        record = ActivityRecord(self.count, now, kind, text)
        self._records.append(record)
        for watcher in tuple(self._watchers):
            watcher(record)

    def since(self, number: int) -> list[ActivityRecord]:
        """Return the records that are kept and come after a number, the oldest first."""
        return [record for record in self._records if record.number > number]

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell of each new record from now on. Return what ends that; calling it twice is fine."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)
