"""Clients that stop reading, kept up in a process of their own: whoever measures must not be delayed by them."""

import asyncio
import multiprocessing
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.hostile.frames import UPGRADE, request

TCP_ESTABLISHED: Final = 1
LOOK_INTERVAL: Final = 0.25


async def stalled_client(port: int, key: str, topics: str) -> socket.socket:
    """Return the connection of a client that has subscribed and reads nothing from then on."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
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
    """Keep so many stalled clients: one that is cut off comes back to stall again."""
    connections = [await stalled_client(port, key, topics) for _ in range(count)]
    while True:
        await asyncio.sleep(LOOK_INTERVAL)
        for at, connection in enumerate(connections):
            if is_over(connection):
                connection.close()
                connections[at] = await stalled_client(port, key, topics)


def _run(port: int, key: str, topics: str, count: int) -> None:
    os.nice(10)  # they must not take the cores of who is measured
    asyncio.run(keep_stalled(port, key, topics, count))


@contextmanager
def stalling(port: int, key: str, topics: str, count: int) -> Iterator[None]:
    """Keep so many stalled clients for as long as the context lasts."""
    if count == 0:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(port, key, topics, count), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()
