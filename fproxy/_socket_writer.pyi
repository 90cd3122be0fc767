"""Writing to a client's socket without the interpreter."""

import asyncio

from fproxy._fastpath import FrameSink

class SocketWriter(FrameSink):
    """Writes frames to a connection at once, past its transport, whenever the transport has nothing waiting.

    What the socket does not take goes to the transport, behind which everything queues until it has been sent: order is
    kept, and the transport's limits and callbacks work as always. A TLS connection is written through its transport.

    Every write to the transport of a connection must go through its writer, until :meth:`stop`.

    Args:
        transport: the connection's transport, which has nothing waiting.
    """

    def __init__(self, transport: asyncio.Transport) -> None: ...
    def write(self, frames: bytes) -> None:
        """Write complete WebSocket frames. Never blocks."""

    def stop(self) -> None:
        """Discard whatever is written from now on. To be called before the socket is closed, and may be repeated."""
