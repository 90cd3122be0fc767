"""What the micro-benchmarks play: upstream messages of the simulated market, in the forms that cost differently."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from benchmarks.decoders import topic_of
from fproxy.simulation.tape import tape

SEED: Final = 20_260_105
EVENTS: Final = 3_000


@dataclass(frozen=True)
class MarketFrames:
    """Upstream messages that are played in one call of a benchmark.

    Attributes:
        frames: JSON arrays of events, in order.
    """

    frames: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes in all frames."""
        return sum(map(len, self.frames))

    @property
    def decoded(self) -> list[dict[str, Any]]:
        """Every event, decoded with ``json``."""
        return [event for frame in self.frames for event in json.loads(frame)]

    @property
    def events(self) -> int:
        """How many events there are."""
        return len(self.decoded)

    def first(self, count: int) -> "MarketFrames":
        """Return the first ``count`` frames."""
        return MarketFrames(self.frames[:count])

    def each(self, change: Callable[[bytes], bytes]) -> "MarketFrames":
        """Return the frames after ``change``."""
        return MarketFrames(tuple(change(frame) for frame in self.frames))


@cache
def busy_market() -> MarketFrames:
    """Return a busy market: frames of a hundred trades and quotes in the mean, as compact as vendors send them."""
    return MarketFrames(tuple(tape(SEED, EVENTS)))


@cache
def spaced_market() -> MarketFrames:
    """Return the same events with a space behind every colon and comma, as ``json.dumps`` writes them."""
    return busy_market().each(lambda frame: json.dumps(json.loads(frame)).encode())


@cache
def late_escape_market() -> MarketFrames:
    """Return the same frames, each with one more event at its end that has an escape: the fast scanner's worst case."""
    return busy_market().each(lambda frame: frame[:-1] + b',{"ev":"T","sym":"\\u0041"}]')


@cache
def symbols() -> tuple[str, ...]:
    """Return the symbols of the busy market, those with most events first."""
    counts = Counter(topic_of(event)[1] for event in busy_market().decoded)
    return tuple(sorted(counts, key=lambda symbol: (-counts[symbol], symbol)))
