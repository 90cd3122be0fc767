"""How much of a turn of the event loop may go to what is not market data."""

from typing import Final

LEAST: Final = 0.0001
"""What may go to it in any turn, in seconds: for so long data that has just come may wait for it."""

MOST: Final = 0.002
"""What may go to it at most, in seconds."""

SHARE: Final = 0.25
"""Its share of a turn that is long anyway: when there is data without end, the rest must get on too."""


class TurnBudget:
    """The budget of one kind of work, while it has work in turn after turn.

    Attributes:
        allowed: how long the work may take in the present turn, in seconds; its last step may exceed that.
    """

    __slots__ = ("_began", "_least", "_most", "_share", "allowed")

    def __init__(self, least: float = LEAST, *, most: float = MOST, share: float = SHARE) -> None:
        """Prepare a budget; times in seconds.

        Args:
            least: what is allowed in a short turn.
            most: what is allowed in a long one.
            share: the share of a turn between them.
        """
        self._least = least
        self._most = max(least, most)
        self._share = share
        self._began = 0.0
        self.allowed = least

    def begin(self, now: float) -> None:
        """The first turn after a rest begins: it is not known yet to be long."""
        self._began = now
        self.allowed = self._least

    def turn(self, now: float) -> None:
        """Another turn begins, without a rest since the one before it."""
        self.allowed = min(self._most, max(self._least, self._share * (now - self._began)))
        self._began = now
