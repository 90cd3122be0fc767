"""Clients that stop reading, kept up in a process of their own: whoever measures must not be delayed by them."""

import asyncio
import multiprocessing
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from benchmarks.hostile.frames import UPGRADE, request

TCP_ESTABLISHED: Final = 1
LOOK_INTERVAL: Final = 0.25
STALL_SECONDS: Final = 6.0
"""After how long a stalled client gives up, and comes back to stall again. It may have been cut off long before: who
does not read does not see the end of the connection, which comes behind what is unread."""


Clients = Callable[[int, str, str, int], Coroutine[None, None, None]]
"""Keeps clients until it is cancelled: at a port, with a key, of topics, so many."""


async def stalled_client(port: int, key: str, topics: str, *, room: int = 4096) -> socket.socket:
    """Return the connection of a client that has subscribed and reads nothing from then on.

    Args:
        port: the server's.
        key: the client's.
        topics: what it subscribes to.
        room: the bytes that its side of the connection takes meanwhile.
    """
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.setblocking(False)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.sock_sendall(connection, UPGRADE)
    await loop.sock_recv(connection, 512)
    await loop.sock_sendall(connection, request("auth", key) + request("subscribe", topics))
    return connection


def is_over(connection: socket.socket) -> bool:
    """Return whether the server has dropped a connection: without reading what it sent."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_ESTABLISHED


async def keep_stalled(port: int, key: str, topics: str, count: int) -> None:
    """Keep so many stalled clients: one that is cut off, or has stalled for long, comes back to stall again."""
    loop = asyncio.get_running_loop()
    connections = [(await stalled_client(port, key, topics), loop.time()) for _ in range(count)]
    while True:
        await asyncio.sleep(LOOK_INTERVAL)
        for at, (connection, began) in enumerate(connections):
            if is_over(connection) or loop.time() - began > STALL_SECONDS:
                connection.close()
                connections[at] = (await stalled_client(port, key, topics), loop.time())


async def read_all(port: int, key: str, topics: str, count: int) -> None:
    """Keep so many clients that read everything, as fast as can be: the kernel throws away what has come, uncopied."""
    loop = asyncio.get_running_loop()

    def discard(connection: socket.socket) -> None:
        while connection.recv(1 << 20, socket.MSG_TRUNC):
            pass

    def readable(connection: socket.socket) -> None:
        with suppress(BlockingIOError):
            discard(connection)
            loop.remove_reader(connection)  # the server has closed it

    for _ in range(count):
        connection = await stalled_client(port, key, topics, room=1 << 20)
        loop.add_reader(connection, readable, connection)
    await loop.create_future()


async def leave_stalled(port: int, key: str, topics: str, count: int) -> None:
    """Keep so many stalled clients, which do not come back when they are cut off."""
    connections = [await stalled_client(port, key, topics) for _ in range(count)]
    await asyncio.get_running_loop().create_future()
    del connections


def _run(kind: Clients, port: int, key: str, topics: str, count: int) -> None:
    os.nice(10)  # they must not take the cores of who is measured
    asyncio.run(kind(port, key, topics, count))


@contextmanager
def stalling(port: int, key: str, topics: str, count: int, kind: Clients = keep_stalled) -> Iterator[None]:
    """Keep so many clients of a kind in a process of their own, for as long as the context lasts."""
    if count == 0:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(kind, port, key, topics, count), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()
