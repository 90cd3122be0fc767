"""The oracle: which events of a tape a client should receive, found by decoding the tape with ``json``."""

import json
import struct
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

_SYMBOL_KEYS = {"LULD": "T", "NOI": "T", "XL2": "pair"}


class Oracle:
    """What a tape holds, and who should get what of it."""

    def __init__(self, tape: Path) -> None:
        """Decode a tape.

        Args:
            tape: a file with a JSON array of events on each line.

        Raises:
            ValueError: two events of the tape have the same bytes, so that a repeated one could not be told.
        """
        self.first_event: list[int] = []
        """Of each frame, the number of its first event; then, as one more, how many events there are."""
        self._by_topic: dict[tuple[str, str], array[int]] = defaultdict(lambda: array("I"))
        self._by_type: dict[str, array[int]] = defaultdict(lambda: array("I"))
        count = 0
        distinct = set()
        with tape.open() as frames:
            for frame in frames:
                self.first_event.append(count)
                for event in json.loads(frame):
                    symbol = event[_SYMBOL_KEYS.get(event["ev"], "sym")]
                    self._by_topic[event["ev"], symbol].append(count)
                    self._by_type[event["ev"]].append(count)
                    distinct.add((event["ev"], symbol, event["q"] if "q" in event else event["r"]))
                    count += 1
        self.first_event.append(count)
        self.event_count = count
        if len(distinct) != count:
            raise ValueError(f"{tape}: {count - len(distinct)} of its events are not distinct")

    def expected(self, topics: Iterable[str]) -> Sequence[int]:
        """Return the indices of the events that a client with these topics receives, ascending."""
        matching: set[int] = set()
        for topic in topics:
            if topic == "*":
                return range(self.event_count)
            event_type, _, symbol = topic.partition(".")
            matching.update(
                self._by_type[event_type] if symbol == "*" else self._by_topic[event_type, symbol]
            )
        return array("I", sorted(matching))

    def deliveries(self, expected: Sequence[int], base: int, target: int) -> int:
        """Return how many expected events the endless tape has from ``base`` up to, without it, ``target``."""

        def before(number: int) -> int:
            rounds, index = divmod(number, self.event_count)
            return rounds * len(expected) + bisect_left(expected, index)

        return before(target) - before(base)


def write_expected(lists: Sequence[Sequence[int]], path: Path) -> None:
    """Write lists of event indices in the form that the clients program reads."""
    with path.open("wb") as file:
        file.write(struct.pack("<I", len(lists)))
        for indices in lists:
            file.write(struct.pack("<I", len(indices)))
            file.write(array("I", indices).tobytes())
