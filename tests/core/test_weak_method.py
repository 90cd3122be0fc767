"""Methods that are called back without keeping their object alive."""

import gc
from weakref import ref

import pytest

from fproxy.core.weak_method import weak_method


class Whole:
    """An object with a part that calls it back."""

    def __init__(self) -> None:
        self.part = weak_method(self.called)

    def called(self, number: int, *, times: int) -> int:
        return number * times


def test_it_is_called_as_the_method_itself() -> None:
    whole = Whole()
    assert whole.part(2, times=3) == 6


def test_an_object_and_its_part_are_no_cycle_and_calls_that_come_too_late_are_told() -> None:
    gc.disable()
    try:
        whole = Whole()
        gone, part = ref(whole), whole.part
        del whole
        assert gone() is None
        with pytest.raises(ReferenceError, match=r"Whole\.called is called back after its object is gone"):
            part(2, times=3)
    finally:
        gc.enable()
