"""How long to wait before the next attempt to connect to an upstream."""

import random
from collections.abc import Callable
from typing import Final

DEFAULT_INITIAL: Final = 1.0
DEFAULT_PEER_INITIAL: Final = 0.03
DEFAULT_MAXIMUM: Final = 30.0
PEER_MAXIMUM: Final = 2.0
"""The longest delay before a role of our own is tried again, in seconds: the long ones are for vendors."""

DEFAULT_REFUSED: Final = 60.0
DEFAULT_STABLE_AFTER: Final = 10.0


class Backoff:
    """Delays that grow with every failure: exponential, with jitter, from ``initial`` up to ``maximum``.

    The first delay is ``initial`` exactly. The n-th after it is drawn evenly from ``initial`` to
    ``initial * factor ** n`` (at most ``maximum``), so that programs which lost the same upstream do not
    come back to it all at once. A connection that lasted ``stable_after`` starts the sequence anew.

    A role of our own is tried sooner: its restart takes a fraction of a second, and nothing is harmed by asking.

    When the upstream itself turned the program away (a bad key, too many connections), coming back soon
    does harm: the vendor answers a second connection by closing the first, so two impatient programs evict
    each other for ever. Then the delay is drawn from ``refused`` to twice that.
    """

    __slots__ = (
        "_connected_at",
        "_factor",
        "_failures",
        "_initial",
        "_maximum",
        "_peer_initial",
        "_refused",
        "_stable_after",
        "_uniform",
    )

    def __init__(
        self,
        *,
        initial: float = DEFAULT_INITIAL,
        peer_initial: float = DEFAULT_PEER_INITIAL,
        maximum: float = DEFAULT_MAXIMUM,
        factor: float = 2.0,
        refused: float = DEFAULT_REFUSED,
        stable_after: float = DEFAULT_STABLE_AFTER,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Prepare a sequence of delays.

        Args:
            initial: the first delay, in seconds.
            peer_initial: the first delay when the upstream is a role of our own, in seconds; it is not used when
                ``initial`` is less.
            maximum: the longest delay after ordinary failures, in seconds; taken as ``initial`` when it is
                less.
            factor: how much the longest delay grows with each failure.
            refused: the least delay after the upstream turned the program away, in seconds.
            stable_after: how long a connection must last to count as a success, in seconds.
            uniform: returns a random number between its two arguments.

        Raises:
            ValueError: a time is negative, or ``factor`` is less than 1.
        """
        for name, value, least in (
            ("initial", initial, 0),
            ("peer_initial", peer_initial, 0),
            ("maximum", maximum, 0),
            ("factor", factor, 1),
            ("refused", refused, 0),
            ("stable_after", stable_after, 0),
        ):
            if not value >= least:
                raise ValueError(f"{name} must be at least {least}: {value}")
        self._initial = initial
        self._peer_initial = min(initial, peer_initial)
        self._maximum = max(initial, maximum)
        self._factor = factor
        self._refused = refused
        self._stable_after = stable_after
        self._uniform = uniform
        self._failures = 0
        self._connected_at: float | None = None

    def connected(self, now: float) -> None:
        """A connection is up, as far as authenticated.

        Args:
            now: the time, in seconds of the clock that ``failed`` goes by.
        """
        self._connected_at = now

    def failed(self, now: float, *, refused: bool = False, is_peer: bool = False) -> float:
        """A connection could not be made, or has ended. Return how long to wait before the next one, in
        seconds.

        Args:
            now: the time, in seconds.
            refused: the upstream turned the program away.
            is_peer: the upstream is a role of our own, whose restart takes no time.
        """
        if self._connected_at is not None and now - self._connected_at >= self._stable_after:
            self._failures = 0
        self._connected_at = None
        initial = ceiling = self._peer_initial if is_peer else self._initial
        maximum = min(self._maximum, PEER_MAXIMUM) if is_peer else self._maximum
        for _ in range(self._failures):  # not a power of it, which overflows after some hours of failures
            ceiling *= self._factor
            if ceiling >= maximum:
                ceiling = maximum
                break
        self._failures += 1
        if refused:
            return self._uniform(self._refused, 2 * self._refused)
        return self._uniform(initial, ceiling)
