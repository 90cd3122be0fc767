"""What one client may have of the bars, while it subscribes, unsubscribes and is refused."""

from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.bar_allowance import BarAllowance
from fproxy.core.topics import Topic

BARS = [Topic(f"{interval}Ms", symbol) for symbol in ("*", "A", "B") for interval in range(1, 6)]
OTHERS = [Topic("T", "*"), Topic("T", "A"), Topic("A", "A"), Topic("*", "*")]

MOST = {"*": 2, "A": 3, "B": 3}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["subscribe", "unsubscribe", "refuse", "begin"]), st.sampled_from(BARS + OTHERS)
        )
    )
)
def test_a_client_has_as_many_intervals_as_it_may_and_no_more(steps: list[tuple[str, Topic]]) -> None:
    allowance = BarAllowance(max_wildcards=2, max_intervals=3)
    held: set[Topic] = set()
    granted: set[Topic] = set()  # since the beginning of a part
    for step, topic in steps:
        if step == "subscribe":
            others = sum(
                other in BARS and other.symbol == topic.symbol for other in (held | granted) - {topic}
            )
            fits = topic in OTHERS or topic in held | granted or others < MOST[topic.symbol]
            refusal = allowance.refusal(topic, held)
            assert (refusal is None) == fits
            if fits:
                granted.add(topic)
            else:
                of = "2 of all symbols" if topic.symbol == "*" else "3 of one symbol"
                assert refusal == f"too many intervals, a client may have {of}"
        elif step == "unsubscribe":
            allowance.forget(topic)
            held.discard(topic)
            granted.discard(topic)
        elif step == "begin":
            allowance.begin()
            held |= granted
            granted.clear()
        else:
            held.discard(topic)  # by the upstream: nobody tells the session
