"""The Unix socket over which one process takes over from another: where it is, who may use it, and what goes over it.

It lies in a directory that only this user may enter, and each side checks that the other one is this user's process.
Linux only: elsewhere the kernel does not say whose process the other one is in the same way.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from fproxy.core.takeover_messages import FrameReader, Message, TakeOverProtocolError, encode

logger: Final = logging.getLogger("fproxy.takeover")

READ_BYTES: Final = 64 * 1024
"""How much is read at once."""

QUEUE: Final = 4
"""How many processes may wait to be heard."""

_CREDENTIALS: Final = struct.Struct("3i")


class TakeOverSocketError(Exception):
    """The Unix socket cannot be used; the message says why not."""


class PeerGoneError(Exception):
    """The other process is gone, or has closed the connection."""


def is_supported() -> bool:
    """Return whether this system can hand a socket from one process to another, and say whose process it is."""
    return sys.platform == "linux" and hasattr(socket, "SO_PEERCRED")


def make_private(folder: Path) -> None:
    """Make a directory that only this user may enter, or make sure that it is one.

    Raises:
        TakeOverSocketError: it cannot be made, or others may enter it.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise TakeOverSocketError(f"{folder} cannot be used: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise TakeOverSocketError(f"{folder} is not a directory")
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise TakeOverSocketError(f"{folder} must be this user's alone (mode 0700), and is not")


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process at the other end, as the kernel noted it (unix(7), SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(credentials)[1]
    return uid


def _check_peer(connection: socket.socket) -> None:
    if (uid := peer_uid(connection)) != os.geteuid():
        raise TakeOverSocketError(f"the other process belongs to another user ({uid})")


class TakeOverChannel:
    """Messages to and from the other process. One task may send and another one receive."""

    def __init__(self, connection: socket.socket) -> None:
        """Use a connected, non-blocking Unix socket, which the channel closes."""
        self._connection = connection
        self._reader = FrameReader()
        self._handed: socket.socket | None = None
        self._loop = asyncio.get_running_loop()

    async def send(self, message: Message, *, with_socket: socket.socket | None = None) -> None:
        """Send a message.

        Args:
            message: what to say.
            with_socket: a listening socket that the other process gets too. The message must be short.

        Raises:
            PeerGoneError: the other process is gone.
        """
        frame = encode(message)
        try:
            if with_socket is not None:
                sent = socket.send_fds(self._connection, [frame], [with_socket.fileno()])
                frame = frame[sent:]
            await self._loop.sock_sendall(self._connection, frame)
        except OSError as error:
            raise PeerGoneError from error

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            PeerGoneError: the other process is gone, or has ended the connection.
            TakeOverProtocolError: what came is no message of this version.
        """
        while (message := self._reader.next()) is None:
            self._reader.feed(await self._read())
        return message

    def take_socket(self) -> socket.socket | None:
        """Return the socket that came with the messages received so far, None for none. It is the caller's to close."""
        handed, self._handed = self._handed, None
        return handed

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
        if self._handed is not None:
            self._handed.close()

    async def _read(self) -> bytes:
        while True:
            try:
                data, files, _flags, _address = socket.recv_fds(self._connection, READ_BYTES, 1)
            except BlockingIOError:
                await self._until_readable()
                continue
            except OSError as error:
                raise PeerGoneError from error
            for file in files:
                os.set_inheritable(file, False)
                if self._handed is not None:
                    self._handed.close()
                self._handed = socket.socket(fileno=file)
                self._handed.setblocking(False)
            if not data:
                raise PeerGoneError
            return data

    async def _until_readable(self) -> None:
        readable = self._loop.create_future()
        file = self._connection.fileno()

        def wake() -> None:
            if not readable.done():
                readable.set_result(None)

        self._loop.add_reader(file, wake)
        try:
            await readable
        finally:
            self._loop.remove_reader(file)


async def connect(path: Path) -> TakeOverChannel | None:
    """Return a channel to the process that offers to be taken over; None when there is none.

    Args:
        path: the Unix socket.

    Raises:
        TakeOverSocketError: there is something, but it cannot be used.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, str(path))
        _check_peer(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise TakeOverSocketError(f"{path} cannot be used: {error.strerror}") from error
    except TakeOverSocketError:
        connection.close()
        raise
    return TakeOverChannel(connection)


class TakeOverOffer:
    """Waits for processes of this user that want to take over, and hears one at a time."""

    def __init__(self, path: Path, hear: Callable[[TakeOverChannel], Coroutine[Any, Any, None]]) -> None:
        """Prepare an offer; nothing happens before :meth:`start`.

        Args:
            path: the Unix socket. One that is there is replaced: its process was taken over, or is gone.
            hear: talks with a process; its channel is closed behind it.
        """
        self._path = path
        self._hear = hear
        self._listening: socket.socket | None = None
        self._identity: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to wait.

        Raises:
            TakeOverSocketError: the socket cannot be made, or others could use it.
        """
        make_private(self._path.parent)
        own = self._path.with_name(f".{os.getpid()}.sock")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            own.unlink(missing_ok=True)
            listening.bind(str(own))
            listening.listen(QUEUE)
            found = own.lstat()
            own.rename(self._path)
        except OSError as error:
            listening.close()
            raise TakeOverSocketError(f"{self._path} cannot be made: {error.strerror or error}") from error
        listening.setblocking(False)
        self._listening = listening
        self._identity = (found.st_dev, found.st_ino)
        self._task = asyncio.get_running_loop().create_task(self._wait(listening), name="take-over offer")

    async def stop(self) -> None:
        """Wait no longer, and take the socket away, unless it is another process's by now. Doing it again is fine."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self.close()

    def close(self) -> None:
        """Take the socket away. What is being heard is heard to its end."""
        if self._listening is None:
            return
        self._listening.close()
        self._listening = None
        with contextlib.suppress(OSError):
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == self._identity:
                self._path.unlink()

    async def _wait(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while self._listening is not None:
            connection, _ = await loop.sock_accept(listening)
            connection.setblocking(False)
            channel = TakeOverChannel(connection)
            try:
                _check_peer(connection)
                await self._hear(channel)
            except (TakeOverSocketError, PeerGoneError, TakeOverProtocolError) as error:
                logger.warning("A process that wanted to take over was not heard: %s", error)
            finally:
                channel.close()
