"""The keys file while the program runs: read again when it changes, and keys whose time is over noticed."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fproxy.core.client_key import ClientKey
from fproxy.face.file_watch import FileWatch
from fproxy.face.keys_file import FileKey, read_keys_file
from fproxy.face.settings.toml_file import TomlFileError

log: Final = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def _nobody(keys: Sequence[ClientKey]) -> None:
    """Stand in for a server while there is none."""


class KeysWatch:
    """Keeps a server's keys those of the file.

    Attributes:
        keys: the keys as they were applied last.
        apply: has the server accept keys in place of those before; called when they change.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = utc_now) -> None:
        """Read the file; the keys are then in ``keys``.

        Args:
            path: the keys file.
            clock: returns the time.

        Raises:
            TomlFileError: the file cannot be used.
        """
        self._path = path
        self._clock = clock
        self._watch = FileWatch([path], self.read_again)
        self._file_keys: tuple[FileKey, ...] = read_keys_file(path)
        self.keys = self._now()
        self.apply: Callable[[Sequence[ClientKey]], None] = _nobody

    def look(self) -> None:
        """Look whether the file has changed, and whether a key's time is over."""
        self._watch.look()
        self._apply_changes()

    def read_again(self) -> None:
        """Read the file again. When it cannot be used, the keys stay, and the log says why."""
        try:
            file_keys = read_keys_file(self._path)
        except TomlFileError as error:
            log.error("The keys stay as they were: %s", error)
            return
        before = {file_key.key.name for file_key in self._file_keys}
        after = {file_key.key.name for file_key in file_keys}
        if file_keys != self._file_keys:
            log.info(
                "Read %s again: %d keys; new: %s; gone: %s",
                self._path,
                len(file_keys),
                ", ".join(sorted(after - before)) or "none",
                ", ".join(sorted(before - after)) or "none",
            )
        self._file_keys = file_keys
        self._apply_changes()

    def _apply_changes(self) -> None:
        keys = self._now()
        if keys != self.keys:
            expired_before = {key.name for key in self.keys if key.expired}
            for key in keys:
                if key.expired and key.name not in expired_before:
                    log.info("The key %s has expired", key.name)
            self.keys = keys
            self.apply(keys)

    def _now(self) -> tuple[ClientKey, ...]:
        now = self._clock()
        return tuple(file_key.at(now) for file_key in self._file_keys)
