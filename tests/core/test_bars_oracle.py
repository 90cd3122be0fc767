"""The bar builder beside an oracle in plain Python, with decimal arithmetic, through everything that can happen."""

from random import Random

from bar_oracle import BarOracle, Trade, bar_texts, payload
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fproxy._bars import BarBuilder

BEGIN = 1_736_503_800_000 - 137
SYMBOLS = ["AAPL", "BRK.B", "O:SPY251219C00650000", "BACpL"]
INTERVALS = [1, 7, 50, 100, 1000]
PRICES = [
    "150",
    "150.0",
    "150.2",
    "150.20",
    "150.21",
    "149.9999",
    "150.000001",
    "1.5e2",
    "0.00015",
    "15000E-2",
]
SIZES = ["1", "40", "100", "0", "2500", "1e3"]
DECIMAL_SIZES = [None, None, "40.0", "0.5", "0.000001", "4332125.038360", "0.0"]
CONDITIONS = [0, 2, 10, 12, 13, 14, 15, 33, 37, 38, 41, 99, 1000]

wants = st.tuples(st.sampled_from(INTERVALS), st.sampled_from([*SYMBOLS[:3], "*"]))


def random_trade(random: Random, time: int) -> Trade:
    """A trade of about that time: now and then a late one."""
    return Trade(
        random.choice(SYMBOLS),
        time - random.choice([0, 0, 0, 0, 0, 0, 1, 5, 21, 70, 2000]),
        random.choice([random.choice(PRICES), f"{random.randrange(1_490_000, 1_510_000) / 10_000}"]),
        random.choice(SIZES),
        random.choice(DECIMAL_SIZES),
        random.choice([None, tuple(random.choices(CONDITIONS, k=random.randrange(3)))]),
    )


class BarsBesideOracle(RuleBasedStateMachine):
    @initialize(
        delay=st.sampled_from([0, 20, 50]),
        all_trades=st.booleans(),
        first=st.lists(wants, max_size=4),
        all_flow=st.booleans(),
    )
    def begin(self, delay: int, all_trades: bool, first: list[tuple[int, str]], all_flow: bool) -> None:
        self.builder = BarBuilder(delay_ms=delay, all_trades=all_trades)
        self.oracle = BarOracle(delay, all_trades)
        self.clock = 5
        self.time = BEGIN
        for interval, symbol in first:
            self.want((interval, symbol))
        if all_flow:
            self.trades_started("*")

    @rule(want=wants)
    def want(self, want: tuple[int, str]) -> None:
        self.builder.want(*want)
        self.oracle.want(*want)

    @precondition(lambda self: self.oracle.wants)
    @rule(data=st.data())
    def unwant(self, data: st.DataObject) -> None:
        want = data.draw(st.sampled_from(sorted(self.oracle.wants)))
        self.builder.unwant(*want)
        self.oracle.unwant(*want)

    @rule(symbol=st.sampled_from([*SYMBOLS, "*", "*"]))
    def trades_started(self, symbol: str) -> None:
        self.builder.trades_started(symbol)
        self.oracle.trades_started(symbol)

    @rule(symbol=st.sampled_from([*SYMBOLS, "*"]))
    def trades_stopped(self, symbol: str) -> None:
        self.builder.trades_stopped(symbol)
        self.oracle.trades_stopped(symbol)

    @rule(resumes=st.booleans())
    def gap(self, resumes: bool) -> None:
        self.builder.gap()
        self.oracle.gap()
        if resumes:
            self.trades_started("*")

    @rule(seed=st.integers(0, 2**32), count=st.integers(1, 40), passes=st.sampled_from([0, 1, 3, 30, 400]))
    def feed(self, seed: int, count: int, passes: int) -> None:
        self._feed(seed, count, passes)

    @rule(seed=st.integers(0, 2**32), passes=st.sampled_from([1, 5, 20]))
    def feed_much(self, seed: int, passes: int) -> None:
        self._feed(seed, 100, passes)

    def _feed(self, seed: int, count: int, passes: int) -> None:
        random = Random(seed)
        trades = []
        for _ in range(count):
            self.time += random.randint(0, passes)
            trades.append(random_trade(random, self.time))
        # Keep the clock so near that no trade is dated beyond belief.
        believable = self.oracle.latest + max(0, self.clock - self.oracle.heard_at) + 9_000
        if self.oracle.latest >= BEGIN - 2000 and self.time > believable:
            self.clock += int(self.time - believable)
        self.builder.feed(payload(trades), self.clock)
        self.oracle.feed(trades, self.clock)

    @rule(passed=st.sampled_from([0, 1, 10, 49, 300, 5000, 100_000]))
    def advance(self, passed: int) -> None:
        self.clock += passed
        self.builder.advance(self.clock)
        self.oracle.advance(self.clock)

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "builder"):
            assert bar_texts(self.builder.collect()) == self.oracle.collect()
            counts = self.builder.counts
            assert counts.late_trades == self.oracle.late_trades
            assert counts.lost_windows == self.oracle.lost_windows
            assert counts.bars == len(self.oracle.sent)
            assert (counts.misdated_trades, counts.unusable_trades, counts.restarts) == (0, 0, 0)


TestBarsBesideOracle = BarsBesideOracle.TestCase
TestBarsBesideOracle.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
