"""Topics that nobody wants any more, in the order in which they are to be forgotten."""

from collections.abc import Iterator

from fproxy.core.topic_queue import TopicQueue


class Lingering(TopicQueue[float]):
    """Topics with the times at which to forget them, in seconds; times that are added do not go back."""

    __slots__ = ()

    def first_expiry(self) -> float | None:
        """Return the time of the topic that is to be forgotten first; None when there is none."""
        return next((expiry for _, expiry in self.items()), None)

    def expired(self, now: float) -> Iterator[str]:
        """Yield the topics whose time has come, in the order of their times; they must not change meanwhile."""
        for topic, expiry in self.items():
            if expiry > now:
                return
            yield topic
