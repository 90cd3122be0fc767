# distutils: language = c++
"""Bars of any interval from a stream of trades: the compiled core of the ms-aggregator (see ``_bars.pyi``)."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cpp_bool
from libcpp.string cimport string
from libcpp.vector cimport vector

from fproxy._core_error cimport core_error
from fproxy._fastpath cimport MessageSink, ScannedMessage, seed_of_scans

from fproxy.core.bar_allowance import MAX_BAR_WILDCARDS
from fproxy.core.bar_counts import BarCounts
from fproxy.core.bar_errors import TooManyIntervalsError, TooManyWindowsError
from fproxy.core.market import STOCKS, Spelling
from fproxy.core.rebuilt_bars import RebuiltBars
from fproxy.core.spelling import spelled_symbol
from fproxy.core.topics import MAX_BAR_INTERVAL_MS
from fproxy.core.trade_conditions import effect_of


cdef extern from "<string_view>" namespace "std" nogil:
    cdef cppclass string_view:
        string_view()
        string_view(const char *, size_t)


cdef extern from "bar_builder.hpp" namespace "fproxy" nogil:
    cdef cppclass ScanFailure:
        size_t at
        const char *what

    void adopt_process_seed(uint64_t)


cdef extern from "bar_builder.hpp" namespace "fproxy::bars" nogil:
    enum Effect:
        kHighLow
        kOpenClose
        kVolume

    enum class BarShape(uint8_t):
        kTrades
        kValues
        kQuotes

    cdef cppclass ConditionEffects:
        ConditionEffects() except +core_error
        void set(uint32_t, uint8_t) except +core_error

    struct Separators:
        char of_events
        char of_topics

    cdef cppclass CppBarSource "fproxy::bars::BarSource":
        CppBarSource(const string &, BarShape, const ConditionEffects &, Separators) except +core_error

    struct BarLimits:
        int64_t delay_ms
        size_t retained_trades
        int64_t rebuilt_ms
        cpp_bool keeps_all
        size_t message_bytes
        size_t intervals
        size_t wildcards
        size_t windows

    enum class Wish:
        kGranted
        kTooManyIntervals
        kTooManyWindows

    struct Counts "fproxy::bars::BarCounts":
        uint64_t trades
        uint64_t late
        uint64_t misdated
        uint64_t unusable
        uint64_t unknown_conditions
        uint64_t bars
        uint64_t lost
        uint64_t refused
        uint64_t restarts

    struct CppRebuiltBars "fproxy::bars::RebuiltBars":
        vector[string] messages
        size_t bars
        cpp_bool complete
        int64_t next_end

    int64_t kNever

    cdef cppclass Builder "fproxy::bars::BarBuilder":
        Builder(const BarLimits &, const CppBarSource &) except +core_error
        Wish want(int32_t, string_view) except +core_error
        cpp_bool unwant(int32_t, string_view) except +core_error
        void trades_started(string_view) except +core_error
        void trades_stopped(string_view) except +core_error
        void gap() except +core_error
        cpp_bool feed(const char *, const char *, int64_t) except +core_error
        void feed_scanned "feed"(const ScannedMessage &, int64_t) except +core_error
        const ScanFailure &failure()
        void advance(int64_t) except +core_error
        cpp_bool next_advance(int64_t *)
        vector[string] collect() except +core_error
        CppRebuiltBars rebuild(int32_t, string_view, int64_t) except +core_error
        vector[string] symbol_names() except +core_error
        int64_t others_whole_from()
        int64_t closed_until()
        const Counts &counts()
        size_t symbol_count()
        size_t open_windows()
        size_t window_bytes()
        size_t retained_trades()


# Before anything is hashed here.
adopt_process_seed(seed_of_scans())

MAX_DELAY_MS = 60_000
MAX_REBUILT_MS = 86_400_000


cdef string_view _view(bytes text) noexcept:
    return string_view(<const char *> text, <size_t> len(text))


cdef int32_t _interval(int64_t interval_ms) except -1:
    if not 1 <= interval_ms <= MAX_BAR_INTERVAL_MS:
        raise ValueError(f"interval outside 1 to {MAX_BAR_INTERVAL_MS} ms: {interval_ms}")
    return <int32_t> interval_ms


cdef list _messages(const vector[string] &texts):
    cdef size_t i
    return [texts[i].data()[:texts[i].size()] for i in range(texts.size())]


# By the keys of the price and of the size.
_SHAPES = {
    (("p",), "s"): BarShape.kTrades,
    (("val",), None): BarShape.kValues,
    (("a", "b"), None): BarShape.kQuotes,
}


cdef Separators _separators(object spelling) except *:
    cdef Separators separators
    if spelling.prefix or len(spelling.separator) != 1:
        raise ValueError(f"bars cannot be built of events that spell symbols so: {spelling}")
    separators.of_events = <char> ord(spelling.separator)
    separators.of_topics = <char> ord(Spelling().separator)
    return separators


cdef class BarBuilder:
    cdef Builder *_builder
    cdef object _market
    cdef readonly int max_intervals
    cdef readonly Py_ssize_t max_windows

    def __cinit__(
        self,
        object market=STOCKS,
        *,
        int64_t delay_ms=20,
        bint all_trades=False,
        size_t retained_trades=1 << 20,
        int64_t rebuilt_ms=0,
        bint keeps_all=False,
        size_t message_bytes=64 * 1024,
        size_t max_intervals=256,
        size_t max_windows=1_000_000,
    ):
        if not 0 <= delay_ms <= MAX_DELAY_MS:
            raise ValueError(f"delay outside 0 to {MAX_DELAY_MS} ms: {delay_ms}")
        if not 0 <= rebuilt_ms <= MAX_REBUILT_MS:
            raise ValueError(f"rebuilt span outside 0 to {MAX_REBUILT_MS} ms: {rebuilt_ms}")
        cdef BarLimits limits
        limits.delay_ms = delay_ms
        limits.retained_trades = retained_trades
        limits.rebuilt_ms = rebuilt_ms
        limits.keeps_all = keeps_all
        limits.message_bytes = message_bytes
        limits.intervals = max_intervals
        limits.wildcards = min(max_intervals, <size_t> MAX_BAR_WILDCARDS)
        limits.windows = max_windows
        source = market.bars_from
        if source is None:
            raise ValueError(f"no bars are built for {market.name}")
        cdef ConditionEffects effects
        for number in source.conditions:
            effect = effect_of(() if all_trades else (number,), extended_hours=True, rules=source.conditions)
            effects.set(
                number,
                kHighLow * effect.high_low | kOpenClose * effect.open_close | kVolume * effect.volume,
            )
        cdef BarShape shape = _SHAPES[source.price_keys, source.size_key]
        cdef string event_type = source.event_type.encode()
        cdef Separators separators = _separators(market.event_types[source.event_type].spelling)
        self.max_intervals = <int> max_intervals
        self.max_windows = <Py_ssize_t> max_windows
        self._market = market
        cdef CppBarSource *native_source = new CppBarSource(event_type, shape, effects, separators)
        try:
            self._builder = new Builder(limits, native_source[0])
        finally:
            del native_source

    def __dealloc__(self):
        del self._builder

    # A topic's symbol as events spell it.
    cdef bytes _name(self, str symbol):
        if not symbol:
            raise ValueError("a symbol is empty")
        spelled = spelled_symbol(self._market, self._market.bars_from.event_type, symbol)
        return spelled.encode("utf-8", "surrogatepass")

    def want(self, int64_t interval_ms, str symbol not None):
        cdef bytes name = self._name(symbol)
        cdef Wish wish = self._builder.want(_interval(interval_ms), _view(name))
        if wish == Wish.kTooManyIntervals:
            most = min(self.max_intervals, MAX_BAR_WILDCARDS) if symbol == "*" else self.max_intervals
            raise TooManyIntervalsError(f"{symbol!r} is wanted at {most} intervals, and no more may be")
        if wish == Wish.kTooManyWindows:
            raise TooManyWindowsError(f"of {self.max_windows} bars that may be under construction there are too many")

    def unwant(self, int64_t interval_ms, str symbol not None):
        cdef bytes name = self._name(symbol)
        if not self._builder.unwant(_interval(interval_ms), _view(name)):
            raise KeyError(f"nobody wants {interval_ms} ms of {symbol!r}")

    def trades_started(self, str symbol not None):
        cdef bytes name = self._name(symbol)
        self._builder.trades_started(_view(name))

    def trades_stopped(self, str symbol not None):
        cdef bytes name = self._name(symbol)
        self._builder.trades_stopped(_view(name))

    def gap(self):
        self._builder.gap()

    def feed(self, payload, int64_t clock_ms, *, MessageSink scanned_by=None):
        cdef Py_buffer view
        cdef cpp_bool sound = True
        cdef const ScannedMessage *scanned = NULL
        cdef const char *begin
        if scanned_by is not None:
            scanned = scanned_by.scanned()
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            begin = <const char *> view.buf
            if scanned != NULL and scanned.is_that(begin, begin + view.len):
                self._builder.feed_scanned(scanned[0], clock_ms)
            else:
                sound = self._builder.feed(begin, begin + view.len, clock_ms)
        finally:
            PyBuffer_Release(&view)
        if not sound:
            raise ValueError(f"{self._builder.failure().what.decode()} at byte {self._builder.failure().at}")

    def advance(self, int64_t clock_ms):
        self._builder.advance(clock_ms)

    def next_advance(self):
        cdef int64_t at = 0
        return at if self._builder.next_advance(&at) else None

    def collect(self):
        return _messages(self._builder.collect())

    def rebuild(self, int64_t interval_ms, str symbol not None, int64_t from_end):
        cdef bytes name = self._name(symbol)
        cdef CppRebuiltBars rebuilt = self._builder.rebuild(_interval(interval_ms), _view(name), from_end)
        following = None if rebuilt.next_end == kNever else rebuilt.next_end
        return RebuiltBars(_messages(rebuilt.messages), rebuilt.bars, rebuilt.complete, following)

    def symbol_names(self):
        return [name.decode("utf-8", "surrogatepass") for name in self._builder.symbol_names()]

    @property
    def others_whole_from(self):
        cdef int64_t time = self._builder.others_whole_from()
        return None if time == kNever else time

    @property
    def closed_until(self):
        cdef int64_t time = self._builder.closed_until()
        return None if time < 0 else time

    @property
    def counts(self):
        cdef Counts counts = self._builder.counts()
        return BarCounts(
            counts.trades,
            counts.late,
            counts.misdated,
            counts.unusable,
            counts.unknown_conditions,
            counts.bars,
            counts.lost,
            counts.refused,
            counts.restarts,
        )

    @property
    def symbols(self):
        return self._builder.symbol_count()

    @property
    def open_windows(self):
        return self._builder.open_windows()

    @property
    def window_bytes(self):
        return self._builder.window_bytes()

    @property
    def retained_trades(self):
        return self._builder.retained_trades()
