"""Bars of any interval from a stream of trades: the compiled core of the ms-aggregator.

No Python object is made for a trade. The native parts, one subject each, are ``native/bar_*.hpp``,
``native/trade_scan.hpp`` and ``native/decimal*.hpp``.
"""

from typing import Final

from typing_extensions import Buffer

from fproxy._fastpath import MessageSink
from fproxy.core.bar_counts import BarCounts
from fproxy.core.market import Market
from fproxy.core.rebuilt_bars import RebuiltBars

MAX_DELAY_MS: Final[int]
"""The longest delay, in milliseconds."""

MAX_REBUILT_MS: Final[int]
"""For how long windows can be built later at the most, in milliseconds."""

class BarBuilder:
    """Builds bars from the trades in upstream messages.

    **What stands for a trade** is the market's to say (``Market.bars_from``): of indices each value (``V``), of
    forex the mean of each quote's ask and bid (``C``). These have no size, so their bars have no ``v`` and
    ``vw``, and ``n`` counts them. Symbols are passed in, and come in the bars, as topics spell them.

    **Which trades count** in what: `fproxy.core.trade_conditions`, by the market's own rules, extended hours included;
    conditions without a rule forbid nothing and are counted. Open and close are the first and last by the trades'
    own times; among trades of the same millisecond, by arrival.

    **Windows** go by the trades' own times and are aligned to the Unix epoch. The time is the stream's: the
    latest time that a trade has stated, moved on by the clock while no later one comes. A window closes
    ``delay_ms`` after its end in that time. Live, delayed and replayed streams therefore give the same bars, and
    quiet symbols hold nothing back. A trade that belongs to a closed window is late: counted, no more.

    **A trade dated more than 10 s ahead** of the stream is set aside. When the next trades bear it out (four in a
    row), or nothing contradicts it for one second, it counts; when the next trade is dated as before, it does
    not. When 16 trades in a row are dated more than two minutes behind, the stream has begun again (a replay, a
    simulator): so do the bars.

    **Whole windows only.** A window counts as seen from its beginning when its symbol's trades have flowed since
    before it began; `trades_started`, `trades_stopped` and `gap` say when they flow. Trades of the symbols that
    are wanted are kept for a minute, so that a window is built whole for whoever begins to want it half way.

    **A bar** is both forms of the protocol at once::

        {"ev":"100Ms","sym":"AAPL","T":"b","S":"AAPL","o":150.2,"h":150.25,"l":150.18,"c":150.22,"v":850,"vw":150.21,
        "n":12,"s":1736503800000,"e":1736503800100}

    Prices and volume are exact, in the shortest form (``150.20`` becomes ``150.2``, ``1.5e2`` becomes ``150``):
    numbers have up to 18 significant digits and 18 decimals; what is beyond is rounded, half to even. Decimal
    sizes (``ds``) count instead of ``s`` when present. ``vw`` is the exact mean rounded half up to four decimals,
    or to as many as the finest price in the window has; the close, when the volume is zero. ``n`` counts the
    trades in the volume.

    The clock is any that does not jump, in milliseconds, such as the event loop's.

    Args:
        market: whose bars.
        delay_ms: how long after its end a window waits for late trades; 0 to `MAX_DELAY_MS`.
        all_trades: count every trade in everything, whatever its conditions say.
        retained_trades: how many trades are kept for windows wanted half way, or later (40 bytes each).
        rebuilt_ms: for how long after it has closed a window can be built for who begins to want it then (`rebuild`).
        keeps_all: keep the trades of all symbols that flow, whoever wants them, and take the time of the stream from
            all of them. Else only those of symbols that are wanted.
        message_bytes: the longest message that is made, unless one bar alone is longer.
        max_intervals: at how many intervals one symbol, or all symbols, can be wanted at once.
        max_windows: how many windows may be open at once (some 200 bytes each). Of those beyond no bar is built, and
            they count as lost.

    Raises:
        ValueError: a delay or a span is out of range, or the market has nothing that bars are built of.
    """

    max_intervals: Final[int]
    max_windows: Final[int]

    def __init__(
        self,
        market: Market = ...,
        *,
        delay_ms: int = 20,
        all_trades: bool = False,
        retained_trades: int = 1 << 20,
        rebuilt_ms: int = 0,
        keeps_all: bool = False,
        message_bytes: int = 64 * 1024,
        max_intervals: int = 256,
        max_windows: int = 1_000_000,
    ) -> None: ...
    def want(self, interval_ms: int, symbol: str) -> None:
        """Note that one more wants bars of an interval.

        Args:
            interval_ms: the interval, 1 to 60000 ms.
            symbol: the symbol, or ``*`` for all of them.

        Raises:
            TooManyIntervalsError: the symbol is wanted at ``max_intervals`` others already; nothing has changed.
            TooManyWindowsError: so many windows are open that there is no room for one more of each symbol that this
                is about; nothing has changed.
            ValueError: the interval is out of range, or the symbol is empty.
        """

    def unwant(self, interval_ms: int, symbol: str) -> None:
        """Note that one less wants bars of an interval. Windows that nobody wants any more are dropped.

        Raises:
            KeyError: nobody wanted them.
            ValueError: the interval is out of range, or the symbol is empty.
        """

    def trades_started(self, symbol: str) -> None:
        """Note that from now on every trade of ``symbol`` (``*``: of every symbol) is fed.

        For example because upstream has acknowledged the subscription. Nothing is built before.
        """

    def trades_stopped(self, symbol: str) -> None:
        """Note that from now on trades of ``symbol`` may be missing.

        ``*`` speaks of the symbols that `trades_started` was not called for by name. Open windows are given up.
        """

    def gap(self) -> None:
        """Note that the stream has broken off: open windows are given up, and no symbol's trades flow any more."""

    def feed(self, payload: Buffer, clock_ms: int, *, scanned_by: MessageSink | None = None) -> None:
        """Take in the trades of one upstream message; everything else in it is passed over.

        Args:
            payload: a JSON array of events, or one event.
            clock_ms: when it arrived.
            scanned_by: who has just taken the same message, in the same place; where that is so, it is not scanned
                once more.

        Raises:
            ValueError: the message is not sound JSON, or no array and no object; nothing of it has been taken in.
        """

    def advance(self, clock_ms: int) -> None:
        """Close the windows whose time has come by the clock.

        To be called when everything that had arrived by then has been fed.
        """

    def next_advance(self) -> int | None:
        """Return when `advance` will have something to do if no trade comes; None when it will not."""

    def collect(self) -> list[bytes]:
        """Return the bars closed since the last call as messages: JSON arrays.

        In order of the windows' ends, then of intervals, then of the windows' first trades.
        """

    def rebuild(self, interval_ms: int, symbol: str, from_end: int) -> RebuiltBars:
        """Build the bars of windows that had closed when somebody began to want them.

        They are those that would have been sent, byte for byte: of the trades that are kept, a trade is late for a
        window exactly if it was when it came. Windows that may lack trades are left out, and those of an interval that
        was built and given up not long ago: some of its bars are out already.

        Args:
            interval_ms: the interval, which is wanted.
            symbol: a symbol, no wildcard.
            from_end: the bars that end at this time or later, in Unix milliseconds.

        Returns:
            the bars, a thousand at the most: ask again from its ``next_end`` on. Nothing, not complete, when nobody
            wants the interval of the symbol.

        Raises:
            ValueError: the interval is out of range, or the symbol is empty.
        """

    def symbol_names(self) -> list[str]:
        """Return the symbols that are tracked: all that `rebuild` has bars of."""

    @property
    def others_whole_from(self) -> int | None:
        """Nothing is missing of symbols that are not tracked from this time on, in Unix milliseconds.

        None when all symbols are neither wanted nor kept, or their trades do not flow.
        """

    @property
    def closed_until(self) -> int | None:
        """Windows that end at this time or earlier have closed, in Unix milliseconds; None before the first trade."""

    @property
    def counts(self) -> BarCounts:
        """What has been done so far."""

    @property
    def symbols(self) -> int:
        """How many symbols are tracked."""

    @property
    def open_windows(self) -> int:
        """How many windows are open."""

    @property
    def window_bytes(self) -> int:
        """How much memory open windows take, with what is kept for those to come."""

    @property
    def retained_trades(self) -> int:
        """How many trades are kept for windows wanted half way."""
