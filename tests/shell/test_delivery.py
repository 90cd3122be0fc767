"""Telling a slow peer from a dead one, over real sockets."""

import asyncio
import socket

from fproxy.shell.delivery import DeliveryLog, DeliveryProgress, acknowledged_bytes


async def test_progress_is_made_only_while_the_peer_reads() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    # Small buffers in the kernel, so that reading a little already makes room.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    peer = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    listener.close()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=accepted)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    peer.setblocking(False)
    try:
        progress = DeliveryProgress(transport, transport.get_write_buffer_size)
        assert not progress.made()
        while transport.get_write_buffer_size() < 8 << 20:
            transport.write(bytes(1 << 20))
        # The kernels' buffers may still be filling.
        async with asyncio.timeout(10):
            while progress.made():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for _ in range(3):
            waiting = transport.get_write_buffer_size()
            while transport.get_write_buffer_size() == waiting:
                await asyncio.get_running_loop().sock_recv(peer, 1 << 16)
            assert progress.made()
    finally:
        transport.abort()
        peer.close()
        await asyncio.sleep(0)


def test_what_is_no_tcp_connection_has_acknowledged_nothing() -> None:
    one, other = socket.socketpair()
    assert acknowledged_bytes(one) == 0
    one.close()
    assert acknowledged_bytes(one) == 0
    other.close()


async def test_a_note_is_delivered_when_all_that_was_written_before_it_is_acknowledged() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
    peer, _ = listener.accept()
    listener.close()
    peer.setblocking(False)

    async def read(count: int) -> None:
        async with asyncio.timeout(10):
            while count:
                count -= len(await loop.sock_recv(peer, min(count, 1 << 16)))

    async def until_delivered_at(time: int) -> None:
        async with asyncio.timeout(10):
            while log.delivered_at() != time:  # noqa: ASYNC110 (the acknowledgement is the kernel's)
                await asyncio.sleep(0.001)

    try:
        log = DeliveryLog(transport, transport.get_write_buffer_size, now=1)
        assert log.delivered_at() == 1
        transport.write(b"first")
        await read(5)
        async with asyncio.timeout(10):
            while log.delivered_at() != 2:
                log.look(2)
                await asyncio.sleep(0)
        size = 8 << 20
        transport.write(bytes(size))
        log.look(3)
        transport.write(bytes(size))
        log.look(4)
        assert log.delivered_at() == 2, "neither fits the buffers"
        await read(size)
        await until_delivered_at(3)
        await read(size)
        await until_delivered_at(4)
    finally:
        transport.abort()
        peer.close()
        await asyncio.sleep(0)
