"""Tables in parts: as a dict and a set would have it, and freed little by little."""

import gc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.spread import PARTS, SpreadDict, SpreadSet, free_some

keys = st.integers(0, 300).map("T.S{}".format)


@given(st.lists(st.tuples(st.sampled_from(("add", "discard", "update", "difference_update")), keys, keys)))
def test_a_set_in_parts_is_a_set(happened: list[tuple[str, str, str]]) -> None:
    found, model = SpreadSet[str](), set[str]()
    for what, one, other in happened:
        if what in ("add", "discard"):
            getattr(found, what)(one)
            getattr(model, what)(one)
        else:
            getattr(found, what)([one, other])
            getattr(model, what)([one, other])
        assert set(found) == model
        assert len(found) == len(model)
        assert (one in found) is (one in model)


@given(st.dictionaries(keys, st.integers()), keys)
def test_a_dict_in_parts_is_a_dict(model: dict[str, int], key: str) -> None:
    found = SpreadDict[str, int]()
    for each, value in model.items():
        found[each] = value
    assert {each: found.get(each) for each in found} == model
    assert found.get(key, -1) == found.part(key).get(key, -1) == model.get(key, -1)
    assert found.pop(key) == model.pop(key, None)
    assert len(found) == len(model)


def test_no_part_is_long() -> None:
    found = SpreadSet[str]()
    found.update(f"T.S{number}" for number in range(100 * PARTS))
    assert max(map(len, found.parts)) < 200


def test_the_garbage_collector_does_not_walk_through_topics() -> None:
    found, counts = SpreadSet[str](), SpreadDict[str, int]()
    for number in range(10 * PARTS):
        found.add(f"T.S{number}")
        counts[f"T.S{number}"] = number
    assert not any(map(gc.is_tracked, (*found.parts, *counts.parts)))


@given(st.lists(st.integers(0, 50), max_size=10), st.integers(1, 60))
def test_what_is_of_no_use_is_freed_little_by_little(sizes: list[int], most: int) -> None:
    parts: list[dict[str, Any]] = [{str(key): None for key in range(size)} for size in sizes]
    while parts:
        entries, count = sum(map(len, parts)), len(parts)
        free_some(parts, most)
        freed = entries - sum(map(len, parts))
        assert freed + count - len(parts) > 0
        assert freed <= most
        assert count - len(parts) <= most
