"""How a market's topics and its events spell a symbol, where they differ: ``C.EUR-USD`` brings ``"p":"EUR/USD"``.

A topic has one spelling inside fproxy, the vendor's for topics, whichever of the market's a client wrote
(``own_spelling``). When it is given to a fan-out it becomes the rows that its events match, by their own spelling
(``event_topics``): so the spelling costs something when a client subscribes, and nothing for an event.

Source: the vendor's published WebSocket specification, its table of markets and its samples.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Final

from fproxy.core.market import Market, Spelling
from fproxy.core.topics import WILDCARD, Topic, bar_interval

_DASH: Final = "-"
_CODE_LENGTH: Final = (
    3  # of a currency (ISO 4217), by which two of them without a mark between are told apart
)


def own_spelling(market: Market, topic: Topic) -> Topic:
    """Return a topic as fproxy spells it, whichever of the market's spellings it came in.

    Two topics that the events of one symbol match are equal afterwards.

    Args:
        market: the market that the topic is of.
        topic: a topic as a client wrote it, such as ``FMV.C:EURUSD`` or ``C.EUR/USD``.
    """
    spellings = _spellings(market)
    if topic.symbol == WILDCARD or not spellings:
        return topic
    symbol, star = _without_star(topic.symbol)
    for prefix in dict.fromkeys(spelling.prefix for spelling in spellings if spelling.prefix):
        while symbol.startswith(prefix) and symbol != prefix:
            symbol = symbol.removeprefix(prefix)
    separators = {spelling.separator for spelling in spellings}
    for separator in separators - {"", _DASH}:
        first, found, second = symbol.partition(separator)
        if found and _is_pair(first, second, is_whole=not star):
            symbol = first + _DASH + second
    if "" in separators:
        symbol = _separated(symbol, is_whole=not star)
    return Topic(topic.event_type, symbol + star)


@lru_cache(maxsize=16_384)
def event_topics(market: Market, topic: Topic) -> tuple[Topic, ...]:
    """Return what a topic's events match in a fan-out, each a type with a symbol as events of the type spell it.

    The documented spelling comes first; then the topic's own, because not every upstream is the vendor. Events of a
    type that the market's table does not have may be spelled in any of the market's ways.

    Args:
        market: the market that the topic is of.
        topic: a topic as ``own_spelling`` returns it; ``*`` and wildcards match as they are.
    """
    if topic.symbol == WILDCARD or not _spellings(market):
        return (topic,)
    symbol, star = _without_star(topic.symbol)
    texts = [
        _spelled(spelling, symbol, is_whole=not star) for spelling in _spellings_of(market, topic.event_type)
    ]
    return tuple(Topic(topic.event_type, text + star) for text in dict.fromkeys([*texts, symbol]))


def spelled_symbol(market: Market, event_type: str, symbol: str) -> str:
    """Return a topic's symbol as the events of a type spell it: ``EUR/USD`` for the symbol ``EUR-USD`` of ``C``.

    Args:
        market: the market.
        event_type: one of its types.
        symbol: a symbol as ``own_spelling`` returns it; ``*`` stays as it is.
    """
    if symbol == WILDCARD:
        return symbol
    return _spelled(market.event_types[event_type].spelling, symbol, is_whole=True)


def matcher(market: Market) -> Callable[[Topic], tuple[Topic, ...]] | None:
    """Return what turns a market's topics into what its events match; None where topics match as they are."""
    return partial(event_topics, market) if _spellings(market) else None


@lru_cache
def _spellings(market: Market) -> tuple[Spelling, ...]:
    """Return the spellings of a market that differ from the topics'."""
    found = (event.spelling for event in market.event_types.values())
    return tuple(dict.fromkeys(spelling for spelling in found if spelling != Spelling()))


def _spellings_of(market: Market, event_type: str) -> Iterator[Spelling]:
    """Yield how events of a type may spell symbols."""
    if bar_interval(event_type) is not None:
        # Our own bars go by the topic; another aggregator's may go by the events that it builds them of.
        if market.bars_from is not None:
            yield market.event_types[market.bars_from.event_type].spelling
    elif event_type in market.event_types:
        yield market.event_types[event_type].spelling
    else:
        yield from _spellings(market)


def _spelled(spelling: Spelling, symbol: str, *, is_whole: bool) -> str:
    first, dash, second = symbol.partition(_DASH)
    if not dash or not _is_pair(first, second, is_whole=is_whole):
        return spelling.prefix + symbol
    if spelling.separator == "" and _separated(first + second, is_whole=is_whole) != symbol:
        return spelling.prefix + symbol  # where the dash was could not be told
    return spelling.prefix + first + spelling.separator + second


def _is_pair(first: str, second: str, *, is_whole: bool) -> bool:
    """Return whether two texts are those of a pair; what begins a pair may lack the second."""
    return first.isalnum() and (second.isalnum() or (not is_whole and not second))


def _separated(symbol: str, *, is_whole: bool) -> str:
    """Return two currencies that stand side by side with a dash between; anything else as it is.

    Args:
        symbol: ``EURUSD``; or the beginning of such a symbol, in which case the second currency may be cut short.
        is_whole: whether it is a whole symbol.
    """
    first, second = symbol[:_CODE_LENGTH], symbol[_CODE_LENGTH:]
    if not is_whole and second == _DASH:
        return first  # what begins with EUR-, as EUR/ or as EUR, is what begins with EUR
    lengths = (_CODE_LENGTH,) if is_whole else range(1, _CODE_LENGTH + 1)
    return f"{first}{_DASH}{second}" if len(second) in lengths and symbol.isalpha() else symbol


def _without_star(symbol: str) -> tuple[str, str]:
    """Return a symbol, or a prefix and the star behind it."""
    return (symbol[:-1], WILDCARD) if symbol.endswith(WILDCARD) else (symbol, "")
