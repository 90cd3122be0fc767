"""What waits for one client goes out in turns of the loop, a bounded part in each, to the last byte."""

import asyncio
from typing import Any

from fproxy._socket_writer import TRANSPORT_BYTES, BacklogPool, SocketWriter
from fproxy.core.frames import text_frame

MEBIBYTE = 1 << 20


class Connection(asyncio.Transport):
    """Takes nothing at first, and then whatever comes at once, as a TLS connection does whose client catches up."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = True
        self.written = b""

    def get_write_buffer_size(self) -> int:
        return TRANSPORT_BYTES if self.is_full else 0

    def write(self, data: Any) -> None:
        self.written += data


def unexpected(reason: str) -> None:
    raise AssertionError(reason)


async def test_a_client_that_catches_up_is_sent_a_mebibyte_in_a_turn_and_all_of_it_in_the_end() -> None:
    connection = Connection()
    writer = SocketWriter(
        connection,
        BacklogPool(max_bytes=8 * MEBIBYTE),
        loop=asyncio.get_running_loop(),
        max_bytes=8 * MEBIBYTE,
        too_slow=unexpected,
    )
    frames = [text_frame(b"%d" % number + b"k" * 50_000) for number in range(100)]
    for frame in frames:
        writer.write(frame)
    assert not connection.written
    connection.is_full = False
    writer.resume()
    turns = 1
    while writer.waiting_bytes:
        assert len(connection.written) == turns * MEBIBYTE
        await asyncio.sleep(0)
        turns += 1
    assert connection.written == b"".join(frames)
    assert turns == 5
