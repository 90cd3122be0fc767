"""The topics of one market: what a client may ask for on that market's path."""

from functools import lru_cache

from fproxy.core.market import Market
from fproxy.core.spelling import own_spelling
from fproxy.core.topics import WILDCARD, Topic, TopicError, parse_topic


@lru_cache(maxsize=16_384)  # thousands of clients ask for the same topics, and share the parsed objects
def parse_market_topic(market: Market, text: str) -> Topic:
    """Parse one topic as a client of a market wrote it, into fproxy's own spelling.

    Args:
        market: the market whose path the client is on.
        text: the topic, without surrounding white space; its symbol in any of the market's spellings.

    Raises:
        TopicError: ``text`` is no topic (see ``parse_topic``), or a wildcard or a prefix of a type for which the
            vendor has no wildcard.
    """
    topic = parse_topic(text)
    known = market.event_types.get(topic.event_type)
    if topic.symbol.endswith(WILDCARD) and known is not None and not known.has_wildcard:
        raise TopicError(
            f"no wildcard: {market.name} have {known.name} for one symbol at a time only: {text!r}"
        )
    return own_spelling(market, topic)
