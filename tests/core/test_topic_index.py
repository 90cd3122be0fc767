"""The index from topic to clients, against plain counting."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.topic_index import TopicIndex

STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["T.A", "T.B", "*"]), st.sampled_from(["one", "two", "three"]))
)


@given(STEPS)
def test_it_counts_like_a_counter(steps: list[tuple[bool, str, str]]) -> None:
    index = TopicIndex[str]()
    counts: Counter[tuple[str, str]] = Counter()
    for adds, topic, holder in steps:
        if adds:
            index.add(topic, holder)
            counts[topic, holder] += 1
        else:
            index.discard(topic, holder)
            counts[topic, holder] = max(0, counts[topic, holder] - 1)
        for known in ("T.A", "T.B", "*"):
            expected = {holder for (at, holder), count in counts.items() if at == known and count}
            assert set(index.holders(known)) == expected
            assert len(index.holders(known)) == len(expected)
        assert len(index) == len({at for (at, _), count in counts.items() if count})
