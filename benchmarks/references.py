"""The yardsticks of scanning: what the same bytes cost to copy, and to parse without a look at anything."""

from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.decoders import decoder

MEMCPY: Final = "memcpy"
PARSE_ALONE: Final = "pysimdjson-parse-alone"
REFERENCES: Final = (MEMCPY, PARSE_ALONE)
"""Their names, as in the names of benchmarks."""


def reference(name: str, frames: Sequence[bytes]) -> Callable[[], None]:
    """Return the work of that name over all frames, after checking that it does what it says."""
    return _copying(frames) if name == MEMCPY else _parsing(frames)


def _copying(frames: Sequence[bytes]) -> Callable[[], None]:
    # Of bytes themselves, bytes() makes no copy.
    views = [memoryview(frame) for frame in frames]
    assert all(bytes(view) == view.obj and bytes(view) is not view.obj for view in views)

    def copy() -> None:
        for view in views:
            bytes(view)

    return copy


def _parsing(frames: Sequence[bytes]) -> Callable[[], None]:
    parse, other = decoder("pysimdjson").decode, decoder("json").decode
    assert all(parse(frame).as_list() == other(frame) for frame in frames)

    def parse_all() -> None:
        for frame in frames:
            parse(frame)

    return parse_all
