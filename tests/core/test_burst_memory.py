"""What a burst took of memory goes back when it is over."""

import pytest

from fproxy._fastpath import Broadcast, Fanout, buffer_bytes
from fproxy.core.topics import Topic

MIB = 1024 * 1024


class Sink:
    """Counts what is written to it."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, frames: bytes) -> None:
        self.bytes += len(frames)


def event(symbol: str, size: int = 100) -> bytes:
    return b'{"ev":"T","sym":"%s","x":"%s"}' % (symbol.encode(), b"x" * size)


def test_the_buffers_of_thousands_of_audiences() -> None:
    """Each kept the longest that it had needed: 2,000 of them 129 MB."""
    fanout = Fanout()
    sinks = [Sink() for _ in range(2000)]
    for number, sink in enumerate(sinks):
        client = fanout.add_client(sink)
        fanout.subscribe(client, [Topic("T", "A"), Topic("T", f"S{number}")])
    before = buffer_bytes()
    payload = b"[" + b",".join([event("A")] * 400) + b"]"
    fanout.feed(0, payload)
    assert buffer_bytes() - before > 2000 * 400 * 100
    fanout.flush()
    assert all(sink.bytes > 400 * 100 for sink in sinks)
    assert buffer_bytes() <= before + 17 * MIB
    fanout.feed(0, payload)
    fanout.flush()
    assert buffer_bytes() <= before + 17 * MIB
    assert len({sink.bytes for sink in sinks}) == 1


def test_the_buffer_of_a_broadcast() -> None:
    broadcast = Broadcast()
    sink = Sink()
    broadcast.add_client(sink)
    before = buffer_bytes()
    broadcast.feed(b"[" + event("A", 20 * MIB) + b"]")
    broadcast.flush()
    assert sink.bytes > 20 * MIB
    assert buffer_bytes() <= before + 17 * MIB


@pytest.mark.parametrize("kept", [0, 10])
def test_the_topics_of_a_client_that_has_gone(kept: int) -> None:
    fanout = Fanout()
    sinks = [Sink(), Sink()]
    stays, goes = map(fanout.add_client, sinks)
    fanout.subscribe(stays, [Topic("T", f"K{number}") for number in range(kept)])
    before = fanout.topic_bytes
    topics = [Topic("T", f"S{number}") for number in range(30_000)]
    fanout.subscribe(goes, topics)
    assert fanout.topic_bytes > 100 * len(topics)
    fanout.unsubscribe(goes, topics[::2])
    fanout.remove_client(goes)
    while fanout.settle():
        pass
    assert fanout.exact_topics == kept
    assert fanout.topic_bytes < before + MIB
    fanout.feed(0, b"[" + b",".join(event(f"K{number}") for number in range(20)) + b"]")
    fanout.flush()
    assert (sinks[0].bytes > 0) == (kept > 0)
    assert sinks[1].bytes == 0
    again = fanout.add_client(sinks[1])
    fanout.subscribe(again, topics[:5000])
    fanout.feed(0, b"[" + event("S4999") + b"]")
    fanout.flush()
    assert sinks[1].bytes > 100


def test_the_memory_of_very_many_topics_goes_back_in_steps() -> None:
    """All of it at once took 40 ms for a million."""
    fanout = Fanout()
    goes = fanout.add_client(Sink())
    fanout.subscribe(goes, [Topic("T", f"S{number}") for number in range(100_000)])
    fanout.remove_client(goes)
    before, most = fanout.topic_bytes, 0
    assert before > 8 * MIB
    while fanout.settle():
        now = fanout.topic_bytes
        if fanout.exact_topics == 0:
            most = max(most, before - now)
        before = now
    assert before < MIB
    assert 0 < most < 2 * MIB
