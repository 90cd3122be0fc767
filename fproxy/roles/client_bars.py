"""The millisecond bars that each client of an aggregator has."""

import time
from collections.abc import Iterable, Sequence

from fproxy.core.bar_errors import BarLimitError
from fproxy.core.bar_wants import BarWants
from fproxy.core.topics import Topic, bar_interval
from fproxy.shell.clock import unix_ms
from fproxy.shell.work_steps import Steps, pieces


class ClientBars:
    """One client's."""

    __slots__ = ("_bars", "_wants")

    def __init__(self, wants: BarWants) -> None:
        """Begin with none; ``wants`` counts those of all clients."""
        self._wants = wants
        self._bars: set[Topic] = set()

    def acquire(self, topics: Sequence[Topic]) -> dict[Topic, str]:
        """Have the bars among topics built for the client; return those that cannot be, each with the reason."""
        refused: dict[Topic, str] = {}
        for topic in topics:
            if bar_interval(topic.event_type) is None or topic in self._bars:
                continue
            try:
                self._wants.acquire(topic, at=unix_ms())
            except BarLimitError as error:
                refused[topic] = str(error)
            else:
                self._bars.add(topic)
        return refused

    def release(self, topics: Iterable[Topic]) -> None:
        """The client gives those of topics up that it has."""
        now = time.monotonic()
        for topic in self._bars.intersection(topics):
            self._bars.remove(topic)
            self._wants.release(topic, now)

    def release_all(self) -> Steps:
        """The client is gone: return the work of giving up all that it had, to be done in steps."""
        for piece in pieces(tuple(self._bars)):
            self.release(piece)
            yield None
