"""A role's own account of where it stands in the numbered stream of a server of ours, from connection to connection."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from fproxy.core.stream_position import PositionStatus, RecoveryRequest, SourcePosition, StreamPosition
from fproxy.core.unplaced_topics import UnplacedTopics

MOST_ATTEMPTS: Final = 3
"""How often the same position is asked for without a single message more: then something in the way of it, such as a
message longer than this role takes, would end every connection."""


class FollowedStream:
    """Where the next message is that this role lacks.

    Attributes:
        is_counted: whether the server sends every message, so that the position follows from what was taken.
        is_filling: whether what is being recovered is what this role begins with.
        taken_when_told: what had been taken when the server last said where its stream is.
        unplaced: the topics that were asked for since then, of a server that does not send every message.
    """

    __slots__ = (
        "_attempts",
        "_is_recovering",
        "_is_told",
        "_lost_at",
        "_position",
        "_source",
        "_still_keeps",
        "_taken",
        "_wants_all",
        "is_counted",
        "is_filling",
        "taken_when_told",
        "unplaced",
    )

    def __init__(
        self,
        taken: Callable[[], int],
        *,
        wants_all: bool = False,
        still_keeps: Callable[[int], bool] | None = None,
    ) -> None:
        """Begin without a position.

        Args:
            taken: returns how many messages have been taken, over all connections; of a server that sends every
                message just those with market events.
            wants_all: ask the first server for everything that it keeps.
            still_keeps: returns whether this role keeps all that it took from such a number on, to know it again: a
                server whose messages cannot be counted repeats some.
        """
        self.is_counted = True
        self.is_filling = False
        self.taken_when_told = 0
        self._taken = taken
        self._wants_all = wants_all
        self._still_keeps = still_keeps
        self._is_told = False  # whether this connection's server has said where its stream is
        self._is_recovering = False
        self._position: StreamPosition | None = None  # as the server said, or when the connection was lost
        self._source: SourcePosition | None = None  # what the server has said of its own upstream there
        self._lost_at = 0
        self._attempts = 0  # that brought not a single message
        self.unplaced = UnplacedTopics()

    @property
    def is_known(self) -> bool:
        """Whether what is missed can be asked for."""
        return self._position is not None

    @property
    def position(self) -> StreamPosition | None:
        """Where this role stands."""
        if self._position is None or not self._is_told or not self.is_counted:
            return self._position
        return replace(self._position, next=self._position.next + self._taken() - self.taken_when_told)

    def request(self) -> RecoveryRequest:
        """Return what to ask a server for, on a new connection."""
        if (
            not self.is_counted
            and self._still_keeps is not None
            and not self._still_keeps(self.taken_when_told)
        ):
            self.forget()
        return RecoveryRequest(self._position, self._lost_at, self._wants_all, self._source)

    def told(self, status: PositionStatus) -> None:
        """The server says where its stream is: between what has been taken and what has not come yet."""
        goes_on = status.recovery is not None and status.source is not None and status.source == self._source
        is_where_we_were = not self.is_counted and (self._position == status.position or goes_on)
        self._is_told = True
        self._wants_all = False
        self._position = status.position
        self._source = status.source
        self.is_counted = status.counted
        if status.counted:
            self.unplaced.clear()
        else:
            self.unplaced.placed()
        if not is_where_we_were:
            self.taken_when_told = self._taken()
        if status.recovery is not None:
            self._is_recovering = True
            self.is_filling |= status.recovery.is_fresh

    def recovered(self) -> None:
        """What was to be recovered has come."""
        self._is_recovering = self.is_filling = False
        self._attempts = 0

    def gap(self) -> None:
        """The stream has a gap here that the server cannot fill, and has said so."""
        if self._is_told and self._position is not None:
            self._position = replace(self._position, gaps=self._position.gaps + 1)

    def lost(self, now: int) -> None:
        """The connection is lost, at a time in Unix milliseconds."""
        self.unplaced.lost()
        if not self._is_told:
            return
        position = self.position
        stands_still = self._is_recovering and self._taken() == self.taken_when_told
        self._is_told = self._is_recovering = False
        self._lost_at = now
        self._attempts = self._attempts + 1 if stands_still else 0
        self._position = position if self._attempts < MOST_ATTEMPTS else None

    def forget(self) -> None:
        """The server is another one, which numbers nothing."""
        self._is_told = self._is_recovering = self._wants_all = self.is_filling = False
        self._position = self._source = None
        self.unplaced.clear()
