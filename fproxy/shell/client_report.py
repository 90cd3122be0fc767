"""What a server tells operators of one of its clients."""

from typing import Final

from fproxy.core.report import ClientReport
from fproxy.shell.client import Client

LISTED_TOPICS: Final = 100
"""The most topics of a client that are listed; how many there are is told in any case."""


def client_report(client: Client, *, with_topics: bool = False) -> ClientReport:
    """Return what there is to tell of a client that has authenticated.

    Args:
        client: the client.
        with_topics: list its topics, as far as there are not too many.
    """
    topics = client.topics
    report: ClientReport = {
        "id": client.number,
        "name": client.key.name if client.key is not None else "",
        "address": client.peer,
        "market": client.market,
        "connected": client.connected,
        "topics": len(topics),
        "events": client.sink.events_written,
        "bytes": client.sink.bytes_written,
        "unsent_bytes": client.unsent_bytes,
        "lag": client.lag,
        "dropped": client.dropped_events,
        "notices": client.sink.notices_written,
    }
    if with_topics and len(topics) <= LISTED_TOPICS:
        report["topic_list"] = sorted(topic.text for topic in topics)
    return report
