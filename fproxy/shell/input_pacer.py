"""What clients send, taken at a pace that leaves time for market data, whatever thousands of them do at
once."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from fproxy.shell.turns import Turns

_OVER: Final = object()


class InputSource(Protocol):
    """A client, as far as its input goes."""

    def input_received(self, data: bytes) -> Iterator[None]:
        """Take a piece of input, in steps. Neither this nor a step may raise."""

    def pause_input(self) -> None:
        """Read no more until ``resume_input``."""

    def resume_input(self) -> None:
        """Read again."""


@dataclass(slots=True)
class _Waiting:
    """What of a client's input is not taken yet.

    Attributes:
        pieces: what has come behind the piece that is being taken: what was read already when it had to wait.
        steps: the rest of that piece; None between two pieces.
    """

    pieces: deque[bytes] = field(default_factory=deque)
    steps: Iterator[None] | None = None


class InputPacer:
    """Lets clients take their input: at once while there is time in a turn, and else in the turns that follow.

    Each client's input is taken in the order in which it came. Clients whose input waits take turns, a step each: so
    one that asks for much holds up nobody who asks for little. A client whose input waits is not read from: reading
    takes time too, and what is not read stays in the kernel, which has the client wait.
    """

    __slots__ = ("_order", "_turns", "_waiting")

    def __init__(self, turns: Turns) -> None:
        """Prepare a pacer for the turns of an event loop."""
        self._turns = turns
        self._waiting: dict[InputSource, _Waiting] = {}
        self._order: deque[InputSource] = deque()  # those of them, in the order of their turns

    def received(self, source: InputSource, data: bytes) -> None:
        """Let ``source`` take ``data``: now, or soon."""
        waiting = self._waiting.get(source)
        if waiting is not None:
            waiting.pieces.append(data)
            return
        steps = source.input_received(data)
        if not self._waiting:
            for _ in steps:
                if not self._turns.time_is_left:
                    break
            else:
                return
        self._waiting[source] = _Waiting(steps=steps)
        self._order.append(source)
        source.pause_input()
        self._turns.ask(self)

    def step(self) -> bool:
        """Have the client whose turn it is take a step of its input. See ``Worker``."""
        if not self._order:
            return False
        source = self._order.popleft()
        waiting = self._waiting[source]
        if waiting.steps is None:
            waiting.steps = source.input_received(waiting.pieces.popleft())
        if next(waiting.steps, _OVER) is _OVER:
            waiting.steps = None
        if waiting.steps is not None or waiting.pieces:
            self._order.append(source)
        else:
            del self._waiting[source]
            source.resume_input()
        return bool(self._order)
