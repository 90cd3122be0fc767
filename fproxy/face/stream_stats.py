"""What came in each second: events by type, bytes, symbols, and how old events were. Knows no clock and no terminal."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fproxy.face.event_text import Event, printable
from fproxy.face.readable import short, size_text, time_text

MAX_SYMBOLS: Final = 1_000_000
"""How many symbols are told apart."""

LATENCY_NOTE: Final = (
    "Latency: from an event's own time (of a bar, its end) to its arrival here, by the clocks of both: "
    "it includes their difference"
)


class Latency(NamedTuple):
    """How old events were when they arrived, in seconds; less than 0 where the clocks differ by more than that."""

    median: float
    p99: float


class Second(NamedTuple):
    """What came in about a second.

    Attributes:
        ended: when it ended, in Unix seconds.
        seconds: how long it was.
        events: how many events of each type came, the most frequent first.
        size: bytes of all messages, statuses included.
        latencies: of each type whose events tell their time.
        latency: of all events that do; None when there was none.
        symbols: how many symbols have been seen since the start.
    """

    ended: float
    seconds: float
    events: dict[str, int]
    size: int
    latencies: dict[str, Latency]
    latency: Latency | None
    symbols: int


class StreamStats:
    """Counts what comes, and gives it by the second."""

    def __init__(self) -> None:
        self._symbols: set[str] = set()
        self._begin()

    def take_message(self, size: int) -> None:
        """A message of so many bytes has come."""
        self._size += size

    def take(self, event: Event, now: float) -> None:
        """An event has come, at a time in Unix seconds."""
        event_type = event.event_type
        self._events[event_type] += 1
        if len(self._symbols) < MAX_SYMBOLS:
            self._symbols.add(event.symbol)
        own_time = event.own_time
        if own_time is not None:
            self._latencies.setdefault(event_type, []).append(now - own_time / 1000)

    def second(self, now: float, seconds: float) -> Second:
        """Return what came since the last call, and begin anew.

        Args:
            now: the time, in Unix seconds.
            seconds: how long ago the last call was.
        """
        everything = [latency for latencies in self._latencies.values() for latency in latencies]
        second = Second(
            ended=now,
            seconds=seconds,
            events=dict(self._events.most_common()),
            size=self._size,
            latencies={name: _latency(latencies) for name, latencies in self._latencies.items()},
            latency=_latency(everything) if everything else None,
            symbols=len(self._symbols),
        )
        self._begin()
        return second

    def _begin(self) -> None:
        self._size = 0
        self._events: Counter[str] = Counter()
        self._latencies: dict[str, list[float]] = {}


def _latency(latencies: Sequence[float]) -> Latency:
    """Return the nearest-rank median and 99th percentile."""
    ordered = sorted(latencies)
    return Latency(ordered[(len(ordered) - 1) // 2], ordered[-(-len(ordered) * 99 // 100) - 1])


def rate(count: float, second: Second) -> float:
    """Return a count of a second as one a second; 0 where no time went by."""
    return count / second.seconds if second.seconds > 0 else 0.0


def symbols_text(second: Second) -> str:
    """Return how many symbols have been seen."""
    return f"{short(second.symbols)}{' or more' if second.symbols >= MAX_SYMBOLS else ''}"


def stats_line(second: Second) -> str:
    """Return a second as one line of text, without its time."""
    latency = second.latency
    by_type = ", ".join(
        f"{short(rate(count, second))} {printable(name)}" for name, count in second.events.items()
    )
    return "  ".join(
        (
            f"{short(rate(sum(second.events.values()), second))} events/s"
            + (f" ({by_type})" if by_type else ""),
            f"{size_text(rate(second.size, second))}/s",
            f"latency median {time_text(latency and latency.median)} p99 {time_text(latency and latency.p99)}",
            f"{symbols_text(second)} symbols",
        )
    )


def stats_record(second: Second) -> dict[str, Any]:
    """Return a second as plain values: counts and bytes as they are, not by the second; latencies in seconds."""
    return {
        "time": round(1000 * second.ended),
        "seconds": round(second.seconds, 3),
        "events": second.events,
        "bytes": second.size,
        "latency": _latency_record(second.latency),
        "latency_by_type": {name: _latency_record(latency) for name, latency in second.latencies.items()},
        "symbols": second.symbols,
    }


def _latency_record(latency: Latency | None) -> dict[str, float] | None:
    return None if latency is None else {name: round(value, 6) for name, value in latency._asdict().items()}
