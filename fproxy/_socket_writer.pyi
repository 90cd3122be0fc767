"""Writing to clients' sockets without the interpreter."""

import asyncio
from collections.abc import Callable
from typing import Final

from fproxy._fastpath import FrameSink

GOODBYE_BYTES: Final[int]
"""The most that a client which is cut off may still have waiting, to be told why: a frame that is partly sent."""

TRANSPORT_BYTES: Final[int]
"""A transport with so much waiting gets no more: 64 KiB. What waits then waits here, where it is shared."""

CONFLATE_BYTES: Final[int]
"""A client whose messages are conflated lags when more than this waits: 512 KiB, or its limit when that is less."""

BLOCK_BYTES: Final[int]
"""A client that blocks upstreams does so while more than this waits, until all has been sent: 1 MiB."""

REPLY_BYTES: Final[int]
"""What may wait beyond the limit of a client whose data is held back, for replies: 1 MiB."""

READ_BYTES: Final[int]
"""What may wait beyond the limit of a client that blocks, as it was read before the upstreams were held up: 32 MiB,
twice the longest message."""

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
        """The memory that it takes now, but for ``spare_bytes``."""

    @property
    def spare_bytes(self) -> int:
        """The memory that is kept ready for what will wait, in bytes: never more than the limit leaves."""

    def look_at_use(self) -> None:
        """Note what of the memory kept ready was not needed since the last look: it is to go back, but for 1 MiB."""

    def tidy(self) -> bool:
        """Give back some of that, at most 4 MiB: about half a millisecond. Return whether there is more."""

    @property
    def waiting_bytes(self) -> int:
        """The bytes that wait, added up over all clients, as if each had a copy."""

    @property
    def lagging(self) -> int:
        """How many clients something waits for."""

    @property
    def lag(self) -> float:
        """For how long the oldest of what waits has been waiting, in seconds."""

    @property
    def dropped_events(self) -> int:
        """How many events were dropped because clients lag (``drop`` and ``conflate``), counted for each client."""

    @property
    def replaced_events(self) -> int:
        """How many quotes and values were replaced by newer ones (``conflate``), counted for each client."""

    def evict_lagging(self, max_lag: float) -> None:
        """Tell every client that it is too slow for which something has waited for longer (``lag``).

        Args:
            max_lag: for how long it may, in seconds. ValueError when that is less than none.
        """

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
        """How many bytes wait or are held back, those that a TLS transport has not included."""

    def use_policy(self, policy: str, *, max_bytes: int, block: Callable[[bool], None] | None = None) -> None:
        """Have a policy for when the client lags, in place of ``disconnect``, and another limit.

        Data (``write_frames``) is held back by ``drop`` and ``conflate`` when more waits than the limit or
        ``CONFLATE_BYTES``, until all has been sent; replies are not, and what was held back goes before them. Then
        ``lag`` holds data back, too, and is not told. Only a client that blocks is not disconnected for lack of memory.

        Args:
            policy: the value of a :class:`fproxy.core.slow_client_policy.SlowClientPolicy`.
            max_bytes: the most bytes that may wait; what waits already stays until more is kept.
            block: holds upstreams up or lets them go again; for ``block``.
        """

    @property
    def dropped_events(self) -> int:
        """How many events were dropped because the client lagged (``drop`` and ``conflate``)."""

    @property
    def lag(self) -> float:
        """For how long the oldest of it has waited, in seconds; 0 when nothing waits."""

    def write(self, frames: bytes) -> None:
        """Write complete WebSocket frames. Never blocks."""

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
