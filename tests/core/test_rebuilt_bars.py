"""Bars of windows that had closed before anybody wanted them: the same bytes as if they had been wanted before."""

from random import Random

from bar_oracle import BarOracle, bar_texts, payload
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from test_bar_windows import START, feed, keys
from test_bars_oracle import BEGIN, SYMBOLS, random_trade

from fproxy._bars import BarBuilder
from fproxy.core.rebuilt_bars import RebuiltBars

INTERVALS = [7, 50, 100, 1000, 60_000]
MINUTE = 60_000


class LateWantsBesideOracle(RuleBasedStateMachine):
    """A builder of which bars are wanted late, beside an oracle of which all bars are wanted all the time."""

    @initialize(delay=st.sampled_from([0, 20]))
    def begin(self, delay: int) -> None:
        self.builder = BarBuilder(delay_ms=delay, keeps_all=True, rebuilt_ms=10 * MINUTE)
        self.oracle = BarOracle(delay)
        for interval in INTERVALS:
            self.oracle.want(interval, "*")
        self.wanted: set[tuple[int, str]] = set()
        self.clock, self.time = 5, BEGIN
        self.seen = 0  # of what the oracle has sent
        self.flow()

    def flow(self) -> None:
        for each in (self.builder, self.oracle):
            each.trades_started("*")

    @rule()
    def gap(self) -> None:
        self.builder.gap()
        self.oracle.gap()
        self.flow()

    @rule(seed=st.integers(0, 2**32), count=st.integers(1, 40), passes=st.sampled_from([0, 3, 30, 300]))
    def feed(self, seed: int, count: int, passes: int) -> None:
        random = Random(seed)
        trades = []
        for _ in range(count):
            self.time += random.randint(0, passes)
            trades.append(random_trade(random, self.time))
        self.clock += max(0, passes * count - 8_000)  # so that no trade is dated beyond belief
        self.builder.feed(payload(trades), self.clock)
        self.oracle.feed(trades, self.clock)

    @rule(passed=st.sampled_from([1, 49, 5000]))
    def advance(self, passed: int) -> None:
        self.clock += passed
        self.builder.advance(self.clock)
        self.oracle.advance(self.clock)

    @precondition(lambda self: len(self.wanted) < len(INTERVALS) * len(SYMBOLS[:3]))
    @rule(data=st.data(), ago=st.sampled_from([0, 100, 3_000, 10 * MINUTE]))
    def want(self, data: st.DataObject, ago: int) -> None:
        rest = {(interval, symbol) for interval in INTERVALS for symbol in SYMBOLS[:3]} - self.wanted
        interval, symbol = data.draw(st.sampled_from(sorted(rest)))
        from_end = self.time - ago
        self.builder.want(interval, symbol)
        self.wanted.add((interval, symbol))
        rebuilt = all_rebuilt(self.builder, interval, symbol, from_end)
        whole_from = self.oracle.whole_from.get(symbol, self.oracle.all_whole_from)
        whole_from = float("inf") if whole_from is None else whole_from
        expected = [
            text
            for end, *series, text in self.oracle.sent
            if series == [symbol, interval] and end >= from_end and end - interval >= whole_from
        ]
        assert bar_texts(rebuilt.messages) == expected
        assert rebuilt.bars == len(expected)
        assert rebuilt.complete == ((from_end - 1) // interval * interval >= whole_from)

    @invariant()
    def what_follows_is_the_same(self) -> None:
        if not hasattr(self, "builder"):
            return
        sent = self.oracle.sent[self.seen :]
        self.seen += len(sent)
        live = [text for _, symbol, interval, text in sent if (interval, symbol) in self.wanted]
        assert bar_texts(self.builder.collect()) == live
        assert self.oracle.reached < 0 or self.builder.closed_until == self.oracle.reached - self.oracle.delay


TestLateWantsBesideOracle = LateWantsBesideOracle.TestCase
TestLateWantsBesideOracle.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)


def all_rebuilt(builder: BarBuilder, interval: int, symbol: str, from_end: int) -> RebuiltBars:
    """All pieces of what is rebuilt, as one."""
    first = piece = builder.rebuild(interval, symbol, from_end)
    messages, bars = first.messages, first.bars
    while piece.next_end is not None:
        assert 0 < piece.bars <= 1_000
        piece = builder.rebuild(interval, symbol, piece.next_end)
        messages += piece.messages
        bars += piece.bars
    return RebuiltBars(messages, bars, first.complete)


def following(**more: int) -> BarBuilder:
    """A builder to which the trades of all symbols flow, and of which nobody wants anything."""
    builder = BarBuilder(delay_ms=0, keeps_all=True, **{"rebuilt_ms": MINUTE, **more})
    builder.trades_started("*")
    return builder


def wanted(builder: BarBuilder, from_end: int, interval: int = 100) -> tuple[list[int], bool]:
    """When the bars of A begin that are rebuilt for who begins to want them, and whether that is all."""
    builder.want(interval, "A")
    rebuilt = all_rebuilt(builder, interval, "A", START + from_end)
    return [start for _, _, start in keys(rebuilt.messages)], rebuilt.complete


def test_bounded_memory_forgets_the_oldest_trades_and_says_so() -> None:
    builder = following(retained_trades=1024)
    feed(builder, *(("A", time) for time in range(0, 30_000, 10)))
    starts, complete = wanted(builder, 29_000)
    assert (starts, complete) == (list(range(28_900, 29_900, 100)), True)
    rebuilt = builder.rebuild(100, "A", START + 5_000)
    assert not rebuilt.complete
    assert [start for _, _, start in keys(rebuilt.messages)] == list(range(19_800, 29_900, 100))


def test_many_bars_are_built_in_pieces() -> None:
    builder = following()
    feed(builder, *(("A", time) for time in range(3_500)), ("A", 9_000), ("A", 9_001), ("A", 10_000))
    assert wanted(builder, 2, interval=1) == ([*range(1, 3_500), 9_000, 9_001], True)


def test_what_was_built_and_given_up_is_not_built_again() -> None:
    builder = following()
    feed(builder, *(("A", time) for time in range(0, 2_000, 10)))
    wanted(builder, 0)
    feed(builder, *(("A", time) for time in range(2_000, 3_000, 10)))
    builder.unwant(100, "A")
    feed(builder, *(("A", time) for time in range(3_000, 4_000, 10)))
    assert wanted(builder, 2_500) == ([], False), "some of these bars are out already"
    assert wanted(builder, 2_500, interval=50) == (list(range(2_450, 3_950, 50)), True)
    builder.unwant(100, "A")
    # When all of that is as long ago as anything is kept, it is as if it had never been.
    late = 3_000_000
    feed(builder, ("A", late), clock=late)
    feed(builder, *(("A", late + time) for time in range(0, 1_000, 10)), clock=late)
    assert wanted(builder, late + 500) == (list(range(late + 400, late + 900, 100)), True)


def test_a_stream_that_begins_again_leaves_nothing_of_the_time_before() -> None:
    builder = following()
    feed(builder, *(("A", 1_000_000 + time) for time in range(0, 2_000, 10)))
    builder.want(100, "A")
    feed(builder, *(("A", time) for time in range(0, 2_000, 10)))
    assert builder.counts.restarts == 1
    assert builder.rebuild(100, "A", START + 1_000_000)[:3] == ([], 0, True), (
        "what comes at that time is built as it comes"
    )
    assert wanted(builder, 1_500, interval=50) == (list(range(1_450, 1_950, 50)), True)


def test_symbols_that_nobody_wants_are_forgotten_with_their_last_trade() -> None:
    builder = following()
    feed(builder, *((f"S{number}", 1_000) for number in range(2_000)))
    assert builder.symbols == 2_000
    for second in range(0, 200):
        feed(builder, *(("A", 1_000 * second + time) for time in range(0, 1_000, 50)), clock=1_000 * second)
        builder.advance(1_000 * second)
    assert builder.symbols == 1
    assert builder.retained_trades < 4_000
    assert wanted(builder, 190_000, interval=1_000)[1]


def test_nothing_is_kept_of_symbols_that_nobody_wants_unless_that_is_asked_for() -> None:
    builder = BarBuilder(delay_ms=0, rebuilt_ms=MINUTE)
    builder.trades_started("*")
    feed(builder, *(("A", time) for time in range(0, 2_000, 10)))
    assert (builder.symbols, builder.retained_trades) == (0, 0)
    assert wanted(builder, 1_500) == ([], False)
