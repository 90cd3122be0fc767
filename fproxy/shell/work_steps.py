"""Work in steps: whatever is long by somebody's choice is done a piece at a time, so that data never waits for it."""

import asyncio
import logging
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

from fproxy.core.spread import free_some
from fproxy.shell.turns import Turns

logger: Final = logging.getLogger("fproxy.server")

Steps = Iterator[float | None]
"""Work, each step up to the next ``yield``; a number is how long to rest before the next step, in seconds."""


PIECE: Final = 10
"""How many items of a long list one step takes, where each takes some microseconds."""

FREED_IN_A_STEP: Final = 1_000
"""How many entries of what is of no use any more are freed in one step: a tenth of a millisecond's work."""

T = TypeVar("T")


def pieces(items: Iterable[T], size: int = PIECE) -> Iterator[tuple[T, ...]]:
    """Yield items in pieces of a step each; they must not change meanwhile."""
    rest = iter(items)
    while piece := tuple(islice(rest, size)):
        yield piece


def freed(parts: list[dict[str, Any]]) -> Steps:
    """Free what very many topics have left behind, little by little; nobody else may have it any more."""
    while parts:
        free_some(parts, FREED_IN_A_STEP)
        yield None


class Work:
    """A piece of work under way.

    Attributes:
        done: whether it is over: finished, cancelled or failed.
    """

    __slots__ = ("_steps", "done")

    def __init__(self, steps: Steps) -> None:
        """Prepare it; a scheduler makes these."""
        self.done = False
        self._steps: Steps | None = steps

    def cancel(self) -> None:
        """Do no further step. Doing it again, or when the work is over, does nothing."""
        self.done = True
        self._steps = None

    def step(self) -> float | None:
        """Do the next step; return how long to rest, None for not at all."""
        if self._steps is None:
            return None
        try:
            return next(self._steps)
        except StopIteration:
            self.cancel()
        except Exception:
            # A defect of this work: it must not cost other work its turn.
            logger.exception("Work in steps has failed and is given up")
            self.cancel()
        return None


class WorkSteps:
    """Does work step by step, in the turns of what is not market data, fairly: each owner with work has a step in turn.

    The work of one owner is done in the order in which it was added.
    """

    __slots__ = ("_loop", "_of_owner", "_order", "_turns")

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: Turns | None = None) -> None:
        """Prepare a scheduler.

        Args:
            loop: the event loop.
            turns: when steps are done; None for the turns of the loop.
        """
        self._loop = loop
        self._turns = turns or Turns.of(loop)
        self._of_owner: dict[Hashable, deque[Work]] = {}
        self._order: deque[Hashable] = deque()  # owners with work to do, in the order of their turns

    def add(self, owner: Hashable, steps: Steps) -> Work:
        """Do work from the next turn of the loop on.

        Args:
            owner: whose work it is.
            steps: the work. Neither a step nor its end may rely on what other work has done meanwhile.
        """
        work = Work(steps)
        waiting = self._of_owner.get(owner)
        if waiting is None:
            self._of_owner[owner] = deque([work])
            self._ready(owner)
        else:
            waiting.append(work)
        return work

    def _ready(self, owner: Hashable) -> None:
        self._order.append(owner)
        self._turns.ask(self)

    def step(self) -> bool:
        """Do a step for the owner whose turn it is. See ``Worker``."""
        if not self._order:
            return False
        owner = self._order.popleft()
        rest = self._step(owner)
        if owner in self._of_owner:
            if rest is None:
                self._order.append(owner)
            else:
                self._loop.call_later(rest, self._ready, owner)
        return bool(self._order)

    def _step(self, owner: Hashable) -> float | None:
        """Do one step for an owner, who has work; forget the owner when none is left."""
        waiting = self._of_owner[owner]
        work = waiting[0]
        rest = work.step()
        if work.done:
            waiting.popleft()
            rest = None
        if not waiting:
            del self._of_owner[owner]
        return rest
