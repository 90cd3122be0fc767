"""What comes from one client: taken at the pacer's pace, and not at all while the client has sent too much."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fproxy.shell.input_pacer import InputPacer

if TYPE_CHECKING:
    from fproxy.shell.client import Client


class ClientInput:
    """The input of one client, between its transport and what takes it."""

    __slots__ = ("_client", "_held", "_loop", "_pacer", "_transport")

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
            loop: the event loop.
        """
        self._client = client
        self._transport = transport
        self._pacer = pacer
        self._loop = loop
        # While nothing more is taken, as too much has come: what had been read already.
        self._held: deque[bytes] | None = None

    @property
    def waits(self) -> bool:
        """Whether some of what was read is still to be taken, when it is this client's turn."""
        return self._pacer.waits(self)

    @property
    def is_held(self) -> bool:
        """Whether nothing is taken for a while."""
        return self._held is not None

    def received(self, data: bytes) -> None:
        """Have what was read taken, now or when it is this client's turn."""
        self._pacer.received(self, data)

    def hold(self, seconds: float) -> None:
        """Take no more for a while: the client has sent too much."""
        if self._held is None:
            self._held = deque()
            self._transport.pause_reading()
            self._loop.call_later(seconds, self._release)

    def _release(self) -> None:
        held, self._held = self._held, None
        while held and not self._client.gone:
            self.received(held.popleft())
            if self._held is not None:
                self._held.extend(held)
                return
        if not self._client.gone:
            self._transport.resume_reading()

    # What the pacer calls.

    def input_received(self, data: bytes) -> Iterator[None]:
        """Take what was read, in steps."""
        if self._held is not None:
            self._held.append(data)
            return
        yield from self._client.take(data)

    def pause_input(self) -> None:
        """Read no more."""
        self._transport.pause_reading()

    def resume_input(self) -> None:
        """Read again, unless the client's input is held up."""
        if self._held is None:
            self._transport.resume_reading()
