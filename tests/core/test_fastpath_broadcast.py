"""Broadcasting: every message to everybody, as it came, less what is not market data."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from market_data import decode, frames, split_events
from test_fastpath_fanout import Sink, trade, unframe

from fproxy._fastpath import Broadcast, FrameError, ReentrancyError

STATUS = b'{"ev":"status","status":"success","message":"subscribed to: T.*"}'


@given(messages=st.lists(frames(), max_size=8))
def test_messages_come_as_they_were(messages: list[bytes]) -> None:
    broadcast = Broadcast()
    received: list[bytes] = []
    broadcast.add_client(Sink(received.append))
    for message in messages:
        assert broadcast.feed(message) is None
    broadcast.flush()
    assert unframe(b"".join(received)) == [message for message in messages if split_events(message)]
    assert broadcast.events_in == sum(len(split_events(message)) for message in messages)


def test_every_client_gets_the_same_object_from_when_it_joined() -> None:
    broadcast = Broadcast()
    early: list[bytes] = []
    late: list[bytes] = []
    sink = Sink(early.append)
    broadcast.add_client(sink)
    broadcast.feed(b"[" + trade("A") + b"]")
    broadcast.add_client(Sink(late.append))
    broadcast.feed(b"[" + trade("B") + b"]")
    broadcast.flush()
    assert [unframe(data) for data in early] == [[b"[" + trade("A") + b"]"], [b"[" + trade("B") + b"]"]]
    assert late == early[1:]
    assert late[0] is early[1]
    broadcast.remove_client(sink)
    broadcast.feed(b"[" + trade("C") + b"]")
    broadcast.flush()
    assert len(early) == 2
    assert len(late) == 2


MEDDLING: dict[str, Callable[[Broadcast, Sink], object]] = {
    "feed": lambda broadcast, _: broadcast.feed(b"[" + trade("B") + b"]"),
    "flush": lambda broadcast, _: broadcast.flush(),
    "add": lambda broadcast, _: broadcast.add_client(Sink(lambda _: None)),
    "remove": lambda broadcast, sink: broadcast.remove_client(sink),
}


@pytest.mark.parametrize("meddle", MEDDLING.values(), ids=MEDDLING.keys())
def test_a_sink_cannot_change_the_broadcast_that_writes_to_it(
    meddle: Callable[[Broadcast, Sink], object],
) -> None:
    broadcast = Broadcast()
    received: list[bytes] = []
    refusals: list[Exception] = []
    second = Sink(received.append)

    def meddle_once(data: bytes) -> None:
        try:
            meddle(broadcast, second)
        except ReentrancyError as error:
            refusals.append(error)

    broadcast.add_client(Sink(meddle_once))
    broadcast.add_client(second)
    broadcast.feed(b"[" + trade("A") + b"]")
    broadcast.flush()
    assert len(refusals) == 1
    assert unframe(b"".join(received)) == [b"[" + trade("A") + b"]"]


def test_status_events_are_returned_and_go_to_no_client() -> None:
    broadcast = Broadcast()
    received: list[bytes] = []
    broadcast.add_client(Sink(received.append))
    assert broadcast.feed(b"[" + STATUS + b"]") == [STATUS]
    assert broadcast.feed(b"[" + STATUS + b"," + trade("A") + b", " + trade("B") + b"]") == [STATUS]
    broadcast.feed(b"[" + trade("C") + b"]")
    broadcast.flush()
    assert unframe(b"".join(received)) == [
        b"[" + trade("A") + b"," + trade("B") + b"]",
        b"[" + trade("C") + b"]",
    ]


def test_messages_too_long_for_clients_are_split_between_events() -> None:
    broadcast = Broadcast(max_message=1000)
    received: list[bytes] = []
    broadcast.add_client(Sink(received.append))
    events = [trade(f"S{i}", x="y" * (5 * i)) for i in range(300)]
    broadcast.feed(b"[" + b",".join(events) + b"]")
    broadcast.flush()
    messages = unframe(b"".join(received))
    assert [event for message in messages for event in split_events(message)] == events
    assert all(len(message) <= 1000 or len(decode(message)) == 1 for message in messages)


def test_unsound_messages_reach_nobody() -> None:
    broadcast = Broadcast()
    received: list[bytes] = []
    broadcast.add_client(Sink(received.append))
    with pytest.raises(FrameError, match="byte"):
        broadcast.feed(json.dumps([{"ev": "T", "sym": "A"}]).encode()[:-1])
    broadcast.flush()
    assert received == []
    with pytest.raises(KeyError):
        broadcast.remove_client(Sink(received.append))
