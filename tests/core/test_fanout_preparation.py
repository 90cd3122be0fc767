"""Changes of what a client gets that go through very many rows of the topic table are made in steps, and beforehand.

How much a step does is counted beside the model, in ``tests/native/fanout_harness.cpp``.
"""

from collections.abc import Callable

import pytest
from test_fastpath_fanout import Sink, split_events, unframe

from fproxy._fastpath import Fanout

COUNT = 5_000
IN_A_STEP = 1_000

TOPICS = [("T", f"S{number}") for number in range(COUNT)]
EVENTS = b"[%b]" % b",".join(b'{"ev":"T","sym":"S%d"}' % number for number in range(COUNT))


class Crowd:
    """A fan-out with clients, each of which keeps what it gets."""

    def __init__(self) -> None:
        self.fanout = Fanout()
        self.frames: dict[int, list[bytes]] = {}

    def client(self, *topics: tuple[str, str]) -> int:
        frames: list[bytes] = []
        client = self.fanout.add_client(Sink(frames.append))
        self.frames[client] = frames
        self.fanout.subscribe(client, topics)
        return client

    def got(self, client: int) -> int:
        """Return how many events a client gets of one of each topic."""
        self.fanout.flush()
        self.frames[client].clear()
        self.fanout.feed(0, EVENTS)
        self.fanout.flush()
        messages = (message for framed in self.frames[client] for message in unframe(framed))
        return sum(len(split_events(message)) for message in messages)


def steps(more: Callable[[], bool]) -> int:
    """Do something to the end; return in how many steps."""
    count = 1
    while more():
        count += 1
    return count


def test_an_audience_of_many_topics_is_copied_in_steps_before_a_client_leaves_it() -> None:
    crowd = Crowd()
    leaver, stayer = crowd.client(*TOPICS), crowd.client(*TOPICS)
    one = TOPICS[:1]
    assert crowd.fanout.may_take_long(leaver, one)
    assert steps(lambda: crowd.fanout.prepare_to_unsubscribe(leaver, one)) >= COUNT / IN_A_STEP
    assert (crowd.got(leaver), crowd.got(stayer)) == (COUNT, COUNT), "nothing has changed for anybody"
    crowd.fanout.unsubscribe(leaver, one)
    assert (crowd.got(leaver), crowd.got(stayer)) == (COUNT - 1, COUNT)


@pytest.mark.parametrize("wildcard", [("T", "*"), ("*", "*")])
def test_a_wildcard_comes_and_goes_in_steps_beside_very_many_topics(wildcard: tuple[str, str]) -> None:
    crowd = Crowd()
    crowd.client(*TOPICS)
    client = crowd.client(("Q", "A"))
    assert crowd.fanout.may_take_long(client, [wildcard])
    assert steps(lambda: crowd.fanout.prepare_to_subscribe(client, [wildcard])) >= COUNT / IN_A_STEP
    assert crowd.got(client) == 0
    crowd.fanout.subscribe(client, [wildcard])
    assert crowd.got(client) == COUNT
    steps(lambda: crowd.fanout.prepare_to_unsubscribe(client, [wildcard]))
    crowd.fanout.unsubscribe(client, [wildcard])
    assert crowd.got(client) == 0
    assert steps(crowd.fanout.settle) >= COUNT / IN_A_STEP
    assert crowd.got(client) == 0
    assert crowd.fanout.audiences == 2


def test_who_has_nothing_but_a_wildcard_leaves_it_in_steps() -> None:
    crowd = Crowd()
    crowd.client(*TOPICS)
    client = crowd.client(("T", "*"))
    assert not crowd.fanout.prepare_to_unsubscribe(client, [("T", "*")])
    crowd.fanout.unsubscribe(client, [("T", "*")])
    assert crowd.got(client) == 0
    assert steps(crowd.fanout.settle) >= COUNT / IN_A_STEP - 1
    assert crowd.fanout.audiences == 1


def test_who_goes_in_the_middle_leaves_nothing_behind() -> None:
    crowd = Crowd()
    leaver, stayer = crowd.client(*TOPICS), crowd.client(*TOPICS)
    assert crowd.fanout.prepare_to_subscribe(leaver, [("Q", "A")])
    crowd.fanout.remove_client(leaver)
    steps(crowd.fanout.settle)
    assert crowd.fanout.audiences == 1
    assert crowd.fanout.exact_topics == COUNT
    assert crowd.got(stayer) == COUNT


def test_what_was_prepared_is_of_no_use_for_another_change() -> None:
    crowd = Crowd()
    client, _ = crowd.client(*TOPICS), crowd.client(*TOPICS)
    steps(lambda: crowd.fanout.prepare_to_unsubscribe(client, TOPICS[:1]))
    crowd.fanout.unsubscribe(client, TOPICS[1:3])
    steps(crowd.fanout.settle)
    assert crowd.got(client) == COUNT - 2
    assert crowd.fanout.audiences == 2


def test_few_topics_are_not_worth_it() -> None:
    crowd = Crowd()
    client, _ = crowd.client(*TOPICS[:100]), crowd.client(*TOPICS[:100])
    assert not crowd.fanout.prepare_to_unsubscribe(client, TOPICS[:1])
    alone = crowd.client(("T", "A"))
    assert not crowd.fanout.may_take_long(alone, [("T", "B")])
    with pytest.raises(KeyError):
        crowd.fanout.may_take_long(99, [("T", "B")])
