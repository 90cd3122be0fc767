"""Log lines that strangers cause, kept to a rate that leaves the log readable."""

import logging
import time
from collections.abc import Callable


class LogThrottle:
    """Logs at most one line in an interval, with the number of those held back since the last one."""

    __slots__ = ("_clock", "_held_back", "_interval", "_level", "_logger", "_next_time")

    def __init__(
        self,
        logger: logging.Logger,
        level: int,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a throttle.

        Args:
            logger: where to log.
            level: the level to log at.
            interval: the least time between two lines, in seconds.
            clock: the time now, in seconds.
        """
        self._logger = logger
        self._level = level
        self._interval = interval
        self._clock = clock
        self._next_time = -float("inf")
        self._held_back = 0

    def log(self, message: str, *arguments: object) -> None:
        """Log a line, or count it as held back; ``message`` takes ``arguments`` as ``logging`` does."""
        now = self._clock()
        if now < self._next_time:
            self._held_back += 1
            return
        self._next_time = now + self._interval
        if self._held_back:
            message = f"{message} (and %d more like it before)"
            arguments = (*arguments, self._held_back)
            self._held_back = 0
        self._logger.log(self._level, message, *arguments)
