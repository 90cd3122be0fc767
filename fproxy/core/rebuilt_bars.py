"""Bars that are built after the fact."""

from typing import NamedTuple


class RebuiltBars(NamedTuple):
    """The bars of windows that had closed before anybody wanted them.

    Attributes:
        messages: JSON arrays of bars, in order of their ends.
        bars: how many they hold.
        complete: whether every window that was asked for is among them or follows, or was built when it closed.
        next_end: those that follow end at this time or later, in Unix milliseconds; None when these were the last.
    """

    messages: list[bytes]
    bars: int
    complete: bool
    next_end: int | None = None
