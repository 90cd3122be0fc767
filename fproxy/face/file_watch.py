"""Files that are read again when they change, and at SIGHUP: a look at each once a second."""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

INTERVAL: Final = 1.0
"""Seconds between two looks."""

_Signature = tuple[tuple[int, int, int] | None, ...]


class Watch(Protocol):
    """What is kept up to date with files while the program runs."""

    def look(self) -> None:
        """Look whether something has changed, and apply it."""

    def read_again(self) -> None:
        """Read the files again, changed or not, as SIGHUP asks for."""


class FileWatch:
    """Watches some files that belong together."""

    def __init__(self, paths: Iterable[Path], changed: Callable[[], None]) -> None:
        """Begin with what the files are now.

        Args:
            paths: the files; one that is not there counts as changed when it comes.
            changed: called after one or more of them have changed.
        """
        self._paths = tuple(paths)
        self._changed = changed
        self._seen = self._signature()

    def look(self) -> None:
        """Look at the files, and call back when they have changed since the last look."""
        now = self._signature()
        if now != self._seen:
            self._seen = now
            self._changed()

    def _signature(self) -> _Signature:
        return tuple(map(_of, self._paths))


def _of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@contextmanager
def regularly(watches: Iterable[Watch], interval: float = INTERVAL) -> Iterator[None]:
    """Have each of ``watches`` look again and again on the running loop, while the context lasts.

    Args:
        watches: what to call, more of which may come. None of them should raise.
        interval: the seconds between two calls.
    """
    loop = asyncio.get_running_loop()

    def turn() -> None:
        handles[0] = loop.call_later(interval, turn)  # first: whatever goes wrong, keys go on expiring
        for watch in watches:
            watch.look()

    handles = [loop.call_later(interval, turn)]
    try:
        yield
    finally:
        handles[0].cancel()
