"""Counts the events of messages with fproxy's scanner: what scanning alone costs, without an object for each event."""

import ctypes
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.peers import build, need

HERE: Final = Path(__file__).parent
SOURCE: Final = HERE / "native" / "count_events.cpp"
# As setup.py compiles the extensions.
FLAGS: Final = ("-O3", "-std=c++17", "-fno-math-errno", "-fno-tree-slp-vectorize", "-shared", "-fPIC")


@cache
def _library() -> ctypes.CDLL:
    need("g++")
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory, "count_events.so")
        headers = HERE.parent / "fproxy" / "native"
        build(["g++", *FLAGS, f"-I{headers}", "-o", str(library), str(SOURCE)], HERE.parent)
        loaded = ctypes.CDLL(str(library))
    loaded.count_events.restype = ctypes.c_ssize_t
    loaded.count_events.argtypes = [
        ctypes.c_char_p,
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.POINTER(ctypes.c_size_t),
        ctypes.c_size_t,
    ]
    return loaded


def event_counter(frames: Sequence[bytes], path: str) -> Callable[[], int]:
    """Return the work of scanning all messages, which returns how many events they have.

    Args:
        frames: the messages.
        path: one of :func:`fproxy._fastpath.available_scan_paths`.

    Raises:
        UnavailableError: there is no compiler, or it failed.
    """
    count = _library().count_events
    messages = (ctypes.c_char_p * len(frames))(*frames)
    sizes = (ctypes.c_size_t * len(frames))(*map(len, frames))

    def work() -> int:
        found: int = count(path.encode(), messages, sizes, len(frames))
        if found < 0:
            raise ValueError("a message is not sound")
        return found

    return work
