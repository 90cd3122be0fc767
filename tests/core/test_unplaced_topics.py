"""Topics without a place in a server's stream: as two sets would have it, and freed little by little."""

from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.spread import PARTS
from fproxy.core.unplaced_topics import FREED, FREED_FOR_EACH, UnplacedTopics

TOPICS = ("T.A", "T.B", "T.C", "T.D")
some = st.lists(st.sampled_from(TOPICS), max_size=3)
events = st.sampled_from(
    ("requested", "acknowledged", "given_up", "placed", "lost", "clear", "take_all", "put_back")
)


@given(st.lists(st.tuples(events, some), max_size=30))
def test_they_are_two_sets(happened: list[tuple[str, list[str]]]) -> None:
    unplaced, taken = UnplacedTopics(), UnplacedTopics()
    requested: set[str] = set()
    acknowledged: set[str] = set()
    expected_taken: set[str] = set()
    for event, topics in happened:
        match event:
            case "requested":
                requested |= set(topics)
                unplaced.requested(topics)
            case "acknowledged":
                known = requested & set(topics)
                requested -= known
                acknowledged |= known
                unplaced.acknowledged(topics)
            case "given_up":
                requested -= set(topics)
                acknowledged -= set(topics)
                unplaced.given_up(topics)
            case "placed":
                acknowledged.clear()
                unplaced.placed()
            case "lost":
                requested |= acknowledged
                acknowledged.clear()
                unplaced.lost()
            case "clear":
                requested.clear()
                acknowledged.clear()
                unplaced.clear()
            case "take_all":
                expected_taken = requested | acknowledged
                requested.clear()
                acknowledged.clear()
                taken = unplaced.take_all()
            case _:
                requested |= expected_taken
                unplaced.put_back(taken)
                expected_taken, taken = set(), UnplacedTopics()
        assert {topic for topic in TOPICS if topic in unplaced} == requested | acknowledged
        assert {topic for topic in TOPICS if topic in taken} == expected_taken
        assert bool(unplaced) is bool(requested | acknowledged)


def test_what_is_forgotten_is_freed_little_by_little_and_no_more_slowly_than_it_is_made() -> None:
    unplaced = UnplacedTopics()
    topics = [f"T.S{number}" for number in range(100 * PARTS)]
    unplaced.requested(topics)
    unplaced.acknowledged(topics)
    unplaced.placed()
    assert not unplaced
    left = sum(map(len, unplaced._forgotten))
    assert left >= len(topics) - FREED
    for topic in topics[: len(topics) // 2]:
        unplaced.requested([topic])
        unplaced.acknowledged([topic])
        now = sum(map(len, unplaced._forgotten))
        assert left - now <= 2 * (FREED + FREED_FOR_EACH), "50 topics are answered for in a step"
        left = now
    assert not unplaced._forgotten
