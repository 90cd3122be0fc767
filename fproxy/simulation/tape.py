"""A recording of the simulated market, for tests and measurements."""

from typing import Final

from fproxy.simulation.market import Market
from fproxy.simulation.stock_listings import LISTINGS

TAPE_START: Final = 1_767_623_400_000
"""The time of every tape's first event, in Unix milliseconds: 2026-01-05 14:30:00 UTC."""


def tape(seed: int, events: int, *, rate: float = 100_000.0, symbols: int = len(LISTINGS)) -> list[bytes]:
    """Return messages of the simulated market, always the same ones for the same arguments.

    Args:
        seed: of the random generator.
        events: the least number of events, over all messages; the last message may bring some more.
        rate: events a second of market time, which makes the messages long or short: a hundred events on
            average at 100,000. Bars come every second of market time.
        symbols: how many instruments, the most active first.

    Returns:
        JSON arrays of events, in order of time.

    Raises:
        ValueError: the rate or the number of symbols is out of range.
    """
    market = Market(seed=seed, start=TAPE_START, rate=rate, symbols=symbols)
    payloads: list[bytes] = []
    while events > 0:
        for frame in market.advance(market.now + 1):
            payloads.append(frame.payload)
            events -= frame.events
            if events <= 0:
                break
    return payloads
