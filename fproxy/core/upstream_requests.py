"""The requests that are sent to an upstream: what they look like, and how much goes into each."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fproxy.core.demand_changes import Changes
from fproxy.core.topics import bar_interval

MAX_TOPICS_PER_REQUEST: Final = 1_000
"""The most topics in one request, which bounds its answer as well: one status a topic."""

MAX_PARAMS_BYTES: Final = 16 * 1024
"""The most bytes of topics in one request, far from the limits that servers set to what clients may send."""

SUBSCRIBE: Final = "subscribe"
UNSUBSCRIBE: Final = "unsubscribe"
_encode_json = json.JSONEncoder(ensure_ascii=False).encode


def split_topics(
    topics: Sequence[str],
    *,
    max_topics: int = MAX_TOPICS_PER_REQUEST,
    max_bytes: int = MAX_PARAMS_BYTES,
) -> Iterator[Sequence[str]]:
    """Yield ``topics`` in order, in parts that each fit one request.

    Args:
        topics: what to request.
        max_topics: the most topics in a part.
        max_bytes: the most bytes in a part, as UTF-8 with a comma after each topic; a longer topic is a
            part of its own.
    """
    start = size = 0
    for index, topic in enumerate(topics):
        length = len(topic.encode("utf-8", "surrogatepass")) + 1
        if index > start and (index - start >= max_topics or size + length > max_bytes):
            yield topics[start:index]
            start, size = index, 0
        size += length
    if start < len(topics):
        yield topics[start:]


def requests_of(changes: Changes, *, is_peer: bool) -> Iterator[tuple[str, Sequence[str], int | None]]:
    """Yield the action, the topics and the ``since`` of what has to be asked for.

    Others than roles of ours know ``since`` for millisecond bars at most.
    """
    yield UNSUBSCRIBE, changes.make_room, None
    if not changes.since:
        yield SUBSCRIBE, changes.subscribe, None
    else:
        groups: dict[int | None, list[str]] = {}
        for topic in changes.subscribe:
            since = changes.since.get(topic) if is_peer or _is_of_bars(topic) else None
            groups.setdefault(since, []).append(topic)
        for time, topics in groups.items():
            yield SUBSCRIBE, topics, time
    yield UNSUBSCRIBE, changes.unsubscribe, None


def _is_of_bars(topic: str) -> bool:
    return bar_interval(topic.partition(".")[0]) is not None


def request_message(
    action: str, params: str, since: int | None = None, recover: str | int | None = None
) -> bytes:
    """Return a control message: auth with a key, or a request with topics, from a time on, or with what to recover."""
    more = "" if since is None else f',"since":{since}'
    if recover is not None:
        more += f',"recover":{recover}'
    return f'{{"action":"{action}","params":{_encode_json(params)}{more}}}'.encode(
        "utf-8", "backslashreplace"
    )


def shown_topics(topics: Iterable[str]) -> str:
    """Return topics for the log: all of a few, some of many."""
    texts = list(topics)
    return ", ".join(texts) if len(texts) <= 5 else f"{', '.join(texts[:4])} and {len(texts) - 4} more"
