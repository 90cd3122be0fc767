"""Which upstream topics bring the events of a topic, by market: for each role, what it asks of whom.

A prefix is asked for as the wildcard that covers it: the vendor has no prefixes, nor may others.

A route gives pairs of an upstream and a topic to ask it for, such as ``(Upstream.FIREHOSE, "T.AAPL")``.
"""

from collections.abc import Callable, Iterable

from fproxy.core.market import Market, Upstream
from fproxy.core.topics import Topic, bar_interval

Route = Callable[[Topic], Iterable[tuple[Upstream, str]]]
"""Gives the upstream topics, each with the upstream to ask, that together bring every event of a topic."""


def filtered_proxy_route(market: Market) -> Route:
    """Return the route of a filtered proxy: its firehose and its ms-aggregator, each for what it serves."""
    everything = tuple((upstream, text) for upstream in Upstream for text in market.wildcards(upstream))
    aggregated = market.types_from(Upstream.AGGREGATOR)

    def route(topic: Topic) -> tuple[tuple[Upstream, str], ...]:
        if topic.is_everything:
            return everything
        if topic.event_type in aggregated or bar_interval(topic.event_type) is not None:
            return ((Upstream.AGGREGATOR, topic.covering.text),)
        return ((Upstream.FIREHOSE, topic.covering.text),)

    return route


def aggregator_route(market: Market) -> Route:
    """Return the route of an ms-aggregator: of its firehose, what its bars are built of, and the native ones."""
    everything = tuple((Upstream.FIREHOSE, text) for text in market.wildcards(Upstream.AGGREGATOR))

    def route(topic: Topic) -> tuple[tuple[Upstream, str], ...]:
        if topic.is_everything:
            return everything
        if market.bars_from is not None and bar_interval(topic.event_type) is not None:
            return ((Upstream.FIREHOSE, f"{market.bars_from.event_type}.{topic.covering.symbol}"),)
        return ((Upstream.FIREHOSE, topic.covering.text),)

    return route


def firehose_route(market: Market) -> Route:
    """Return the route of a firehose: the topic itself, of the vendor, which has no topic for everything."""
    everything = tuple(
        (Upstream.FIREHOSE, text) for upstream in Upstream for text in market.wildcards(upstream)
    )

    def route(topic: Topic) -> tuple[tuple[Upstream, str], ...]:
        return everything if topic.is_everything else ((Upstream.FIREHOSE, topic.covering.text),)

    return route
