"""Bars of the past that were not built when their windows closed, for who asks for them now."""

from collections.abc import Collection, Iterator

from fproxy._bars import BarBuilder
from fproxy.core.rebuilt_bars import RebuiltBars
from fproxy.core.topics import WILDCARD, Topic, bar_interval


def rebuilt_bars(
    builder: BarBuilder, topics: Collection[Topic], from_end: int
) -> Iterator[tuple[Topic, RebuiltBars]]:
    """Yield the bars of topics that end at a time or later and had closed before they were wanted, in pieces.

    A piece is a thousand bars of one topic and one symbol at the most. No bar comes twice, and those of a symbol come
    in order.

    Args:
        builder: has the trades.
        topics: which; others than those of millisecond bars are passed over.
        from_end: the time, in Unix milliseconds.

    Yields:
        a topic with some of its bars, each topic once or more; nothing is missing of it when every piece is complete.
    """
    brought: set[tuple[int, str]] = set()
    for topic in topics:
        interval = bar_interval(topic.event_type)
        if interval is None:
            continue
        if topic.covering.symbol == WILDCARD:
            prefix = topic.symbol.removesuffix(WILDCARD)
            symbols = [name for name in builder.symbol_names() if name.startswith(prefix)]
            whole_from = builder.others_whole_from
            first = max(from_end - 1, 0) // interval * interval
            yield topic, RebuiltBars([], 0, complete=whole_from is not None and whole_from <= first)
        else:
            symbols = [topic.symbol]
        for symbol in symbols:
            rebuilt = builder.rebuild(interval, symbol, from_end)
            if (interval, symbol) in brought:
                rebuilt = RebuiltBars([], 0, rebuilt.complete)
            brought.add((interval, symbol))
            yield topic, rebuilt
            while rebuilt.next_end is not None:
                rebuilt = builder.rebuild(interval, symbol, rebuilt.next_end)
                yield topic, rebuilt
