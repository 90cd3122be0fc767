"""A set of whatever one client has: as small as any while it has few, and never long to grow when it has very many.

A set of Python's with 80,000 topics grows in one step, which takes 5 to 10 ms; one in parts (``spread.py``) takes 4 KiB
when it is empty, which is too much for thousands of clients of a few topics each.
"""

from collections.abc import Iterator, MutableSet
from typing import Final, TypeVar

from fproxy.core.spread import SpreadSet

FEW: Final = 1_000
"""How many are kept in one part; to spread them over many when there are more takes some tenths of a millisecond."""

K = TypeVar("K")


class GrowingSet(MutableSet[K]):
    """A set that spreads what it has over parts when that is much. It is in no order."""

    __slots__ = ("_few", "_many")

    def __init__(self) -> None:
        """Begin empty."""
        self._few: dict[K, None] = {}
        self._many: SpreadSet[K] | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._few if self._many is None else self._many)

    def __contains__(self, key: object) -> bool:
        """Return whether a key is in the set."""
        return key in self._few if self._many is None else key in self._many  # type: ignore[operator]

    def __iter__(self) -> Iterator[K]:
        """Go through the keys, which must not change meanwhile."""
        return iter(self._few if self._many is None else self._many)

    def add(self, value: K) -> None:
        """Put a key in; nothing when it is there."""
        if self._many is not None:
            self._many.add(value)
            return
        self._few[value] = None
        if len(self._few) > FEW:
            self._many = SpreadSet()
            self._many.update(self._few)
            self._few = {}

    def discard(self, value: K) -> None:
        """Take a key out; nothing when it is not there."""
        if self._many is not None:
            self._many.discard(value)
        else:
            self._few.pop(value, None)

    @property
    def parts(self) -> tuple[dict[K, None], ...]:
        """What it consists of: who has no use for the set any more may take the keys out of these, piece by piece."""
        return (self._few,) if self._many is None else self._many.parts
