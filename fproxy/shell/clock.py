"""What time it is."""

import time


def unix_ms() -> int:
    """Return the time now, in Unix milliseconds."""
    return time.time_ns() // 1_000_000
