"""Writing to clients' sockets without the interpreter."""

import asyncio
from collections.abc import Callable
from typing import Final

from fproxy._fastpath import FrameSink

GOODBYE_BYTES: Final[int]
"""The most that a client which is cut off may still have waiting, to be told why: a frame that is partly sent."""

TRANSPORT_BYTES: Final[int]
"""A transport with so much waiting gets no more: 64 KiB. What waits then waits here, where it is shared."""

class BacklogPool:
    """What waits for all clients of one server: once, however many it waits for.

    Args:
        max_bytes: the most memory that it may take, but for one write more. The client with the oldest backlog is told
            that it is too slow when that is not enough (``memory``).
    """

    def __init__(self, *, max_bytes: int) -> None: ...
    @property
    def max_bytes(self) -> int:
        """The most memory that it may take."""

    @property
    def bytes(self) -> int:
        """The memory that it takes now."""

    @property
    def waiting_bytes(self) -> int:
        """The bytes that wait, added up over all clients, as if each had a copy."""

    @property
    def lagging(self) -> int:
        """How many clients something waits for."""

    @property
    def lag(self) -> float:
        """For how long the oldest of what waits has been waiting, in seconds."""

    def evict_lagging(self, max_lag: float) -> None:
        """Tell every client that it is too slow for which something has waited for longer, in seconds (``lag``)."""

class SocketWriter(FrameSink):
    """Writes frames to a connection at once, past its transport, and keeps what the socket does not take.

    What is kept is sent as soon as the socket takes more, in order, and shared with the other clients of the pool that
    get the same. A TLS connection is written through its transport, which never has more than ``TRANSPORT_BYTES`` and
    one write waiting.

    Everything that is written to the connection must go through its writer, and the transport have nothing waiting when
    that is made.

    Args:
        transport: the connection's transport. For a TLS connection its high-water mark must be just below
            ``TRANSPORT_BYTES``, and its protocol's ``resume_writing`` call :meth:`resume`.
        pool: keeps what waits.
        loop: the event loop.
        max_bytes: the most bytes that may wait.
        too_slow: called, from within a write to this or to another client, when more waits (``bytes``), when the pool
            needs the memory (``memory``) or something has waited for too long (``lag``). It must :meth:`cut` or
            :meth:`stop` the writer. It is not called a second time before all has been sent: the connection is dropped.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        pool: BacklogPool,
        *,
        loop: asyncio.AbstractEventLoop,
        max_bytes: int,
        too_slow: Callable[[str], None],
    ) -> None: ...
    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait, those that a TLS transport has not included."""

    @property
    def lag(self) -> float:
        """For how long the oldest of it has waited, in seconds; 0 when nothing waits."""

    def write(self, frames: bytes) -> None:
        """Write complete WebSocket frames. Never blocks."""

    def set_max_bytes(self, max_bytes: int) -> None:
        """Let at most so many bytes wait; what waits already stays until more is kept."""

    def resume(self) -> None:
        """The transport takes more."""

    def cut(self) -> bool:
        """Give up everything that waits but the rest of a frame that is partly sent, behind which another may follow.

        Returns:
            whether what is left is no more than ``GOODBYE_BYTES``.
        """

    def finish(self) -> None:
        """Discard whatever is written from now on; what waits is still sent."""

    def when_drained(self, drained: Callable[[], None]) -> None:
        """Call back once nothing waits any more: at once, when nothing does."""

    def stop(self) -> None:
        """Discard what waits, and whatever is written from now on.

        To be called before the socket is closed, and may be repeated.
        """
