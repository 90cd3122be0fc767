"""What the scanner finds in one event, for people and tests; the fast path itself makes no such objects."""

from typing import NamedTuple


class ScannedEvent(NamedTuple):
    """One event of an upstream message.

    Attributes:
        raw: the event's bytes as they came, from its opening brace to its closing one.
        event_type: what stands before the dot of its topic: the value of ``ev``, or of ``T`` where there is no ``ev``;
            decoded to UTF-8. None when neither is there.
        symbol: what stands after the dot, from the key that the event's type puts it in; None when there is none.
        is_status: whether it is a status event, which is no market data.
        is_bar: whether it is a millisecond bar in any of its forms.
        interval_ms: for a bar whose type does not name its interval, the interval in milliseconds that its other keys
            give; 0 when they give none, -1 when what they give is no positive whole number. Else None.
        exact: whether the exact scanner was needed for the message.
    """

    raw: bytes
    event_type: bytes | None
    symbol: bytes | None
    is_status: bool
    is_bar: bool
    interval_ms: int | None
    exact: bool
