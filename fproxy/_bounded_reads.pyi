"""How much is read from an upstream at once, and when what it brought is written."""

import asyncio
from typing import Final

from fproxy._message_reader import MessageReader

READ_BYTES: Final[int]
"""The most that one read takes: 1 MiB. More leaves the cache before it is looked at, and holds up everybody else."""

BURST_BYTES: Final[int]
"""The most that is read before it is written, as long as more is there to be read: 8 MiB."""

class BoundedReads(asyncio.BufferedProtocol):
    """Stands between a transport and the protocol that parses what it reads.

    picows doubles its buffer each time that a read fills it, and reads as much as the socket has: 16 MiB at once
    when an upstream bursts. So reads are bounded here. What the writes to clients are shared over need not be
    smaller for that: after a read that was full the reader is drained only when nothing more has come. What has not
    been written then is written after the next read, when reading is held, or at the end of the connection.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        reader: MessageReader,
        *,
        read_bytes: int = READ_BYTES,
        burst_bytes: int = BURST_BYTES,
    ) -> None:
        """Take the place of a transport's protocol, which has to be a buffered one.

        Args:
            transport: the connection.
            reader: gets the frames from the protocol, and is drained here.
            read_bytes: the most that one read takes.
            burst_bytes: when so much has been read the reader is drained in any case.

        Raises:
            ValueError: a read takes less than a byte.
        """

    def hold(self, holding: bool) -> None:
        """Know that the transport reads nothing for now, or reads again: nobody comes back with more meanwhile."""
