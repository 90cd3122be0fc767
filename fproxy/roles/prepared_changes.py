"""Changes of what a client gets that would take long, done beforehand in steps: see ``Fanout.prepare_to_subscribe``."""

from collections.abc import Callable, Sequence

from fproxy._fastpath import Fanout
from fproxy.core.topics import Topic
from fproxy.shell.client import Client


def _nothing(_client: Client, _topics: Sequence[Topic]) -> Sequence[Topic]:
    return ()


class PreparedChanges:
    """Those of the clients of one fan-out, each of which has its number there in its context."""

    __slots__ = ("_also_given", "_also_taken", "_fanout")

    def __init__(
        self,
        fanout: Fanout,
        *,
        also_given: Callable[[Client, Sequence[Topic]], Sequence[Topic]] = _nothing,
        also_taken: Callable[[Client, Sequence[Topic]], Sequence[Topic]] = _nothing,
    ) -> None:
        """Begin.

        Args:
            fanout: distributes to the clients.
            also_given: returns what a client is given besides topics that it subscribes to.
            also_taken: returns what is taken from it besides topics that it gives up.
        """
        self._fanout = fanout
        self._also_given = also_given
        self._also_taken = also_taken

    def prepare(self, client: Client, topics: Sequence[Topic], *, subscribes: bool) -> bool:
        """Do a bounded piece of a change. See ``PreparingHandler``."""
        number = client.context.number
        if not self._fanout.may_take_long(number, topics):
            return False
        if subscribes:
            return self._fanout.prepare_to_subscribe(number, [*topics, *self._also_given(client, topics)])
        return self._fanout.prepare_to_unsubscribe(number, [*topics, *self._also_taken(client, topics)])
