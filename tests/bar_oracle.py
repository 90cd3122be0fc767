"""Bars by the rules, in plain Python: every window of every wanted bar looked at again after every trade.

Nothing of the compiled builder's structure is here: trades are dictionaries in a list, numbers are decimals, bars are
made by sorting and grouping. Trades are assumed to be dated believably.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from fproxy.core.trade_conditions import effect_of

NEVER = float("inf")
LONG_AGO = float("-inf")
LONGEST_INTERVAL = 60_000


def number_text(number: Decimal) -> str:
    """The shortest form of a number that is not scientific."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimals_of(number: Decimal) -> int:
    _, _, fraction = number_text(number).partition(".")
    return len(fraction)


@dataclass(frozen=True)
class Trade:
    """One trade.

    Attributes:
        symbol: its symbol.
        time: Unix milliseconds.
        price: the price as the event writes it.
        size: ``s`` as the event writes it.
        decimal_size: ``ds``, without its quotes.
        conditions: ``c``.
    """

    symbol: str
    time: int
    price: str
    size: str = "100"
    decimal_size: str | None = None
    conditions: tuple[int, ...] | None = None

    @property
    def event(self) -> str:
        """The trade as an event, its numbers as they were written."""
        members = {
            "ev": '"T"',
            "sym": json.dumps(self.symbol),
            "i": '"52983525029461"',
            "x": "4",
            "p": self.price,
            "s": self.size,
            "t": str(self.time),
            "q": "3681328",
        }
        if self.decimal_size is not None:
            members["ds"] = f'"{self.decimal_size}"'
        if self.conditions is not None:
            members["c"] = json.dumps(self.conditions, separators=(",", ":"))
        return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


def payload(trades: Iterable[Trade]) -> bytes:
    """One upstream message with these trades."""
    return f"[{','.join(trade.event for trade in trades)}]".encode()


def bar_text(
    interval: int, symbol: str, start: int, trades: list[Trade], *, all_trades: bool = False
) -> str | None:
    """The bar of a window, given all trades in it by arrival; None when it has none."""
    with localcontext(Context(prec=200)):
        effects = [
            effect_of(() if all_trades else trade.conditions or (), extended_hours=True) for trade in trades
        ]
        by_time = sorted(
            zip(trades, effects, strict=True), key=lambda pair: pair[0].time
        )  # stable: then by arrival
        priced = [Decimal(trade.price) for trade, effect in by_time if effect.high_low]
        if not priced:
            return None
        last_sale = [Decimal(trade.price) for trade, effect in by_time if effect.open_close] or priced
        sized = [
            (Decimal(trade.price), Decimal(trade.size if trade.decimal_size is None else trade.decimal_size))
            for trade, effect in by_time
            if effect.volume
        ]
        volume = sum((size for _, size in sized), Decimal(0))
        if volume:
            finest = max(decimals_of(Decimal(trade.price)) for trade, effect in by_time if any(effect))
            mean = sum((price * size for price, size in sized), Decimal(0)) / volume
            mean = mean.quantize(Decimal(1).scaleb(-max(4, finest)), rounding=ROUND_HALF_UP)
        else:
            mean = last_sale[-1]
        quoted = json.dumps(symbol, ensure_ascii=False)
        return (
            f'{{"ev":"{interval}Ms","sym":{quoted},"T":"b","S":{quoted},"o":{number_text(last_sale[0])},'
            f'"h":{number_text(max(priced))},"l":{number_text(min(priced))},"c":{number_text(last_sale[-1])},'
            f'"v":{number_text(volume)},"vw":{number_text(mean)},"n":{len(sized)},'
            f'"s":{start},"e":{start + interval}}}'
        )


def bar_texts(messages: Iterable[bytes]) -> list[str]:
    """The bars in messages, each as its text, and checked to be JSON arrays of them."""
    texts = []
    for message in messages:
        text = message.decode()
        assert text[0] == "["
        at = 1
        while True:
            _, end = json.JSONDecoder().raw_decode(text, at)
            texts.append(text[at:end])
            if text[end:] == "]":
                break
            assert text[end] == ","
            at = end + 1
    return texts


@dataclass
class _Seen:
    trade: Trade
    arrival: int


@dataclass
class BarOracle:
    """The same interface as the builder's, as far as the rules go."""

    delay: int = 20
    all_trades: bool = False
    late_trades: int = 0
    lost_windows: int = 0
    wants: dict[tuple[int, str], int] = field(default_factory=dict)
    flowing: set[str] = field(default_factory=set)
    all_flow: bool = False
    latest: float = LONG_AGO
    heard_at: int = 0
    reached: float = LONG_AGO
    arrivals: int = 0
    # Of each symbol whose trades flow and are wanted: from when on its windows are whole; None until the next trade.
    whole_from: dict[str, float | None] = field(default_factory=dict)
    # The same for the symbols that have not traded yet, while all symbols are wanted.
    all_whole_from: float | None = NEVER
    # The symbols that bars may be built of: those wanted by name, and, while all are wanted, those that have been named
    # or have traded.
    known: set[str] = field(default_factory=set)
    # Of each series that misses trades: the first window that it has missed and that does not count as lost yet.
    missed_from: dict[tuple[int, str], float] = field(default_factory=dict)
    seen: dict[str, list[_Seen]] = field(default_factory=dict)
    out: list[str] = field(default_factory=list)
    sent: list[tuple[int, str, int, str]] = field(default_factory=list)

    # -- what is wanted

    def _wildcards(self) -> list[int]:
        return [interval for interval, symbol in self.wants if symbol == "*"]

    def _intervals(self, symbol: str) -> set[int]:
        exact = {interval for interval, wanted in self.wants if wanted == symbol}
        return exact | set(self._wildcards()) if self._is_tracked(symbol) else set()

    def _is_tracked(self, symbol: str) -> bool:
        return symbol in self.whole_from or self.all_whole_from != NEVER

    def _flows(self, symbol: str) -> bool:
        return self.all_flow or symbol in self.flowing

    def _update_coverage(self) -> None:
        """Note which symbols have begun or ceased to be followed."""
        for symbol in list(self.whole_from):
            is_wanted = any(name in (symbol, "*") for _, name in self.wants)
            if not is_wanted or not self._flows(symbol):
                if is_wanted:
                    self._lose(symbol)
                del self.whole_from[symbol]
                self.seen.pop(symbol, None)
        if not self._wildcards() or not self.all_flow:
            self.all_whole_from = NEVER
        elif self.all_whole_from == NEVER:
            self.all_whole_from = None
        wanted = {symbol for _, symbol in self.wants}
        self.known = (self.known | wanted | self.flowing if "*" in wanted else wanted) - {"*"}
        for symbol in self.known:
            if self._flows(symbol) and symbol not in self.whole_from:
                known = self.all_whole_from not in (None, NEVER)
                self.whole_from[symbol] = self.all_whole_from if known else None

    def _lose(self, symbol: str) -> None:
        for interval in self._intervals(symbol):
            for start, trades in self._windows(symbol, interval).items():
                open_ = start + interval + self.delay > self.reached
                if (
                    open_
                    and bar_text(interval, symbol, start, trades, all_trades=self.all_trades) is not None
                ):
                    self.lost_windows += 1
        self._begin_to_miss(symbol)

    def _begin_to_miss(self, symbol: str) -> None:
        whole_from = self.whole_from[symbol]
        if whole_from is None or self.latest == LONG_AGO:
            return
        for interval in self._intervals(symbol):
            now = max(self.latest, whole_from)
            open_ends = [
                start + interval
                for start in self._windows(symbol, interval)
                if start + interval + self.delay > self.reached
            ]
            self.missed_from[interval, symbol] = max([now - now % interval, *open_ends])

    def _count_missed(self, whole_from: float) -> None:
        """Every window of a series from the first that it missed to the last that begins before it is whole is lost."""
        for interval, symbol in [missed for missed in self.missed_from if self._flows(missed[1])]:
            start = self.missed_from.pop((interval, symbol))
            while start < whole_from:
                self.lost_windows += 1
                start += interval

    def _is_wanted(self, interval: int, symbol: str) -> bool:
        return (interval, symbol) in self.wants or (interval, "*") in self.wants

    def want(self, interval: int, symbol: str) -> None:
        self.wants[interval, symbol] = self.wants.get((interval, symbol), 0) + 1
        self._update_coverage()

    def unwant(self, interval: int, symbol: str) -> None:
        self.wants[interval, symbol] -= 1
        if not self.wants[interval, symbol]:
            del self.wants[interval, symbol]
        self._update_coverage()
        self.missed_from = {
            series: start for series, start in self.missed_from.items() if self._is_wanted(*series)
        }

    def trades_started(self, symbol: str) -> None:
        if symbol == "*":
            self.all_flow = True
        else:
            self.flowing.add(symbol)
        self._update_coverage()

    def trades_stopped(self, symbol: str) -> None:
        if symbol == "*":
            self.all_flow = False
        else:
            self.flowing.discard(symbol)
        self._update_coverage()

    def gap(self) -> None:
        self.flowing.clear()
        self.all_flow = False
        self._update_coverage()

    # -- trades and time

    def feed(self, trades: Iterable[Trade], clock: int) -> None:
        for trade in trades:
            self._trade(trade, clock)

    def _trade(self, trade: Trade, clock: int) -> None:
        wanted = self._is_tracked(trade.symbol)
        awaited = self.all_whole_from is None or None in self.whole_from.values()
        if wanted or (awaited and self.latest == LONG_AGO):
            before = self.reached
            if trade.time > self.latest:
                self.latest, self.heard_at = trade.time, clock
            self.reached = max(self.reached, self.latest)
        if awaited:
            whole_from = max(trade.time, self.latest) + self.delay + 1
            self._count_missed(whole_from)
            if self.all_whole_from is None:
                self.all_whole_from = whole_from
            for symbol, known in self.whole_from.items():
                if known is None:
                    self.whole_from[symbol] = whole_from
        if not wanted:
            return
        self._close(before)
        self.known.add(trade.symbol)
        if trade.symbol not in self.whole_from and self.all_whole_from != NEVER:
            self.whole_from[trade.symbol] = self.all_whole_from
        effect = effect_of(() if self.all_trades else trade.conditions or (), extended_hours=True)
        whole = self.whole_from.get(trade.symbol)
        if not any(effect) or whole is None:
            return
        self.arrivals += 1
        starts = [
            (trade.time - trade.time % interval, interval) for interval in self._intervals(trade.symbol)
        ]
        self.late_trades += any(
            start >= whole and start + interval + self.delay <= self.reached for start, interval in starts
        )
        self.seen.setdefault(trade.symbol, []).append(_Seen(trade, self.arrivals))

    def advance(self, clock: int) -> None:
        before = self.reached
        by_clock = self.latest + max(0, clock - self.heard_at)
        self.reached = max(self.reached, min(by_clock, self.latest + LONGEST_INTERVAL + self.delay))
        self._close(before)

    def _windows(self, symbol: str, interval: int) -> dict[int, list[Trade]]:
        windows: dict[int, list[Trade]] = {}
        whole_from = self.whole_from.get(symbol)
        for seen in self.seen.get(symbol, ()):
            start = seen.trade.time - seen.trade.time % interval
            if whole_from is not None and start >= whole_from:
                windows.setdefault(start, []).append(seen.trade)
        return windows

    def _close(self, before: float) -> None:
        """Send the windows whose time has come since the stream had reached ``before``."""
        closed = []
        for symbol in self.seen:
            for interval in self._intervals(symbol):
                for start, trades in self._windows(symbol, interval).items():
                    end = start + interval
                    if before < end + self.delay <= self.reached:
                        text = bar_text(interval, symbol, start, trades, all_trades=self.all_trades)
                        first = next(seen.arrival for seen in self.seen[symbol] if seen.trade is trades[0])
                        if text is not None:
                            closed.append((end, interval, first, symbol, text))
        for end, interval, _, symbol, text in sorted(closed):
            self.out.append(text)
            self.sent.append((end, symbol, interval, text))

    def collect(self) -> list[str]:
        out, self.out = self.out, []
        return out
