"""How much a byte costs to scan and match, by market: stocks, a crypto book tape, and options of a million contracts.

``python -m benchmarks.market_tapes`` plays the three in turn through fan-outs, in one process without sockets, and
prints nanoseconds of CPU a byte and the ratio to stocks; and the memory that a topic takes. One client has a topic for
the trades (of crypto: the books) of every symbol, so about a quarter of the events of stocks and options are found by
their symbol and collected; or it has as many topics of other symbols: all of those are looked up and none is found.
"""

import random
import resource
import time
from collections.abc import Iterable
from functools import partial
from itertools import islice

from benchmarks.counted_events import event_counter
from benchmarks.system.market_events import CONTRACT_COUNT, contract, option_events
from fproxy._fastpath import Fanout, available_scan_paths
from fproxy.core.topics import Topic
from fproxy.simulation.crypto import PAIRS
from fproxy.simulation.market import Market
from fproxy.simulation.rosters import ROSTERS
from fproxy.simulation.stock_listings import LISTINGS
from fproxy.simulation.tape import TAPE_START, tape

EVENTS = 100_000
ROUNDS = 7
FRAME_EVENTS = 100


class _Nowhere:
    def write(self, frames: bytes) -> None:
        """Take frames, and forget them."""


def _frames(events: Iterable[str]) -> list[bytes]:
    texts = list(events)
    return [
        f"[{','.join(texts[at : at + FRAME_EVENTS])}]".encode() for at in range(0, len(texts), FRAME_EVENTS)
    ]


def _books() -> list[bytes]:
    market = Market(seed=3, start=TAPE_START, rate=EVENTS, roster=ROSTERS["crypto"])
    events: list[str] = []
    while len(events) < EVENTS // 8:
        for frame in market.advance(market.now + 50):
            events += [
                text if text.startswith("{") else f"{{{text}"
                for text in frame.payload.decode()[1:-1].replace("},{", "}\n{").split("\n")
                if '"ev":"XL2"' in text
            ]
    return _frames(events)


def _feed(fanout: Fanout, frames: Iterable[bytes]) -> None:
    for frame in frames:
        fanout.feed(0, frame)


def _resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> None:
    """Measure, and print a table."""
    million = [contract(number) for number in range(CONTRACT_COUNT)]
    tapes = {
        "stocks": (tape(1, EVENTS), "T", [listing.symbol for listing in LISTINGS]),
        "crypto XL2": (_books(), "XL2", [pair.symbol for pair in PAIRS]),
        "options": (_frames(islice(option_events(random.Random(2)), EVENTS)), "T", million),
    }
    fanouts = {}
    for name, (_, event_type, symbols) in tapes.items():
        for kind in ("found", "not found"):
            fanout = fanouts[name, kind] = Fanout()
            client = fanout.add_client(_Nowhere())
            before = _resident_bytes()
            other = "" if kind == "found" else "X"
            fanout.subscribe(client, [Topic(event_type, symbol + other) for symbol in symbols])
            if kind == "found" and len(symbols) == CONTRACT_COUNT:
                print(
                    f"{CONTRACT_COUNT:,} topics: {(_resident_bytes() - before) / CONTRACT_COUNT:.0f} bytes each"
                )
    counters = {
        name: event_counter(frames, available_scan_paths()[0]) for name, (frames, _, _) in tapes.items()
    }
    best: dict[tuple[str, str], float] = {}
    for _ in range(ROUNDS):
        for name, (frames, _, _) in tapes.items():
            size = sum(map(len, frames))
            for kind in ("scan", "not found", "found"):
                work = counters[name] if kind == "scan" else partial(_feed, fanouts[name, kind], frames)
                start = time.process_time()
                work()
                spent = (time.process_time() - start) / size * 1e9
                best[name, kind] = min(best.get((name, kind), spent), spent)
                if kind != "scan":
                    fanouts[name, kind].flush()
    for (name, kind), nanoseconds in best.items():
        print(
            f"{name:12} {kind:10} {nanoseconds:.3f} ns a byte, {nanoseconds / best['stocks', kind]:.2f} of stocks"
        )


if __name__ == "__main__":
    main()
