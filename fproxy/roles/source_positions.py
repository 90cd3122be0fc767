"""How far a server has come in its own upstream's stream, for roles that go over to the server which follows it."""

from bisect import bisect_left

from fproxy._fastpath import History
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.stream_position import RecoveryStart, SourcePosition
from fproxy.core.upstream_effects import Recovering


class SourcePositions:
    """Which messages of the source's are in the stream, and, of those that it began with, where.

    A server that has been started again begins with what its upstream keeps. So it has what the run before it did not
    come to send, and finds it by the upstream's numbers.
    """

    def __init__(self, followed: FollowedStream, history: History) -> None:
        """Begin with nothing.

        Args:
            followed: where the server stands in its upstream's stream.
            history: keeps its own.
        """
        self._followed = followed
        self._history = history
        self._epoch = ""  # of the upstream that it began with
        self._complete_at = 0
        self._end: int | None = None
        self._own_end = 0
        # Of what it began with: the upstream's numbers of the messages that are kept, in order, and their own numbers.
        self._numbers: list[int] = []
        self._own_numbers: list[int] = []

    @property
    def own_next(self) -> int:
        """The number of the next message that is kept."""
        return self._history.next

    def begins(self, recovering: Recovering) -> None:
        """What the upstream keeps is about to come."""
        position = self._followed.position
        assert position is not None, "the upstream has just said where its stream is"
        if position.epoch != self._epoch:
            self._forget()
        self._epoch = position.epoch
        self._complete_at = max(recovering.complete_at, position.next)

    def taken(self, own_number: int) -> None:
        """A message of that was taken, before which the history's next number was this."""
        if self._history.next == own_number:
            return
        position = self._followed.position
        assert position is not None, "the upstream's messages are counted"
        self._numbers.append(position.next - 1)
        self._own_numbers.append(own_number)

    def ends(self) -> None:
        """All of that has come."""
        position = self._followed.position
        assert position is not None, "the upstream's messages are counted"
        self._end, self._own_end = position.next, self._history.next

    def here(self, bars_until: int | None) -> SourcePosition | None:
        """Return how far the server has come; None when its upstream does not number its messages.

        Args:
            bars_until: bars that end at this time or earlier have been sent, in Unix milliseconds; None for none.
        """
        if self._numbers and self._history.first >= self._own_end and self._end is not None:
            self._forget()  # nothing of it is kept any more
        position = self._followed.position
        return None if position is None else SourcePosition(position.epoch, position.next, bars_until or 0)

    def start(self, source: SourcePosition) -> RecoveryStart | None:
        """Return what a role is brought that followed a server which had come so far.

        None when that server was not there before this one, in the same run of the same upstream.
        """
        if self._end is None or source.epoch != self._epoch or source.next > self._end:
            return None
        at = bisect_left(self._numbers, source.next)
        number = self._own_numbers[at] if at < len(self._numbers) else self._own_end
        first = self._history.first
        return RecoveryStart(
            max(number, first),
            complete=source.next >= self._complete_at and number >= first,
            bars_from=source.bars_until + 1 if source.bars_until else None,
        )

    def _forget(self) -> None:
        self._numbers.clear()
        self._own_numbers.clear()
