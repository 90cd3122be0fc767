"""websockets' sans-I/O protocol as clients have it behind their handshake: it is never given a long frame in one."""

from itertools import groupby

from websockets.protocol import Protocol, Side, State

from fproxy.core.frame_pieces import FramePieces
from fproxy.shell.handshake import quiet_logger


def _first_byte(frame: bytes) -> bytes:
    """Return what says of which kind a frame is; nothing of what ends a connection, which is empty."""
    return frame[:1]


class ClientProtocol(Protocol):
    """A server's side of one open connection, whose long frames come in fragments of 16 KiB.

    The library takes a frame when all of it has come, and copies it some times: of a megabyte for milliseconds.
    """

    def __init__(self, max_message_bytes: int) -> None:
        """Prepare a protocol.

        Args:
            max_message_bytes: the longest message that is taken.
        """
        super().__init__(Side.SERVER, state=State.OPEN, max_size=max_message_bytes, logger=quiet_logger)
        self._frame_pieces = FramePieces(max_message_bytes)

    @property
    def bytes_left(self) -> int:
        """How many bytes the present frame or fragment still has: so many contain no other frame."""
        return self._frame_pieces.bytes_left

    def frames_to_send(self) -> tuple[list[bytes], bool]:
        """Return what is to be sent, and whether the connection ends behind it.

        Frames of a kind that follow each other are one ``bytes``: a read may have asked for hundreds of pongs.
        """
        kinds = [(kind, b"".join(frames)) for kind, frames in groupby(self.data_to_send(), key=_first_byte)]
        return [frames for kind, frames in kinds if kind], any(not kind for kind, _ in kinds)

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take what was read. See ``Protocol``."""
        super().receive_data(self._frame_pieces.feed(bytes(data)))
