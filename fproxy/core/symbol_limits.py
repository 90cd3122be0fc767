"""How many symbols of a type the vendor sends on one connection: of options, the quotes of 1,000 contracts."""

from typing import Final

from fproxy.core.market import Market

_TOO_MANY: Final = "too many symbols: "


def is_want_of_room(message: str) -> bool:
    """Return whether a refusal says that there are too many symbols, of which others may have given some up since.

    Args:
        message: what an upstream said, which may be a firehose of ours.
    """
    return message.startswith(_TOO_MANY)


class SymbolLimits:
    """Counts the topics of one connection against the limits of its market.

    Only topics of types that have a limit are counted. Such a type has no wildcard.
    """

    __slots__ = ("_counts", "_limits", "_market_name")

    def __init__(self, market: Market) -> None:
        """Begin without topics.

        Args:
            market: the market that the connection is to.
        """
        self._market_name = market.name
        self._limits = {
            event.name: event.max_symbols
            for event in market.event_types.values()
            if event.max_symbols is not None
        }
        self._counts = dict.fromkeys(self._limits, 0)

    def limit(self, event_type: str) -> int | None:
        """Return of how many symbols a type may be had at most; None for any number."""
        return self._limits.get(event_type)

    def refusal(self, event_type: str) -> str | None:
        """Return why one more symbol of a type cannot be had, for clients; None when it can."""
        limit = self._limits.get(event_type)
        if limit is None or self._counts[event_type] < limit:
            return None
        return f"{_TOO_MANY}the vendor sends {event_type} of at most {limit} {self._market_name} a connection"

    def excess(self, event_type: str, more: int) -> int:
        """Return by how many symbols those of a type that are counted, and so many more, are above its limit."""
        limit = self._limits.get(event_type)
        return 0 if limit is None else max(0, self._counts[event_type] + more - limit)

    def add(self, event_type: str) -> None:
        """Count one symbol more of a type."""
        if event_type in self._counts:
            self._counts[event_type] += 1

    def discard(self, event_type: str) -> None:
        """Count one symbol less of a type, which was counted."""
        if event_type in self._counts:
            self._counts[event_type] -= 1
