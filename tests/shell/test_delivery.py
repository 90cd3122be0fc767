"""Telling a slow peer from a dead one, over real sockets."""

import asyncio
import socket

from fproxy.shell.delivery import DeliveryProgress, acknowledged_bytes


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
        progress = DeliveryProgress(transport)
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
