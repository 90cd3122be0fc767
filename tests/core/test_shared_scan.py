"""One scan of a message for the fan-out and for bars: the same bars as with a scan of their own."""

import pytest

from fproxy._bars import BarBuilder
from fproxy._fastpath import Fanout, FrameError
from fproxy.core.market import MARKETS

START = 1_781_622_376_000
INTERVAL = 100


def trade(symbol: str, time: int, price: str = "1.5", *, space: str = "") -> str:
    return f'{{{space}"ev":"T","sym":"{symbol}","p":{price},"s":3,"c":[209],"t":{time}}}'


def messages(symbol: str) -> list[bytes]:
    """One from which on trades are seen; one of the compact form, one of another form, and one of another window."""
    return [
        f"[{trade(symbol, START - 10_000)}]".encode(),
        f"[{trade(symbol, START)},{trade(symbol, START + 1, '2')}]".encode(),
        f"[{trade(symbol, START + 2, '1', space=' ')}]".encode(),
        f"[{trade(symbol, START + 1_000)}]".encode(),
    ]


def builder_for(symbol: str) -> BarBuilder:
    builder = BarBuilder(MARKETS["options"])
    builder.want(INTERVAL, symbol)
    builder.trades_started(symbol)
    return builder


def bars_of(builder: BarBuilder) -> list[bytes]:
    builder.advance(START + 120_000)
    return builder.collect()


@pytest.mark.parametrize("symbol", ["O:A", "O:SPY261218C00650000", "O:" + "LONG" * 20])
def test_bars_of_a_message_that_the_fanout_has_scanned_are_the_same(symbol: str) -> None:
    """Also of symbols that are hashed, by which the two modules must mean the same."""
    source = Fanout().input(0)
    own, shared = builder_for(symbol), builder_for(symbol)
    for message in messages(symbol):
        own.feed(message, START)
        source(message)
        shared.feed(message, START, scanned_by=source)
    expected = bars_of(own)
    assert len(expected) == 1  # message of both bars
    assert bars_of(shared) == expected
    assert shared.counts == own.counts
    assert shared.counts.trades == 4


def test_a_message_that_was_not_the_last_one_taken_is_scanned() -> None:
    symbol = "O:A"
    source = Fanout().input(0)
    own, shared = builder_for(symbol), builder_for(symbol)
    source(b"[]")
    for message in messages(symbol):
        own.feed(message, START)
        shared.feed(message, START, scanned_by=source)
    assert bars_of(shared) == bars_of(own) != []
    assert shared.counts.trades == 4


def test_an_unsound_message_is_refused_all_the_same() -> None:
    source = Fanout().input(0)
    builder = builder_for("O:A")
    unsound = messages("O:A")[0][:-1]
    with pytest.raises(FrameError):
        source(unsound)
    with pytest.raises(ValueError, match="at byte"):
        builder.feed(unsound, START, scanned_by=source)
    assert builder.counts.trades == 0
