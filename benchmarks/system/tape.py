"""Tapes: seeded streams of market data as files that the source and the clients can both read.

A tape has one upstream frame a line, each a JSON array of events in the shape and key order seen on the live wire:
mostly trades and quotes, and now and then an LULD event, whose symbol stands behind numbers and an array. Events
have no objects in them, numbers are in their shortest form and no two are equal, as each has a number of its own.
Bars are not among them: those come from the aggregator, and an upstream that sent them twice would be no oracle's.
"""

import hashlib
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from benchmarks.system import market_events
from benchmarks.system.market_events import shortest

SYMBOL_COUNT: Final = 2000
EVENT_COUNT: Final = 100_000
_FIRST_TIMESTAMP: Final = 1_781_622_376_036


@dataclass(frozen=True)
class TapeShape:
    """What a tape looks like.

    Attributes:
        name: part of the file's name.
        largest_frame: events in the largest frame; 1 makes every frame hold one event.
        seed: of the random numbers.
        events: how many events there are; a last frame may add some.
        kind: of what: stocks, options (see market_events) or books.
    """

    name: str
    largest_frame: int
    seed: int = 1
    events: int = EVENT_COUNT
    kind: str = "stocks"


MIXED: Final = TapeShape("mixed", 300)
"""Frames of one event to 300, as in a busy market: half of them hold up to 17, most events are in larger ones."""

OPTIONS: Final = TapeShape("options", 300, kind="options")
"""Quotes and trades of a million contracts."""

BOOKS: Final = TapeShape("books", 300, events=20_000, kind="books")
"""Order books of crypto pairs, some 600 bytes each."""

SMALL: Final = TapeShape("small", 32)
"""Frames of one event to 32, about 9 in the mean, as a feed that sends what it has every few hundred microseconds."""

SINGLE: Final = TapeShape("single", 1)
"""Frames of one event each, as in quiet hours."""


def symbols() -> list[str]:
    """Return the symbols of every tape, the most traded first."""
    generator = random.Random(20260101)
    seen: dict[str, None] = {"BRK.B": None, "BACpL": None}
    while len(seen) < SYMBOL_COUNT:
        length = generator.choices((2, 3, 4, 5), (1, 8, 20, 3))[0]
        seen["".join(generator.choices(string.ascii_uppercase, k=length))] = None
    ordered = list(seen)
    generator.shuffle(ordered)
    return ordered


def write_tape(shape: TapeShape, directory: Path) -> Path:
    """Write a tape, unless it is there already.

    Args:
        shape: what to write.
        directory: where to; it must exist.

    Returns:
        The tape's file, whose name changes whenever the code that writes it does.
    """
    code = Path(__file__).read_bytes() + Path(market_events.__file__).read_bytes()
    version = hashlib.sha256(code + repr(shape).encode()).hexdigest()[:12]
    path = directory / f"tape-{shape.name}-{version}.jsonl"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w") as file:
            file.writelines(f"[{','.join(frame)}]\n" for frame in _frames(shape))
        unfinished.rename(path)
    return path


def _frames(shape: TapeShape) -> Iterator[list[str]]:
    generator = random.Random(shape.seed)
    events = _EVENTS[shape.kind](generator)
    written = 0
    while written < shape.events:
        # Log-uniform: as many frames of 2 to 4 events as of 100 to 200.
        size = min(shape.largest_frame, int(shape.largest_frame ** generator.random()) or 1)
        yield [next(events) for _ in range(size)]
        written += size


def _events(generator: random.Random) -> Iterator[str]:
    names = symbols()
    # The first of 2,000 symbols has 1 % of the flow, the first 100 have 38 %, the first 400 have 65 %.
    shares = list(accumulate(1 / (rank + 20) for rank in range(1, len(names) + 1)))
    prices = {name: round(generator.lognormvariate(4, 1), 2) for name in names}
    time_ms = _FIRST_TIMESTAMP
    sequence = 1_000_000
    while True:
        sequence += generator.randint(1, 9)
        time_ms += generator.random() < 0.05
        name = generator.choices(names, cum_weights=shares)[0]
        price = prices[name] = max(1.0, round(prices[name] * generator.gauss(1, 0.0005), 2))
        kind = generator.random()
        if kind < 0.38:
            yield _trade(generator, name, price, time_ms, sequence)
        elif kind < 0.998:
            yield _quote(generator, name, price, time_ms, sequence)
        else:
            yield _band(generator, name, price, time_ms, sequence)


def _quote(generator: random.Random, name: str, price: float, time_ms: int, sequence: int) -> str:
    bid_size, ask_size = (generator.randint(1, 40) * 40 for _ in range(2))
    return (
        f'{{"ev":"Q","sym":"{name}","i":[604],"bx":{generator.randint(1, 21)},"ax":{generator.randint(1, 21)}'
        f',"bp":{shortest(price - 0.01)},"ap":{shortest(price + 0.02)},"bs":{bid_size},"as":{ask_size}'
        f',"t":{time_ms},"pt":{time_ms - generator.randint(0, 9)},"q":{sequence},"z":{generator.randint(1, 3)}}}'
    )


def _band(generator: random.Random, name: str, price: float, time_ms: int, sequence: int) -> str:
    time_ns = time_ms * 1_000_000 + generator.randint(0, 999_999)
    return (
        f'{{"ev":"LULD","h":{shortest(price * 1.1)},"l":{shortest(price * 0.9)},"i":[{generator.choice((15, 21))}]'
        f',"z":3,"T":"{name}","t":{time_ns},"q":{sequence}}}'
    )


def _trade(generator: random.Random, name: str, price: float, time_ms: int, sequence: int) -> str:
    size = generator.choice((1, 10, 40, 100, 100, 200))
    conditions = generator.choice(("", "", ',"c":[37]', ',"c":[12,37]', ',"c":[14,41]'))
    reported = f',"trfi":202,"trft":{time_ms}' if generator.random() < 0.4 else ""
    return (
        f'{{"ev":"T","sym":"{name}","i":"{sequence // 7}","x":{generator.randint(1, 21)},"p":{shortest(price)}'
        f',"s":{size}{conditions},"t":{time_ms},"pt":{time_ms - generator.randint(0, 9)},"q":{sequence}'
        f',"z":{generator.randint(1, 3)}{reported},"ds":"{size}.0"}}'
    )


_EVENTS: Final[dict[str, Callable[[random.Random], Iterator[str]]]] = {
    "stocks": _events,
    "options": market_events.option_events,
    "books": market_events.book_events,
}
