"""What one session with an upstream knows of what was missed: whether it comes after all, and whether all of it has."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from fproxy.core.followed_stream import FollowedStream
from fproxy.core.stream_position import parse_position
from fproxy.core.unplaced_topics import UnplacedTopics
from fproxy.core.upstream_effects import Effect, Recovered, Recovering, Unrecoverable

_OF_AUTH = 0
"""The number of what is recovered without a request of its own."""

_TO_COME = -1
"""The number of requests that are still to be sent."""


class SessionRecovery:
    """The part of a session that asks a role of ours for what was missed.

    Attributes:
        is_asked: whether the upstream has still to say where its stream is.
        is_complete: whether, when nothing is pending, nothing has been missed since the stream was last whole.
    """

    __slots__ = (
        "_by_request",
        "_followed",
        "_interrupted",
        "_is_peer",
        "_leaves_out",
        "_requests",
        "_unplaced",
        "_waiting",
        "is_asked",
        "is_complete",
    )

    def __init__(self, followed: FollowedStream | None) -> None:
        """Prepare one for a new connection.

        Args:
            followed: where its owner stands; None when that is not kept.
        """
        self.is_complete = False
        self._followed = followed
        self.is_asked = False  # and not answered
        self._by_request = False
        self._is_peer = False  # else the server tells no place
        self._requests = 0
        # Whether topics are asked for again of which what was missed does not come; None before any are asked for.
        self._leaves_out: bool | None = None
        # The topics that had no place when the last connection was lost, as long as requests are to come.
        self._unplaced = UnplacedTopics()
        self._waiting: set[int] = set()  # the numbers of what is being recovered
        self._interrupted = False

    @property
    def is_pending(self) -> bool:
        """Whether events may be missing that have yet to come."""
        return self._interrupted or self.is_asked or bool(self._waiting)

    @property
    def is_recoverable(self) -> bool:
        """Whether the next connection may bring what is missed until then."""
        return self._followed is not None and self._followed.is_known

    @property
    def is_by_topic(self) -> bool:
        """Whether the upstream keeps what has passed, and brings of it what it is asked for, topic by topic."""
        return self._followed is not None and self._followed.is_known and not self._followed.is_counted

    def opened(self, *, is_peer: bool) -> tuple[str | None, list[Effect]]:
        """The connection is open. Return what auth has to say under ``recover``, and what else is to be done.

        Args:
            is_peer: whether the upstream is a role of ours.
        """
        self._is_peer = is_peer
        followed = self._followed
        if followed is None:
            return None, []
        if not is_peer:
            return None, self._give_up()
        self.is_asked = True
        self._by_request = followed.is_known and not followed.is_counted
        return followed.request().encoded(), []

    def begin_requests(self, topics: Sequence[str]) -> Iterator[tuple[Sequence[str], bool]]:
        """Yield the topics that the connection begins with in groups, each with whether what was missed is asked for.

        It is not for those that the server had not told a place of when the last connection was lost: they begin anew.
        """
        followed = self._followed
        if followed is None or not self._by_request:
            yield topics, False
            return
        if self._leaves_out is None:
            self._unplaced = followed.unplaced.take_all()
            self._waiting.add(_TO_COME)
        missed: list[str] = []
        anew: list[str] = []
        for topic in topics:
            (anew if topic in self._unplaced else missed).append(topic)
        self._leaves_out = bool(anew or self._leaves_out)
        yield missed, True
        yield anew, False

    def number_request(self) -> int:
        """Return the number for a request for what was missed of some topics."""
        self._requests += 1
        self._waiting.add(self._requests)
        return self._requests

    def all_requested(self) -> list[Effect]:
        """All requests that the connection begins with have been sent."""
        self._unplaced = UnplacedTopics()
        if self._requests and not self.is_asked:
            return self._no_longer_waits_for(_TO_COME)
        # The position is told behind this, or nothing is recovered.
        self._waiting.discard(_TO_COME)
        return []

    def requested(self, topics: Collection[str]) -> None:
        """Topics are asked for, and what was missed of them is not."""
        if (
            self._is_peer
            and self._followed is not None
            and not (self._followed.is_known and self._followed.is_counted)
        ):
            self._followed.unplaced.requested(topics)

    def acknowledged(self, topics: Collection[str]) -> None:
        """The upstream has acknowledged topics."""
        if self._followed is not None:
            self._followed.unplaced.acknowledged(topics)

    def given_up(self, topics: Collection[str]) -> None:
        """Topics are wanted no more, or were refused."""
        if self._followed is not None:
            self._followed.unplaced.given_up(topics)

    def answered(self) -> list[Effect]:
        """A request is answered: by then, a server that says where its stream is has said so."""
        if not self.is_asked:
            return []
        self._waiting.clear()
        return self._give_up()

    def positioned(self, fields: Mapping[str, Any]) -> list[Effect]:
        """The server says where its stream is, in a status event with these members."""
        status = parse_position(fields)
        followed = self._followed
        if status is None:
            return self.answered()
        if followed is None:
            return []
        was_asked, self.is_asked = self.is_asked, False
        if not was_asked and self._waiting and not status.counted:
            return []  # what comes before that position is still to come
        followed.told(status)
        recovery = status.recovery
        if recovery is None:
            if not was_asked:
                return []
            self._waiting.clear()
            return [Unrecoverable()]
        is_fresh = followed.is_filling
        is_complete = recovery.complete and not self._leaves_topics_out(followed)
        self.is_complete = is_complete and not is_fresh
        if status.counted:
            self._waiting = {_OF_AUTH}
        effects: list[Effect] = [
            Recovering(
                is_complete,
                is_fresh,
                status.complete_from,
                status.all_of,
                status.complete_at,
                gap_ahead=status.complete_at > recovery.number,
            )
        ]
        if self._leaves_out and not self._waiting:
            followed.recovered()
            effects.append(Recovered())
        return effects

    def recovered(self, fields: Mapping[str, Any]) -> list[Effect]:
        """Something has been recovered, says a status event with these members."""
        if fields.get("complete") is False:
            self.is_complete = False
        return self._no_longer_waits_for(fields.get("request", _OF_AUTH))

    def _no_longer_waits_for(self, number: int) -> list[Effect]:
        was_waiting = bool(self._waiting)
        self._waiting.discard(number)
        if not was_waiting or self._waiting or self._followed is None:
            return []
        self._followed.recovered()
        return [Recovered()]

    def interrupted(self, *, was_whole: bool) -> None:
        """The upstream says that it misses events itself."""
        self._interrupted = True
        if was_whole:
            self.is_complete = True

    def restored(self, fields: Mapping[str, Any]) -> None:
        """The upstream says that it is whole again, in a status event with these members."""
        self._interrupted = False
        if fields.get("recovered") is not True:
            self.is_complete = False
            if self._followed is not None:
                self._followed.gap()

    def lost(self, now: int) -> None:
        """The connection is lost, at a time in Unix milliseconds."""
        if self._followed is not None:
            self._followed.unplaced.put_back(self._unplaced)
            self._followed.lost(now)

    def _leaves_topics_out(self, followed: FollowedStream) -> bool:
        if not self._by_request:
            return False
        if self._leaves_out is None:
            return bool(followed.unplaced)
        return self._leaves_out or (_TO_COME in self._waiting and bool(self._unplaced))

    def _give_up(self) -> list[Effect]:
        assert self._followed is not None
        self.is_asked = self._by_request = False
        self._followed.forget()
        return [Unrecoverable()]
