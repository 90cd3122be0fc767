"""A connection leaves nothing behind that only the garbage collector would find, however it ends.

What strangers can make of that, the collector has to walk through, and every client waits for it.
"""

import asyncio
import gc
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from server_harness import KEY, UPGRADE, Server, masked_frame, request, serving, soon

from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.connection_limits import ConnectionLimits

OPEN = UPGRADE.format(path="/stocks").encode()
JOINED = OPEN + masked_frame(0x81, request("auth", KEY).encode())
CLOSE = masked_frame(0x88, (1000).to_bytes(2))
RESET = struct.pack("ii", 1, 0)

ENDS = {
    "nothing": b"",
    "half a request": OPEN[:50],
    "no HTTP": random.Random(1).randbytes(2_000),
    "a malformed header": b"GET / HTTP/1.1\r\nx\r\n\r\n",
    "another path": UPGRADE.format(path="/other").encode(),
    "no upgrade": b"GET /stocks HTTP/1.1\r\nHost: x\r\n\r\n",
    "no frame": OPEN + random.Random(2).randbytes(2_000),
    "a wrong key": OPEN + masked_frame(0x81, request("auth", "wrong").encode()),
    "mistakes before auth": OPEN + 10 * masked_frame(0x81, b"nonsense"),
    "no auth": OPEN,
    "not UTF-8": JOINED + masked_frame(0x81, b"\xff"),
    "too long": JOINED + bytes((0x81, 0xFF)) + (1 << 30).to_bytes(8) + bytes(4),
    "an unknown opcode": JOINED + masked_frame(0x83, b"x"),
    "not masked": JOINED + b"\x81\x01x",
    "pings, and a close": JOINED + 10 * masked_frame(0x89, b"x" * 125) + CLOSE,
    "mistakes, and a close": JOINED + 10 * masked_frame(0x81, b"nonsense") + CLOSE,
    "half a frame": JOINED + b"\x81",
}


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Collect garbage before, and none meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def connect_and_end(server: Server, data: bytes, *, reset: bool) -> None:
    """Send something, and go: at once with a reset, or when the server ends the connection."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection, suppress(ConnectionError):
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", server.port))
        await loop.sock_sendall(connection, data)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif not data.startswith(JOINED) or data.endswith(CLOSE):
            while await soon(loop.sock_recv(connection, 1 << 16)):
                pass


@pytest.mark.parametrize("reset", [False, True], ids=["in order", "reset"])
async def test_a_connection_leaves_no_reference_cycle_behind(reset: bool) -> None:
    limits = ClientLimits(handshake_timeout=0.02, auth_timeout=0.02, close_timeout=0.02)
    async with serving(limits=limits, connection_limits=ConnectionLimits(max_auth_failures=1_000)) as server:
        for data in ENDS.values():  # what is made once, at the first use
            await connect_and_end(server, data, reset=reset)
        await server.emptied()
        left = {}
        for name, data in ENDS.items():
            with nothing_collected():
                await connect_and_end(server, data, reset=reset)
                await server.emptied()
                await asyncio.sleep(0)
                left[name] = gc.collect()
        assert left == dict.fromkeys(ENDS, 0)
