"""The workloads: who subscribes to what, and how the tape is played."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.system.market_events import CONTRACT_COUNT, contract, pairs
from benchmarks.system.tape import BOOKS, MIXED, OPTIONS, SINGLE, SMALL, TapeShape, symbols

Topics = tuple[str, ...]


@dataclass(frozen=True)
class Workload:
    """One workload.

    Attributes:
        name: what it is called on the command line and in tables.
        description: what it is, in a few words.
        clients: the topics of each client.
        tape: the shape of the tape.
        rate: events a second, or None for flat out.
        idle_clients: clients that connect while the tape plays and that nothing is for.
        windowed: whether the source waits for clients that fall behind; else it plays as fast as the program reads.
        events: how many to play flat out, instead of what fits the time asked for; None leaves it to that.
        lagging: whether clients read nothing before the program has read all.
        market: whose events they are. Peers know that of stocks only.
        storm: topics that another client subscribes to meanwhile: so many in big messages, so many one a message.
    """

    name: str
    description: str
    clients: tuple[Topics, ...] = field(repr=False)
    tape: TapeShape = MIXED
    rate: float | None = None
    idle_clients: int = 0
    market: str = "stocks"
    storm: tuple[int, int] | None = None
    windowed: bool = True
    events: int | None = None
    lagging: bool = False


def _of_symbols(names: list[str]) -> Topics:
    return tuple(f"{event_type}.{name}" for name in names for event_type in ("T", "Q"))


def _samples(clients: int, count: int, universe: list[str]) -> tuple[Topics, ...]:
    """Give each client its own seeded sample of the universe's symbols, trades and quotes of each."""
    generator = random.Random(f"{clients} {count} {len(universe)}")
    return tuple(_of_symbols(generator.sample(universe, count)) for _ in range(clients))


def all_workloads(rates: Sequence[int] = (20_000, 100_000)) -> dict[str, Workload]:
    """Return every workload by name, in the order of tables.

    Args:
        rates: of the paced workloads, in events a second.
    """
    names = symbols()
    sparse = _samples(100, 20, names)
    hot = _samples(400, 10, names[:100])
    few = _samples(10, 20, names)
    wildcards = (("T.*",),) * 4 + (("Q.*",),) * 3 + (("*",),) * 3
    found = [
        Workload("sparse", "100 clients x 20 of 2,000 symbols", sparse),
        Workload("hot", "400 clients x 10 of the 100 hottest symbols", hot),
        Workload("overlap", "50 clients x 300 of the 400 hottest symbols", _samples(50, 300, names[:400])),
        Workload("crowd", "500 clients with the same 20 hot symbols", _samples(1, 20, names[:100]) * 500),
        Workload(
            "wildcard",
            "10 clients: 4 on T.*, 3 on Q.*, 3 on *",
            wildcards,
        ),
        Workload(
            "burst",
            "wildcard, all at once: nothing waits for the clients",
            wildcards,
            windowed=False,
            events=400_000,
        ),
        Workload(
            "lag",
            "burst, and clients read nothing before all of it is there",
            wildcards,
            windowed=False,
            events=400_000,
            lagging=True,
        ),
        Workload(
            "nobody",
            "100 clients x 20 symbols that never trade",
            _samples(100, 20, [f"NONE{i}" for i in range(900)]),
        ),
    ]
    found += [
        Workload(
            "books",
            "100 clients x 20 of 300 crypto pairs' order books",
            tuple(
                tuple(f"XL2.{pair}" for pair in random.Random(client).sample(pairs(), 20))
                for client in range(100)
            ),
            BOOKS,
            market="crypto",
        ),
        Workload(
            "options",
            "20 clients have the trades of 100,000 of 1,000,000 contracts between them",
            tuple(
                tuple(f"T.{contract(number)}" for number in range(client, CONTRACT_COUNT, 200))
                for client in range(20)
            ),
            OPTIONS,
            market="options",
        ),
    ]
    found += [
        Workload(f"paced-{rate // 1000}k", f"sparse at {rate:,} events/s", sparse, SMALL, rate)
        for rate in rates
    ]
    found.append(Workload("paced-hot-20k", "hot at 20,000 events/s", hot, SMALL, 20_000))
    found += [
        Workload(
            f"trickle-{rate // 1000}k", f"sparse, one-event frames at {rate:,} events/s", sparse, SINGLE, rate
        )
        for rate in (1_000, 5_000, 20_000)
    ]
    found += [
        Workload(
            "idle",
            "5,000 clients connect and idle beside 10 x 20 symbols at 20,000 events/s",
            few,
            SMALL,
            20_000,
            idle_clients=5_000,
        ),
        Workload(
            "storm",
            "one client subscribes to 10,000 topics, then 1,000 one by one, beside the same",
            few,
            SMALL,
            20_000,
            storm=(10_000, 1_000),
        ),
    ]
    return {workload.name: workload for workload in found}
