"""The simulated market: a seeded stream of the vendor's messages, by event time.

The same seed, start, rate and number of instruments give the same bytes on every machine and in every version
of Python: all arithmetic on prices and sizes is on integers, and of Python's generator only ``random()`` is
used, whose sequence Python guarantees. Nothing here knows of clocks or sockets.
"""

from collections.abc import Callable, Iterable
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple

from fproxy.simulation.instrument import CHOICE_BITS, Instrument, Roster
from fproxy.simulation.stock import stocks

MAX_FRAME_EVENTS: Final = 250
"""The most events in one frame, so that no frame nears the sizes that clients refuse."""

_RANDOM_BITS: Final = 53
_ONE: Final = float(1 << _RANDOM_BITS)
_ACTIVITY_BITS: Final = 13

_SECOND_MS: Final = 1_000
_MINUTE_MS: Final = 60_000

# About how busy each of 20 milliseconds is, in some order, against the mean: events come in bursts.
_BURSTS: Final = (
    *(0.0, 0.0, 0.0, 0.0, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5),
    *(0.75, 0.75, 1.0, 1.0, 1.0, 1.5, 1.75, 2.5, 3.0, 4.5),
)


class Frame(NamedTuple):
    """One message of the vendor.

    Attributes:
        time: when it is sent, in Unix milliseconds: the time of its events or, for bars, the end of their
            window.
        events: how many events it holds.
        payload: a JSON array of them.
    """

    time: int
    events: int
    payload: bytes


class _Arrivals:
    """How many events come in each millisecond: bursts around a mean rate, exact over every 20 ms."""

    def __init__(self, rate: float, draw: Callable[[], float]) -> None:
        self._per_millisecond = rate / 1_000
        self._draw = draw
        self._deck: list[float] = []
        self._carry = 0.0

    def next(self) -> int:
        """Return the number of events in the next millisecond."""
        if not self._deck:
            weights = [burst * (0.5 + self._draw()) for burst in _BURSTS]
            total = 0.0
            for weight in weights:  # sum() rounds otherwise from Python 3.12 on
                total += weight
            self._deck = [weight / total * len(weights) for weight in weights]
            for last in range(len(self._deck) - 1, 0, -1):
                other = int(self._draw() * (last + 1))
                self._deck[last], self._deck[other] = self._deck[other], self._deck[last]
        self._carry += self._deck.pop() * self._per_millisecond
        count = int(self._carry)
        self._carry -= count
        return count


def _by_activity(instruments: list[Instrument]) -> list[Instrument]:
    """Return a table in which an even draw falls on the n-th instrument about as often as 1/(n + 2)."""
    size = 1 << _ACTIVITY_BITS
    sums = list(accumulate(1 / (rank + 2) for rank in range(1, len(instruments) + 1)))
    table: list[Instrument] = []
    for instrument, weight in zip(instruments, sums, strict=True):
        until = int(weight / sums[-1] * size)
        table.extend([instrument] * (until - len(table)))
    table.extend([instruments[0]] * (size - len(table)))
    return table


class Market:
    """A simulated market.

    Args:
        seed: of the random generator.
        start: the time of the first event at the earliest, in Unix milliseconds.
        rate: trades, quotes and other events a second of market time, together; bars come on top. Positive.
        symbols: how many instruments, the most active first; None for all that there are.
        roster: the instruments of the market.

    Raises:
        ValueError: the rate or the number of symbols is out of range; the message says which and how.
    """

    def __init__(
        self, *, seed: int, start: int, rate: float, symbols: int | None = None, roster: Roster = stocks
    ) -> None:
        if not 0 < rate < float("inf"):
            raise ValueError(f"rate {rate!r} is not a positive number of events a second")
        makers = roster(start)
        if symbols is None:
            symbols = len(makers)
        if not 1 <= symbols <= len(makers):
            raise ValueError(f"symbols {symbols!r} is not between 1 and {len(makers)}")
        random = Random(seed)  # noqa: S311 - a simulation, not a secret
        self._draw = random.random
        self._rate = rate
        self._arrivals = _Arrivals(rate, self._draw)
        self._instruments = [make(1_000 + int(self._draw() * 100_000)) for make in makers[:symbols]]
        self._table = _by_activity(self._instruments)
        self._now = start
        self._second = start - start % _SECOND_MS
        self._minute = start - start % _MINUTE_MS
        # Dictionaries as ordered sets: who traded in the open second, and in the minute's closed seconds.
        self._traded_in_second: dict[Instrument, None] = {}
        self._traded_in_minute: dict[Instrument, None] = {}

    @property
    def now(self) -> int:
        """The market's time in Unix milliseconds: everything before it has happened, nothing at it."""
        return self._now

    @property
    def rate(self) -> float:
        """Events a second of market time, without bars."""
        return self._rate

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instruments' symbols, the most active first."""
        return tuple(instrument.symbol for instrument in self._instruments)

    def advance(self, until: int, *, render: bool = True) -> list[Frame]:
        """Let everything happen before ``until``, and return it as frames in order of time.

        Args:
            until: Unix milliseconds; a time that has passed changes nothing.
            render: False when nobody listens: the same happens, but no frames are made of it.
        """
        frames: list[Frame] = []
        while self._now < until:
            now = self._now
            if now >= self._second + _SECOND_MS:
                self._close_windows(now, frames, render)
            if count := self._arrivals.next():
                self._happen(count, now, frames, render)
            self._now = now + 1
        return frames

    def skip(self, until: int, *, render: bool = True) -> list[Frame]:
        """Let nothing happen before ``until`` but the closing of windows; return the bars as frames.

        Args:
            until: Unix milliseconds; a time that has passed changes nothing.
            render: as for `advance`.
        """
        frames: list[Frame] = []
        if until > self._now:
            if until >= self._second + _SECOND_MS:
                self._close_windows(until, frames, render)
            self._now = until
        return frames

    def _happen(self, count: int, now: int, frames: list[Frame], render: bool) -> None:
        draw = self._draw_bits
        table = self._table
        traded = self._traded_in_second
        events: list[str | None] = []
        add = events.append
        for _ in range(count):
            bits = draw()
            instrument = table[bits & (1 << _ACTIVITY_BITS) - 1]
            bits >>= _ACTIVITY_BITS
            choice = bits & (1 << CHOICE_BITS) - 1
            event, is_price = instrument.happen(choice, bits >> CHOICE_BITS, draw, now, render=render)
            if is_price:
                traded[instrument] = None
            add(event)
        _frame(now, events, frames)

    def _draw_bits(self) -> int:
        return int(self._draw() * _ONE)

    def _close_windows(self, now: int, frames: list[Frame], render: bool) -> None:
        """Close the second, and the minute if it has ended too; ``now`` is at or after the second's end."""
        end = self._second + _SECOND_MS
        bars = [instrument.bars.close_second(self._second) for instrument in self._traded_in_second]
        if render:
            _frame(end, bars, frames)
        self._traded_in_minute.update(self._traded_in_second)
        self._traded_in_second.clear()
        self._second = now - now % _SECOND_MS
        if now < self._minute + _MINUTE_MS:
            return
        bars = [instrument.bars.close_minute(self._minute) for instrument in self._traded_in_minute]
        if render:
            _frame(self._minute + _MINUTE_MS, bars, frames)
        self._traded_in_minute.clear()
        self._minute = now - now % _MINUTE_MS


def _frame(time: int, events: Iterable[str | None], frames: list[Frame]) -> None:
    """Add the events that there are to ``frames``, in as many frames as they need."""
    texts = [event for event in events if event is not None]
    for begin in range(0, len(texts), MAX_FRAME_EVENTS):
        part = texts[begin : begin + MAX_FRAME_EVENTS]
        frames.append(Frame(time, len(part), f"[{','.join(part)}]".encode()))
