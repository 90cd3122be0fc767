"""What becomes of a client that reads more slowly than it is written to."""

import enum


class SlowClientPolicy(enum.Enum):
    """What becomes of a client that lags; the value is what settings call it."""

    DISCONNECT = "disconnect"
    """At its limits it is told, and disconnected."""
    DROP = "drop"
    """Beyond them whole messages are discarded until it has caught up; then it is told how many events, exactly."""
    CONFLATE = "conflate"
    """While it lags only the newest event of each topic is kept, and every bar, price band and status."""
    BLOCK = "block"
    """The upstream is read no faster than the client reads. For clients on this machine: others are disconnected."""
