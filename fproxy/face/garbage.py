"""Python's garbage collector, set up so that it does not hold up the stream."""

import gc
from typing import Final

from fproxy.shell.turns import Turns

YOUNG_OBJECTS: Final = 2_000
"""How many objects may be made before the young ones are looked through: a tenth of a millisecond's work. Python's own
number is 700, and 2,000 from 3.14."""

MIDDLE_EVERY: Final = 1
"""How many collections of the young ones come between two of the middle generation, which is so kept as small."""

OLD_EVERY: Final = 20_000
"""How many collections of the middle generation come before one of everything."""


STEPS_BETWEEN: Final = 50
"""How many steps of work come between two looks at the young objects. Python counts those that are made less those that
go: while clients of very many topics come and go alike, it would look rarely, at very many at once, for 15 ms."""


def relax_garbage_collection(turns: Turns) -> None:
    """Look for garbage rarely, and never again among what exists now. To be called when a role has started.

    Connections leave no reference cycles behind, so there is next to nothing to find; but a full collection walks
    through all that thousands of clients keep, and stops the stream for as long.

    Args:
        turns: of the event loop: what their steps have made is looked through every now and then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE_EVERY, OLD_EVERY)
    turns.after_every(STEPS_BETWEEN, _collect_young)


def _collect_young() -> None:
    gc.collect(1)  # what is kept counts as old from then on
