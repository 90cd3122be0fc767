"""Tables that never grow by much at once, however much strangers put into them.

A dict or a set of Python's grows in one step, which takes 31 ms with 700,000 entries, and is freed in one, which takes
as long. Here entries are spread over parts, which grow one by one, and can be freed one by one.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar, overload

PARTS: Final = 64
"""Of how many parts a table consists."""

_SHIFT: Final = 32
"""Which bits of the hash choose the part: others than those that choose the place in it."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
P = TypeVar("P", bound=Collection[Any])
D = TypeVar("D")


class _Spread(Generic[P, K]):
    """What tables in parts have in common: they are in no order.

    Attributes:
        parts: its parts. Who has no use for a table any more may free one after the other.
    """

    __slots__ = ("parts",)

    def __init__(self, new_part: Callable[[], P]) -> None:
        self.parts: tuple[P, ...] = tuple(new_part() for _ in range(PARTS))

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


class SpreadDict(_Spread[dict[K, V], K], Generic[K, V]):
    """A dict in parts."""

    __slots__ = ()

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__(dict)

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


class SpreadSet(_Spread[set[K], K]):
    """A set in parts."""

    __slots__ = ()

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__(set)

    def add(self, key: K) -> None:
        """Put a key in; nothing when it is there."""
        self.parts[hash(key) >> _SHIFT & PARTS - 1].add(key)

    def discard(self, key: K) -> None:
        """Take a key out; nothing when it is not there."""
        self.parts[hash(key) >> _SHIFT & PARTS - 1].discard(key)

    def update(self, keys: Iterable[K]) -> None:
        """Put keys in."""
        for key in keys:
            self.parts[hash(key) >> _SHIFT & PARTS - 1].add(key)

    def difference_update(self, keys: Iterable[K]) -> None:
        """Take keys out."""
        for key in keys:
            self.parts[hash(key) >> _SHIFT & PARTS - 1].discard(key)
