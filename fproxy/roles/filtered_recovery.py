"""What a filtered proxy minds while an upstream brings what was missed, or what it keeps from before the start."""

from functools import partial

from fproxy._fastpath import Fanout, FanoutInput, History
from fproxy.core.followed_stream import FollowedStream
from fproxy.core.market import Upstream
from fproxy.core.upstream_effects import Recovering
from fproxy.roles.market_fanouts import SOURCES


class FilteredRecovery:
    """Which of those messages are for clients, and which are known.

    Attributes:
        inputs: what takes the messages of each upstream.
        followed: where the proxy stands in the streams of its upstreams; without a history just in the firehose's.
    """

    def __init__(self, fanout: Fanout, history: History | None) -> None:
        """Begin without a place in any stream.

        Args:
            fanout: distributes the messages.
            history: keeps them; None when nothing is kept.
        """
        self._history = history
        self.inputs: dict[Upstream, FanoutInput] = {
            upstream: fanout.input(SOURCES[upstream]) for upstream in Upstream
        }
        messages_taken = partial(fanout.data_messages, SOURCES[Upstream.FIREHOSE])
        self.followed = {Upstream.FIREHOSE: FollowedStream(messages_taken, wants_all=history is not None)}
        if history is not None:
            # What an aggregator repeats is known again by what is kept of it.
            self.followed[Upstream.AGGREGATOR] = FollowedStream(
                lambda: history.next, still_keeps=lambda number: history.first <= number
            )

    def begins(self, upstream: Upstream, recovering: Recovering) -> None:
        """It follows."""
        # What the upstream keeps from before the proxy began is for those who ask for it.
        self.inputs[upstream].is_live = not recovering.is_fresh
        followed = self.followed[upstream]
        if not followed.is_counted and self._history is not None:
            self.inputs[upstream].leave_out(self._history, followed.taken_when_told)

    def ends(self, upstream: Upstream) -> None:
        """All of it has come, or none of it comes."""
        self.inputs[upstream].is_live = True
        self.inputs[upstream].take_all()

    def is_kept_by(self, upstream: Upstream) -> bool:
        """Return whether an upstream keeps what has passed, and can be asked for it."""
        followed = self.followed.get(upstream)
        return followed is not None and followed.is_known
