"""Sending a client the bars that have already passed, at the pace at which it reads them."""

from collections.abc import Callable, Iterable

from fproxy._bars import BarBuilder
from fproxy.core.frames import text_frame
from fproxy.core.topics import Topic, bar_interval
from fproxy.roles.replay import PAUSE, PIECE_BYTES, UNSENT_BYTES
from fproxy.shell.client import Client
from fproxy.shell.work_steps import Steps, Work, WorkSteps


class BarReplay:
    """The replay of some topics to one client: topic after topic, each until it has caught up with what is live.

    It begins behind the acknowledgement of the subscription.
    """

    def __init__(
        self,
        client: Client,
        topics: Iterable[Topic],
        since: int,
        *,
        builder: BarBuilder,
        steps: WorkSteps,
        caught_up: Callable[[Client, Topic], None],
        ended: Callable[[Client, "BarReplay"], None],
    ) -> None:
        """Schedule a replay.

        Args:
            client: whom to send to.
            topics: millisecond-bar topics.
            since: from when on, in Unix milliseconds.
            builder: has the bars; what it has closed has been collected whenever the loop is between callbacks.
            steps: carries it out.
            caught_up: gets each topic at the moment when everything of it that has closed is sent.
            ended: nothing is left to do.
        """
        self._client = client
        self._waiting = dict.fromkeys(topics, since)  # topic -> from when on the rest is to be sent
        self._builder = builder
        self._caught_up = caught_up
        self._ended = ended
        self._steps = steps
        self._work: Work | None = None
        self._cancelled = False
        client.after_reply(self._begin)

    @property
    def waiting(self) -> Iterable[Topic]:
        """The topics that have not caught up yet."""
        return self._waiting.keys()

    def drop(self, topic: Topic) -> None:
        """The client does not want a topic any more."""
        self._waiting.pop(topic, None)

    def cancel(self) -> None:
        """Stop, and tell nobody."""
        self._cancelled = True
        if self._work is not None:
            self._work.cancel()

    def _begin(self) -> None:
        if not self._cancelled:
            self._work = self._steps.add(self, self._run())

    def _run(self) -> Steps:
        while self._waiting:
            if self._client.unsent_bytes > UNSENT_BYTES:
                yield PAUSE
                continue
            topic, since = next(iter(self._waiting.items()))
            interval = bar_interval(topic.event_type)
            assert interval is not None, "a millisecond-bar topic"
            messages, rest = self._builder.history(interval, topic.symbol, since, max_bytes=PIECE_BYTES)
            for message in messages:
                self._client.write(text_frame(message))
            if rest is None:
                del self._waiting[topic]
                self._caught_up(self._client, topic)
            else:
                self._waiting[topic] = rest
            yield None
        self._ended(self._client, self)
