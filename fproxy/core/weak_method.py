"""Methods that may be called back without keeping their object alive: so whoever is called back forms no cycle."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakMethod

P = ParamSpec("P")
R = TypeVar("R")


def weak_method(method: Callable[P, R]) -> Callable[P, R]:
    """Return what calls a bound method as long as its object is there.

    For the parts of an object that call it back: with the method itself object and part would refer to each other, and
    stay until a garbage collection.

    Args:
        method: a bound method of an object that keeps whoever calls.

    Raises:
        ReferenceError: by what is returned, when the object is gone: then nobody should call any more.
    """
    reference = WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        found = reference()
        if found is None:
            raise ReferenceError(f"{method_name} is called back after its object is gone")
        return found(*args, **kwargs)

    method_name = method.__qualname__
    return call
