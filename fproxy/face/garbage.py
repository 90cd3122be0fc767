"""Python's garbage collector, set up so that it does not hold up the stream."""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 50_000
"""How many objects may be made before the young ones are looked through, instead of Python's 700 (2,000 from 3.14)."""

OLD_EVERY: Final = 100
"""How many collections of the middle generation come before one of everything."""


def relax_garbage_collection() -> None:
    """Look for garbage rarely, and never again among what exists now. To be called when a role has started.

    Connections leave no reference cycles behind, so there is next to nothing to find; but a full collection walks
    through all that thousands of clients keep, and stops the stream for as long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, OLD_EVERY)
