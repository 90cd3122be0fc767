"""The fan-outs of a market, in which each event counts from the source that its topic is routed to, and no other."""

from typing import Final

from fproxy._fastpath import Fanout, History, Snapshots
from fproxy.core.market import Market, Upstream
from fproxy.core.spelling import matcher
from fproxy.core.topics import BARS

SOURCES: Final = {Upstream.FIREHOSE: 0, Upstream.AGGREGATOR: 1}
"""What a filtered proxy's fan-out calls the upstreams."""

PAST_SOURCE: Final = 2
"""What it calls what the aggregator brings once more because somebody has asked for what has passed."""

FIREHOSE_SOURCE: Final = 0
"""What an aggregator's calls the firehose."""

BARS_SOURCE: Final = 1
"""What it calls the bars that are built there."""


def filtered_fanout(
    market: Market, history: History | None = None, snapshots: Snapshots | None = None
) -> Fanout:
    """Return a filtered proxy's: what two upstreams send does not come twice."""
    fanout = Fanout(history=history, snapshots=snapshots, event_topics=matcher(market))
    for event_type in market.event_types.values():
        fanout.set_sources(event_type.name, [SOURCES[event_type.upstream]])
    fanout.set_sources(BARS, [SOURCES[Upstream.AGGREGATOR]])
    return fanout


def past_fanout(market: Market) -> Fanout:
    """Return a filtered proxy's of that alone."""
    fanout = Fanout(event_topics=matcher(market))
    for event_type in market.event_types.values():
        fanout.set_sources(
            event_type.name, [PAST_SOURCE] if event_type.upstream is Upstream.AGGREGATOR else []
        )
    fanout.set_sources(BARS, [PAST_SOURCE])
    return fanout


def aggregator_fanout(market: Market, history: History | None = None) -> Fanout:
    """Return an aggregator's: of native bars as the firehose sends them, and of its own."""
    fanout = Fanout(history=history, event_topics=matcher(market))
    native_types = market.types_from(Upstream.AGGREGATOR)
    # What a firehose sends beside the native bars is for nobody here.
    for event_type in market.event_types:
        fanout.set_sources(event_type, [FIREHOSE_SOURCE] if event_type in native_types else [])
    fanout.set_sources(BARS, [BARS_SOURCE])
    return fanout
