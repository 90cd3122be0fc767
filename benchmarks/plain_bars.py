"""A bar builder as one writes it in plain Python around a JSON library: floats, a dictionary of windows."""

from typing import Any, Final

from benchmarks.decoders import decoder
from fproxy.core.trade_conditions import CONDITIONS, effect_of

EVERYTHING: Final = effect_of((), extended_hours=True)
EFFECTS: Final = {number: effect_of((number,), extended_hours=True) for number in CONDITIONS}


class PlainBars:
    """Builds bars of some intervals of every symbol, from trades in order of time.

    Simpler than the real one: a window closes as soon as a later trade of its symbol comes, nothing is kept for late
    trades, late subscribers or replay, and sums are those of floats.
    """

    def __init__(self, library: str, intervals: list[int]) -> None:
        found = decoder(library)
        self._decode = found.decode
        self._encode = decoder("json" if library == "pysimdjson" else library).encode
        self._intervals = intervals
        self._windows: dict[tuple[str, int], dict[str, Any]] = {}
        self._closed: list[dict[str, Any]] = []

    def feed(self, frame: bytes) -> None:
        """Take in one message."""
        for event in self._decode(frame):
            if event["ev"] == "T":
                self._trade(event)

    def collect(self) -> bytes:
        """Return the bars that have closed as one message."""
        closed, self._closed = self._closed, []
        return self._encode(closed)

    def _trade(self, event: Any) -> None:
        high_low, open_close, counts = EVERYTHING
        if "c" in event:
            for number in event["c"]:
                effect = EFFECTS.get(number, EVERYTHING)
                high_low = high_low and effect.high_low
                open_close = open_close and effect.open_close
                counts = counts and effect.volume
        symbol, price, time = event["sym"], event["p"], event["t"]
        size = float(event["ds"]) if "ds" in event else event["s"]
        for interval in self._intervals:
            start = time - time % interval
            window = self._windows.get((symbol, interval))
            if window is None or window["s"] != start:
                if window is not None and window["o"] is not None:
                    self._close(window, symbol, interval)
                window = self._windows[symbol, interval] = {
                    "o": None, "h": None, "l": None, "c": None, "v": 0, "sum": 0.0, "n": 0, "s": start
                }  # fmt: skip
            if high_low:
                if window["h"] is None:
                    window["h"] = window["l"] = price
                elif price > window["h"]:
                    window["h"] = price
                elif price < window["l"]:
                    window["l"] = price
            if open_close:
                if window["o"] is None:
                    window["o"] = price
                window["c"] = price
            if counts:
                window["v"] += size
                window["sum"] += price * size
                window["n"] += 1

    def _close(self, window: dict[str, Any], symbol: str, interval: int) -> None:
        volume = window["v"]
        self._closed.append(
            {
                "ev": f"{interval}Ms",
                "sym": symbol,
                "T": "b",
                "S": symbol,
                "o": window["o"],
                "h": window["h"],
                "l": window["l"],
                "c": window["c"],
                "v": volume,
                "vw": round(window["sum"] / volume, 4) if volume else window["c"],
                "n": window["n"],
                "s": window["s"],
                "e": window["s"] + interval,
            }
        )
