"""The set of what one client has: as a set of Python's would have it, small with few, and never long to grow."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.growing_set import FEW, GrowingSet
from fproxy.core.spread import PARTS


@given(st.lists(st.tuples(st.booleans(), st.integers(0, FEW + 500), st.integers(1, FEW + 500)), max_size=8))
def test_it_is_a_set(happened: list[tuple[bool, int, int]]) -> None:
    found, model = GrowingSet[str](), set[str]()
    for comes, first, count in happened:
        for number in range(first, first + count):
            key = f"T.S{number}"
            if comes:
                found.add(key)
                model.add(key)
            else:
                found.discard(key)
                model.discard(key)
            assert (key in found) is (key in model)
        assert found == model
        assert len(found) == len(model)
    assert {key for part in found.parts for key in part} == model


def test_no_step_grows_it_by_much() -> None:
    found = GrowingSet[str]()
    for number in range(100_000):
        found.add(f"T.S{number}")
    assert len(found.parts) == PARTS
    assert max(map(sys.getsizeof, found.parts)) < 200_000, (
        "a part grows at once, as a set of so many does by 4 MB"
    )


def test_it_takes_little_while_there_are_few() -> None:
    found = GrowingSet[str]()
    found.add("T.A")
    assert len(found.parts) == 1
    assert sys.getsizeof(found) + sum(map(sys.getsizeof, found.parts)) < 512
