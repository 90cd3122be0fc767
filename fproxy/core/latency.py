"""Durations counted in buckets: what half of them took at the most, and what all but one in a hundred did."""

from collections import deque
from collections.abc import Sequence
from typing import Final

WINDOW: Final = 10
"""How many looks back quantiles reach."""


def quantile(counts: Sequence[int], ends: Sequence[float], share: float) -> float | None:
    """Return the duration that a share of those counted did not exceed.

    Args:
        counts: how many durations there are in each bucket.
        ends: where each bucket ends, in seconds; the last is infinite.
        share: between 0 and 1.

    Returns:
        seconds, between the ends of the bucket by how far the share reaches into it; the last finite end for what lies
        beyond it; None without any duration.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    passed = 0.0
    for index, count in enumerate(counts):
        if count and passed + count >= wanted:
            begin = ends[index - 1] if index else 0.0
            if index + 1 == len(ends):
                return begin
            return begin + (ends[index] - begin) * (wanted - passed) / count
        passed += count
    return ends[-2]


class LatencyWindow:
    """The quantiles of the last few seconds, from counts that only grow."""

    __slots__ = ("_ends", "_looks")

    def __init__(self, ends: Sequence[float]) -> None:
        """Begin without durations.

        Args:
            ends: where each bucket ends, in seconds; the last is infinite.
        """
        self._ends = ends
        self._looks: deque[Sequence[int]] = deque(maxlen=WINDOW + 1)

    def look(self, counts: Sequence[int]) -> None:
        """Take the counts as they are now; to be called at regular times, such as each second."""
        self._looks.append(counts)

    def quantile(self, share: float) -> float | None:
        """Return the duration that a share of those in the window did not exceed, in seconds; None without any."""
        if not self._looks:
            return None
        now, before = self._looks[-1], self._looks[0] if len(self._looks) > 1 else (0,) * len(self._ends)
        return quantile([new - old for new, old in zip(now, before, strict=True)], self._ends, share)
