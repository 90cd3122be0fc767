"""What a millisecond bar says, for tests that decode it."""

from typing import Any


def bar_of(symbol: str, interval: int, start: int, **values: float) -> dict[str, Any]:
    """The bar of a window, both forms of the protocol at once."""
    return {
        "ev": f"{interval}Ms",
        "sym": symbol,
        "T": "b",
        "S": symbol,
        **values,
        "s": start,
        "e": start + interval,
    }
