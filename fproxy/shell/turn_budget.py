"""How much of a turn of the event loop may go to what is not market data."""

from typing import Final

LEAST: Final = 0.00005
"""What may go to it in any turn, in seconds: for so long data that has just come may wait for it."""

MOST: Final = 0.002
"""What may go to it at most, in seconds."""

SHARE: Final = 0.5
"""What may go to it of as long as market data took: when there is data without end, the rest must get on too."""


class TurnBudget:
    """The budget of what is not market data, while there is some in turn after turn.

    Attributes:
        allowed: how long the work may take in the present turn, in seconds; its last step may exceed that.
    """

    __slots__ = ("_ended", "_least", "_most", "_share", "allowed")

    def __init__(self, least: float = LEAST, *, most: float = MOST, share: float = SHARE) -> None:
        """Prepare a budget; times in seconds.

        Args:
            least: what is allowed at the least.
            most: what is allowed at the most.
            share: what is allowed between them, by how long all else took since the work of the turn before.
        """
        self._least = least
        self._most = max(least, most)
        self._share = share
        self._ended = 0.0
        self.allowed = least

    def rested(self, now: float) -> None:
        """There was no work in the turn before: how long all else takes is not known."""
        self._ended = now

    def lapse(self, seconds: float) -> None:
        """Something that is not market data has taken so long, between the work of two turns."""
        self._ended += seconds

    def begin(self, now: float) -> None:
        """The work of a turn begins."""
        self.allowed = min(self._most, max(self._least, self._share * (now - self._ended)))

    def end(self, now: float) -> None:
        """The work of the turn has ended."""
        self._ended = now
