"""Going through very many topics piece by piece, while they change."""

from collections import deque
from collections.abc import Collection, Iterable


class Visit:
    """Topics that are still to be looked at: in parts, each of which is listed when its turn has come.

    Attributes:
        parts: the parts that have not been begun.
    """

    __slots__ = ("_piece", "parts")

    def __init__(self, parts: Iterable[Collection[str]] = ()) -> None:
        """Begin.

        Args:
            parts: where the topics are: what is put in or taken out before the part's turn, is or is not among them.
        """
        self.parts = deque(parts)
        self._piece: list[str] = []  # of the present part, the last one first

    def __bool__(self) -> bool:
        """Return whether something is still to be looked at."""
        return bool(self._piece or self.parts)

    def add(self, parts: Iterable[Collection[str]]) -> None:
        """Go through more parts, behind the others."""
        self.parts.extend(parts)

    def take(self, most: int) -> list[str]:
        """Return the next topics, at most so many."""
        taken: list[str] = []
        while len(taken) < most and self:
            if not self._piece:
                self._piece = list(self.parts.popleft())
                self._piece.reverse()
            while self._piece and len(taken) < most:
                taken.append(self._piece.pop())
        return taken
