"""Tables that never grow by much at once, however much strangers put into them.

A dict or a set of Python's grows in one step, which takes 31 ms with 700,000 entries, and is freed in one, which takes
as long. Here entries are spread over parts, which grow one by one, and can be freed little by little.

A set is made of dicts, too: Python's garbage collector walks through every set, and through no dict of mere strings and
numbers. A million topics of a connection that has just been made again took it 23 ms.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar, overload

PARTS: Final = 64
"""Of how many parts a table consists."""

_SHIFT: Final = 32
"""Which bits of the hash choose the part: others than those that choose the place in it."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
D = TypeVar("D")


def free_some(parts: list[dict[str, Any]], most: int) -> None:
    """Free some of what is of no use to anybody any more: at most so many entries.

    Args:
        parts: what is to be freed; parts that have been are no longer among them.
        most: how many entries; an empty part counts as one.
    """
    while parts and most > 0:
        part = parts[-1]
        if len(part) < most:
            most -= len(part) + 1
            parts.pop()
        else:
            for _ in range(most):
                part.popitem()
            return


class _Spread(Generic[K, V]):
    """What tables in parts have in common: they are in no order.

    Attributes:
        parts: its parts. Who has no use for a table any more may free them little by little (``free_some``).
    """

    __slots__ = ("parts",)

    def __init__(self) -> None:
        """Begin empty."""
        self.parts: tuple[dict[K, V], ...] = tuple({} for _ in range(PARTS))

    def __len__(self) -> int:
        """Return how many entries there are."""
        return sum(map(len, self.parts))

    def __contains__(self, key: K) -> bool:
        """Return whether there is an entry for a key."""
        return key in self.parts[hash(key) >> _SHIFT & PARTS - 1]

    def __iter__(self) -> Iterator[K]:
        """Go through the keys, which must not change meanwhile."""
        for part in self.parts:
            yield from part


class SpreadDict(_Spread[K, V]):
    """A dict in parts."""

    __slots__ = ()

    def part(self, key: K) -> dict[K, V]:
        """Return the part that a key is in, or belongs in: who does several things with a key looks for it once."""
        return self.parts[hash(key) >> _SHIFT & PARTS - 1]

    def __setitem__(self, key: K, value: V) -> None:
        """Make or change an entry."""
        self.parts[hash(key) >> _SHIFT & PARTS - 1][key] = value

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: D | None = None) -> V | D | None:
        """Return the value of a key; the default when there is none."""
        return self.parts[hash(key) >> _SHIFT & PARTS - 1].get(key, default)

    @overload
    def pop(self, key: K) -> V | None: ...
    @overload
    def pop(self, key: K, default: D) -> V | D: ...
    def pop(self, key: K, default: D | None = None) -> V | D | None:
        """Take an entry out; return its value, the default when there is none."""
        return self.parts[hash(key) >> _SHIFT & PARTS - 1].pop(key, default)


class SpreadSet(_Spread[K, None]):
    """A set in parts."""

    __slots__ = ()

    def add(self, key: K) -> None:
        """Put a key in; nothing when it is there."""
        self.parts[hash(key) >> _SHIFT & PARTS - 1][key] = None

    def discard(self, key: K) -> None:
        """Take a key out; nothing when it is not there."""
        self.parts[hash(key) >> _SHIFT & PARTS - 1].pop(key, None)

    def update(self, keys: Iterable[K]) -> None:
        """Put keys in."""
        for key in keys:
            self.parts[hash(key) >> _SHIFT & PARTS - 1][key] = None

    def difference_update(self, keys: Iterable[K]) -> None:
        """Take keys out."""
        for key in keys:
            self.parts[hash(key) >> _SHIFT & PARTS - 1].pop(key, None)
