"""Whether a client that has been asked is still there."""

import asyncio
import enum
from collections.abc import Callable

from fproxy.shell.delivery import DeliveryProgress


class Liveness(enum.Enum):
    """What is known of a client when its time is over."""

    UNASKED = enum.auto()
    """It has to be asked: a ping is due."""
    READING = enum.auto()
    """It has not answered, but reads what waits for it: the answer may be long in coming then."""
    GONE = enum.auto()
    """It has not answered."""


class KeepAlive:
    """Pings of one client. The time is its user's to keep: how long between pings, and how long for an answer."""

    __slots__ = ("_pinged", "_progress", "_transport", "_unsent")

    def __init__(self, transport: asyncio.BaseTransport, unsent: Callable[[], int]) -> None:
        """Begin.

        Args:
            transport: the connection.
            unsent: returns how many bytes wait to be sent.
        """
        self._transport = transport
        self._unsent = unsent
        # Whether a ping was sent and nothing has been heard since.
        self._pinged = False
        # Watched while a pong is overdue.
        self._progress: DeliveryProgress | None = None

    def heard(self) -> bool:
        """Something has come from the client. Return whether it was asked before: then the time begins anew."""
        pinged, self._pinged = self._pinged, False
        return pinged

    def time_is_over(self) -> Liveness:
        """Return what is known of the client, who has been silent for a while."""
        if not self._pinged:
            self._pinged = True
            self._progress = None
            return Liveness.UNASKED
        return Liveness.READING if self._is_reading() else Liveness.GONE

    def _is_reading(self) -> bool:
        """Return whether data that waits to be sent goes out."""
        if self._progress is not None:
            return self._progress.made()
        self._progress = DeliveryProgress(self._transport, self._unsent)
        return self._unsent() > 0
