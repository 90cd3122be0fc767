"""Which core does what, where whoever is measured shares a machine with those who attack it.

Attackers of the real world come from other machines. On this one the proxy has a core of its own; what is measured with
has another, which attackers and all else take what is left of.
"""

import os
from dataclasses import dataclass
from typing import Final, Self

PATIENCE: Final = 19
"""The niceness of those who must not delay who is measured: a hundredth of the others' share of a core that is busy."""


@dataclass(frozen=True)
class Cores:
    """Sets of cores.

    Attributes:
        proxy: of the proxy that is measured; nothing else of the run is on it.
        measuring: of the source and the healthy clients.
        others: of the attackers, and of another proxy that they attack.
    """

    proxy: frozenset[int]
    measuring: frozenset[int]
    others: frozenset[int]

    @classmethod
    def split(cls) -> Self:
        """Share out the cores that this process may use: with two, attackers have the one of the healthy clients."""
        first, *rest = sorted(os.sched_getaffinity(0))
        if not rest:
            return cls(frozenset({first}), frozenset({first}), frozenset({first}))
        second, *more = rest
        return cls(frozenset({first}), frozenset({second}), frozenset(more or {second}))


def stand_back(cores: frozenset[int]) -> None:
    """Have this process run on these cores, on what others leave of them."""
    os.sched_setaffinity(0, cores)
    os.nice(PATIENCE)
