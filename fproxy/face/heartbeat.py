"""Whether a child's event loop still turns: its parent asks over the child's standard input, once a second.

A child that has died is known by its end. One that hangs, or was stopped, is not: its port goes on taking connections.
So the parent writes a line to the pipe that is the child's standard input, and the child answers with a line on its
standard output. A parent that hangs asks nobody, so nothing piles up anywhere.
"""

import contextlib
import os
from typing import Final

QUESTION: Final = b"\n"
"""What the parent writes."""

ANSWER: Final = "fproxy is alive"
"""The line that the child writes for it."""

INTERVAL: Final = 1.0
"""Seconds between questions."""

MAX_UNANSWERED: Final = 5
"""How many questions in a row may be unanswered."""

MAX_UNANSWERED_AT_START: Final = 30
"""The same of a child that has never answered: it may be starting."""


def answer(file: int = 1) -> None:
    """Write an answer to standard output, a pipe: it has room, as the parent reads and has asked for it."""
    with contextlib.suppress(OSError):  # the parent is gone
        os.write(file, f"{ANSWER}\n".encode())


class Heartbeat:
    """Counts what one child leaves unanswered.

    Questions are counted, not seconds: a parent that was stopped itself, as at a terminal, must not take its children
    for dead when it goes on.
    """

    def __init__(self) -> None:
        self._unanswered = 0
        self._has_answered = False

    def asked(self) -> bool:
        """The child is asked once more. Return whether it has to be taken for hanging."""
        self._unanswered += 1
        return self._unanswered > (MAX_UNANSWERED if self._has_answered else MAX_UNANSWERED_AT_START)

    def answered(self) -> None:
        """The child has answered."""
        self._unanswered = 0
        self._has_answered = True
