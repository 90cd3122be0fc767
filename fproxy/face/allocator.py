"""glibc's allocator, set up so that the memory of a burst goes back to the system."""

import ctypes
from contextlib import suppress
from typing import Final

MAPPED_FROM: Final = 256 * 1024
"""Pieces of memory of this size or more, in bytes, are mapped, and so go back as soon as they are freed."""

TRIMMED_FROM: Final = 8 * 1024 * 1024
"""With so many bytes free at the end of the heap, they go back: more than a steady stream takes and frees."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def give_big_pieces_back() -> None:
    """Have big pieces of memory mapped, whatever has been freed before. To be called before a role starts.

    glibc raises its limit to the size of whatever mapped piece is freed, up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD).
    After one long message, others would stand in the heap, among small pieces that keep it from shrinking.
    ``malloc_trim`` is no way out: where much is free in small pieces it takes tenths of a second. With other
    allocators this does nothing.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM)
        mallopt(_M_TRIM_THRESHOLD, TRIMMED_FROM)
