"""What lingers is forgotten in its order, whatever is wanted again meanwhile, and never grows by much at once."""

import tracemalloc
from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.lingering import Lingering
from fproxy.core.topic_queue import IN_A_BUCKET


@given(st.data())
def test_it_is_an_ordered_dict(data: st.DataObject) -> None:
    found, model = Lingering(), OrderedDict[str, float]()
    now, made = 0.0, 0
    for _ in range(data.draw(st.integers(1, 12))):
        match data.draw(st.sampled_from(("add", "discard", "discard", "expire", "take"))):
            case "add":
                for _ in range(data.draw(st.integers(1, 2 * IN_A_BUCKET))):
                    made += 1
                    found.add(f"T.{made}", now)
                    model[f"T.{made}"] = now
                now += 1.0
            case "discard":
                step = data.draw(st.integers(1, 7))
                for topic in list(model)[::step]:
                    assert found.discard(topic)
                    del model[topic]
                    assert not found.discard(topic)
            case "expire":
                time = data.draw(st.integers(0, 5))
                expired = list(found.expired(time))
                assert expired == [topic for topic, expiry in model.items() if expiry <= time]
                for topic in expired:
                    found.discard(topic)
                    del model[topic]
            case "take":
                most = data.draw(st.integers(0, 2 * IN_A_BUCKET))
                taken = found.take(most)
                assert taken == list(model.items())[:most]
                for topic, _ in taken:
                    del model[topic]
        assert len(found) == len(model)
        assert list(found.expired(now)) == list(model)
        assert found.first_expiry() == next(iter(model.values()), None)
        assert all(topic in found and found.get(topic) == expiry for topic, expiry in model.items())
        assert found.get("T.0") is None
        assert "T.0" not in found


def test_it_grows_by_little_at_a_time() -> None:
    topics = [f"T.{number}" for number in range(100_000)]
    waiting, most, before = Lingering(), 0, 0
    tracemalloc.start()
    try:
        for number, topic in enumerate(topics):
            waiting.add(topic, 1.0)
            if number % 50 == 0:
                taken = tracemalloc.get_traced_memory()[0]
                most, before = max(most, taken - before), taken
    finally:
        tracemalloc.stop()
    assert most < 1_000_000, "an OrderedDict takes 11 MB at once"


def test_topics_that_come_and_go_leave_nothing_behind() -> None:
    waiting = Lingering()
    waiting.add("T.FIRST", 1.0)
    for _ in range(20 * IN_A_BUCKET):
        waiting.add("T.A", 1.0)
        waiting.discard("T.A")
    assert len(waiting._buckets) < 4
    assert list(waiting.expired(1.0)) == ["T.FIRST"]
