"""Python's garbage collector, set up so that it does not hold up the stream."""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 2_000
"""How many objects may be made before the young ones are looked through: a tenth of a millisecond's work. Python's own
number is 700, and 2,000 from 3.14."""

MIDDLE_EVERY: Final = 1
"""How many collections of the young ones come between two of the middle generation, which is so kept as small."""

OLD_EVERY: Final = 20_000
"""How many collections of the middle generation come before one of everything."""


def relax_garbage_collection() -> None:
    """Look for garbage rarely, and never again among what exists now. To be called when a role has started.

    Connections leave no reference cycles behind, so there is next to nothing to find; but a full collection walks
    through all that thousands of clients keep, and stops the stream for as long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, MIDDLE_EVERY, OLD_EVERY)
