"""A port that several processes of this program share, kept from everybody else.

Processes may listen on one port together when all of their sockets have SO_REUSEPORT. The kernel lets any process
of the same user join them, so a second, unrelated program would get a part of the clients; and a port that the
kernel is to choose, each process would be given another. Hence one process takes the port first, alone.
"""

import contextlib
import errno
import platform
import socket
from types import TracebackType
from typing import Self

from fproxy.shell.server import ServerStartError, listen_error_text


def spreads_connections() -> bool:
    """Return whether the system spreads the connections to a shared port over those who listen on it.

    Linux does (since 3.9). Others know SO_REUSEPORT as well, but give every connection to one of them.
    """
    return platform.system() == "Linux" and hasattr(socket, "SO_REUSEPORT")


class PortReservation:
    """Holds a port without listening on it; a context manager that gives it up.

    Attributes:
        port: the port held, also when the system chose it.
    """

    def __init__(self, host: str, port: int) -> None:
        """Take a port on every address that a host stands for.

        Args:
            host: an address of this machine, or a name of it.
            port: the port; 0 lets the system choose a free one.

        Raises:
            ServerStartError: the port is in use or not allowed, or the host is not one of this machine's.
        """
        self.port = port
        self._sockets: list[socket.socket] = []
        try:
            self._take_all(host)
        except OSError as error:
            self.close()
            raise ServerStartError(listen_error_text(host, self.port, error)) from error

    def _take_all(self, host: str) -> None:
        unavailable: OSError | None = None
        addresses = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _name, address in dict.fromkeys(addresses):
            try:
                self._take(family, kind, protocol, (address[0], self.port, *address[2:]))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                unavailable = error  # as of ::1, which localhost stands for too, where there is no IPv6
        if unavailable is not None and not self._sockets:
            raise unavailable

    def _take(
        self,
        family: socket.AddressFamily,
        kind: socket.SocketKind,
        protocol: int,
        address: tuple[object, ...],
    ) -> None:
        taken = socket.socket(family, kind, protocol)
        self._sockets.append(taken)
        try:
            # Old connections of the port may still linger in the kernel; they are no reason to refuse it.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken.bind(address)
            # Only now: with it set, the socket would have joined others that listen there.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except OSError:
            self._sockets.pop().close()
            raise
        self.port = taken.getsockname()[1]

    def close(self) -> None:
        """Give the port up. Doing it again does nothing."""
        while self._sockets:
            with contextlib.suppress(OSError):
                self._sockets.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
