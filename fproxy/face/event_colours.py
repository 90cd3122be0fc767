"""Colours for a terminal: of events by their type and of prices by where they go, of statuses by their kind."""

from typing import Final

import click

from fproxy.face.event_text import Event, event_parts

GOOD_STATUSES: Final = frozenset({"connected", "auth_success", "success"})
ERROR_STATUSES: Final = frozenset(
    {"error", "auth_failed", "auth_timeout", "max_connections", "slow_consumer"}
)
"""Statuses that tell of something refused or ended; all others but the good ones are notices."""

MAX_PRICES: Final = 100_000
"""Of how many topics the last price is remembered."""

RISEN: Final = "green"
FALLEN: Final = "red"
BAR_COLOUR: Final = "magenta"

_TYPE_COLOURS: Final = {
    **dict.fromkeys(("T", "XT"), "cyan"),
    **dict.fromkeys(("Q", "XQ", "XL2", "C"), "blue"),
    **dict.fromkeys(("A", "AM", "XA", "XAS", "CA", "CAS"), BAR_COLOUR),
    **dict.fromkeys(("V", "FMV", "LV"), "bright_cyan"),
    **dict.fromkeys(("LULD", "NOI"), "yellow"),
}


def status_colour(status: str) -> str | None:
    """Return the colour of a status: red for errors, yellow for notices, none for what is as it should be."""
    if status in GOOD_STATUSES:
        return None
    return "red" if status in ERROR_STATUSES else "yellow"


class EventPainter:
    """Writes events as coloured lines; remembers each symbol's last price."""

    def __init__(self) -> None:
        self._prices: dict[tuple[str, str], float] = {}

    def line(self, event: Event) -> str:
        """Return the text of ``event_line`` with its type in its colour, and a trade's price (an index's value)
        green where it is above the last one of that symbol, red where it is below."""
        parts = event_parts(event)
        name = event.event_type
        colour = BAR_COLOUR if name.endswith("Ms") else _TYPE_COLOURS.get(name)
        details = parts.details.rstrip()
        direction = self._direction(event)
        if direction is not None:
            blank = details[: len(details) - len(details.lstrip())]
            price, rest = (
                details.lstrip().split(" ", 1) if " " in details.lstrip() else (details.lstrip(), "")
            )
            details = f"{blank}{click.style(price, fg=direction)}{' ' + rest if rest else ''}"
        symbol = click.style(parts.symbol, bold=True)
        return f"{click.style(parts.time, dim=True)}  {click.style(parts.event_type, fg=colour)} {symbol} {details}"

    def _direction(self, event: Event) -> str | None:
        try:
            price = float(event.price or "")
        except ValueError:
            return None
        topic = event.event_type, event.symbol
        last = self._prices.pop(topic, None)
        self._prices[topic] = price  # the newest last, so that the first is the one to forget
        if len(self._prices) > MAX_PRICES:
            del self._prices[next(iter(self._prices))]
        if last is None or price == last:
            return None
        return RISEN if price > last else FALLEN
