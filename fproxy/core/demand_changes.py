"""What has to be said to an upstream of what is wanted of it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Changes(NamedTuple):
    """What to say upstream: everything to subscribe before anything to unsubscribe, but for what makes room.

    Attributes:
        subscribe: topics to subscribe to, wildcards first.
        unsubscribe: topics to unsubscribe from.
        since: of the topics to subscribe to, those of which what has passed is wanted too, each with the time from
            which on, in Unix milliseconds.
        make_room: topics to unsubscribe from first, because the upstream would refuse others else.
        are_all: whether everything that is wanted has been asked for with these.
    """

    subscribe: tuple[str, ...]
    unsubscribe: tuple[str, ...]
    since: Mapping[str, int] = MappingProxyType({})
    make_room: tuple[str, ...] = ()
    are_all: bool = True

    @property
    def given_up(self) -> tuple[str, ...]:
        """All topics to unsubscribe from."""
        return self.make_room + self.unsubscribe
