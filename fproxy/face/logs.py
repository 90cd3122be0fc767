"""The log, on standard error: as text with times, as text for what adds its own, or as JSON; and it never waits.

A line that cannot be written at once, because whoever reads it does not keep up, is dropped and counted: a log must not
hold up market data. Where standard error is systemd's journal, lines have no time but a level that it understands
(sd-daemon(3)).
"""

import contextlib
import json
import logging
import os
import select
import socket
import stat
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

BARE_FORMAT: Final = "bare"
"""Text without times, for what adds its own."""

FORMATS: Final = ("text", BARE_FORMAT, "json")
"""How a log may be written."""

BARE_LINE: Final = "%(levelname)s %(message)s"

PIECE: Final = 4096
"""So much can be written to a pipe that takes anything at all (PIPE_BUF of Linux, pipe(7)), in bytes."""

_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""syslog's numbers of the levels."""


class DroppedLines:
    """Counts the lines that were dropped, for a metric that may come later.

    Attributes:
        count: how many there were.
    """

    def __init__(self) -> None:
        self.count = 0
        self._tell: Callable[[int], None] | None = None

    def add(self) -> None:
        """A line was dropped."""
        self.count += 1
        if self._tell is not None:
            self._tell(1)

    def watch(self, tell: Callable[[int], None]) -> None:
        """Tell of those up to now at once, and of each that follows."""
        self._tell = tell
        tell(self.count)


dropped_lines: Final = DroppedLines()
"""Those of this process."""


class NeverWaitingHandler(logging.Handler):
    """Writes lines to a file, a terminal, a pipe or a socket; what is not taken at once is dropped."""

    def __init__(self, file: int, dropped: DroppedLines) -> None:
        """Prepare to write.

        Args:
            file: the number of the open file.
            dropped: counts what is dropped.
        """
        super().__init__()
        self._file = file
        self._dropped = dropped
        self._cut_off = False  # whether the last line was written in part
        self._socket: socket.socket | None = None
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(file).st_mode):
                self._socket = socket.socket(fileno=os.dup(file))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or drop it."""
        try:
            data = memoryview(f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:
            self.handleError(record)
            return
        if self._cut_off:
            if not self._write(memoryview(b"\n")):
                self._dropped.add()
                return
            self._cut_off = False
        for start in range(0, len(data), PIECE):
            if not self._write(data[start : start + PIECE]):
                self._cut_off = start > 0
                self._dropped.add()
                return

    def close(self) -> None:
        """Write no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        super().close()

    def _write(self, data: memoryview) -> bool:
        """Write a piece without waiting; return whether it was taken."""
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT) == len(data)
            if not _takes(self._file):
                return False
            return os.write(self._file, data) == len(data)
        except (OSError, ValueError):
            return False


def _takes(file: int) -> bool:
    """Return whether an open file takes a piece now. Regular files and terminals as a rule do."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(file, select.POLLOUT)
    return any(event & select.POLLOUT for _, event in poll.poll(0))


class TextFormatter(logging.Formatter):
    """Lines such as ``2026-11-25T14:48:00.123Z INFO Starting stocks proxy on port 8765``."""

    def __init__(self) -> None:
        super().__init__(f"%(asctime)s {BARE_LINE}")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return when a record was made, in UTC, to the millisecond (RFC 3339)."""
        return _time_text(record.created)


class JsonFormatter(logging.Formatter):
    """Lines that are JSON objects: ``time``, ``level``, ``logger``, ``message`` and, of an error, ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        content = {
            "time": _time_text(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


class JournalFormatter(logging.Formatter):
    """Lines for systemd's journal: each begins with its priority."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record, a priority before each of its lines."""
        level = max((known for known in _PRIORITIES if known <= record.levelno), default=logging.DEBUG)
        priority = f"<{_PRIORITIES[level]}>"
        return "\n".join(priority + line for line in super().format(record).split("\n"))


def _time_text(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def writes_to_journal(file: int, environment: Mapping[str, str]) -> bool:
    """Return whether an open file is systemd's journal (systemd.exec(5), JOURNAL_STREAM)."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(file)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def log_formatter(log_format: str, *, journal: bool) -> logging.Formatter:
    """Return what makes lines of records.

    Args:
        log_format: one of ``FORMATS``.
        journal: whether they go to systemd's journal, which adds the times and takes levels from the lines.
    """
    if log_format == "json":
        return JsonFormatter()
    if journal:
        return JournalFormatter()
    return TextFormatter() if log_format == "text" else logging.Formatter(BARE_LINE)


def configure_logging(level: str, log_format: str = "text") -> None:
    """Send the log of this process to standard error, one line an event.

    Args:
        level: the least severe level to show: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: one of ``FORMATS``.
    """
    handler: logging.Handler
    journal = False
    try:
        file = sys.stderr.fileno()
    except (
        AttributeError,
        OSError,
        ValueError,
    ):  # it is no open file, where a program of others has replaced it
        handler = logging.StreamHandler()
    else:
        handler = NeverWaitingHandler(file, dropped_lines)
        journal = writes_to_journal(file, os.environ)
    handler.setFormatter(log_formatter(log_format, journal=journal))
    logging.basicConfig(handlers=[handler], force=True)
    set_log_level(level)


def set_log_level(level: str) -> None:
    """Show what is as severe as a level, or more so; arguments as of :func:`configure_logging`."""
    logging.getLogger().setLevel(level.upper())
    # Libraries report each of their connections at INFO; ours say the same in the product's own words.
    severity = (
        max(logging.WARNING, logging.getLevelName(level.upper())) if level != "debug" else logging.NOTSET
    )
    for library in ("websockets", "picows", "aiofastnet", "asyncio"):
        logging.getLogger(library).setLevel(severity)
