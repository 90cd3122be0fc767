"""What comes from one client: taken at the pacer's pace, and not at all while the client has sent too much."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fproxy.shell.input_pacer import InputPacer

if TYPE_CHECKING:
    from fproxy.shell.client import Client


class ClientInput:
    """The input of one client, between its transport and what takes it.

    The transport of a client that goes on sending would read piece after piece, for milliseconds. It is stopped after
    each full one, and goes on when others have had their turns.
    """

    __slots__ = ("_client", "_held", "_loop", "_pacer", "_resting", "_transport", "_waits")

    def __init__(
        self,
        client: "Client",
        transport: asyncio.Transport,
        pacer: InputPacer,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Begin to read.

        Args:
            client: takes what comes, and is asked whether it is gone.
            transport: the connection.
            pacer: says when it is this client's turn.
            loop: the event loop as clients' connections have it, where they take turns.
        """
        self._client = client
        self._transport = transport
        self._pacer = pacer
        self._loop = loop
        # Each of these three is a reason not to read. Nothing more is taken for a while, as too much has come; here is
        # what had been read already:
        self._held: deque[bytes] | None = None
        # What was read has to wait for its turn to be taken.
        self._waits = False
        # A full piece was read: there may be more, which is read when others have had their turns.
        self._resting = False

    @property
    def waits(self) -> bool:
        """Whether some of what was read is still to be taken, when it is this client's turn."""
        return self._waits

    @property
    def is_late(self) -> bool:
        """Whether it is the server that does not read on: what the client has said may be here, and not be heard."""
        return self._waits or self._held is not None

    def received(self, data: bytes, *, more: bool = False) -> None:
        """Have what was read taken, now or when it is this client's turn.

        Args:
            data: what was read.
            more: whether there may be more to read already.
        """
        self._pacer.received(self, data)
        if more and not self._resting:
            self._resting = True
            self._transport.pause_reading()
            self._loop.call_soon(self._rested)

    def _rested(self) -> None:
        self._resting = False
        self._read_on()

    def hold(self, seconds: float) -> None:
        """Take no more for a while: the client has sent too much."""
        if self._held is None:
            self._held = deque()
            self._transport.pause_reading()
            self._loop.call_later(seconds, self._release)

    def _release(self) -> None:
        held, self._held = self._held, None
        while held and not self._client.gone:
            self._pacer.received(self, held.popleft())
            if self._held is not None:
                self._held.extend(held)
                return
        self._read_on()

    def _read_on(self) -> None:
        """Read, unless there is a reason not to."""
        if not (self.is_late or self._resting or self._client.gone):
            self._transport.resume_reading()

    # What the pacer calls.

    def input_received(self, data: bytes) -> Iterator[None]:
        """Take what was read, in steps."""
        if self._held is not None:
            self._held.append(data)
            return
        yield from self._client.take(data)

    def pause_input(self) -> None:
        """Read no more: what was read waits."""
        self._waits = True
        self._transport.pause_reading()

    def resume_input(self) -> None:
        """Read again, unless there is another reason not to."""
        self._waits = False
        self._read_on()
