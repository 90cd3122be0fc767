"""A listening socket that the service manager opened: systemd's socket activation (sd_listen_fds(3)).

While the program is restarted the manager keeps the socket, so clients that connect meanwhile wait instead of being
refused.
"""

import os
import socket
import stat
from collections.abc import MutableMapping
from typing import Final, TypeAlias

ListeningSocket: TypeAlias = socket.socket
"""A TCP socket that listens already, for those who only hand it on."""

FIRST_FILE: Final = 3
"""The number of the first file that is handed over (SD_LISTEN_FDS_START)."""

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class SocketActivationError(Exception):
    """What was handed over is not one listening TCP socket; the message says what it is."""


def is_handed_over(environment: MutableMapping[str, str]) -> bool:
    """Return whether this very process is handed sockets; those of a parent's are not meant."""
    return environment.get("LISTEN_PID") == str(os.getpid()) and environment.get("LISTEN_FDS", "0") != "0"


def listens(handed: socket.socket) -> bool:
    """Return whether a socket is a TCP socket that listens."""
    is_stream = handed.family in (socket.AF_INET, socket.AF_INET6) and handed.type == socket.SOCK_STREAM
    return is_stream and bool(handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def take_socket(environment: MutableMapping[str, str]) -> socket.socket | None:
    """Return the listening socket that the process was handed, None for none, and take the variables away.

    Args:
        environment: the process's environment, such as ``os.environ``.

    Raises:
        SocketActivationError: it was handed something else.
    """
    if not is_handed_over(environment):
        return None
    count = environment["LISTEN_FDS"]
    for name in _VARIABLES:
        environment.pop(name, None)
    if count != "1":
        raise SocketActivationError(f"LISTEN_FDS announces {count!r} sockets; one server listens on one")
    try:
        is_socket = stat.S_ISSOCK(os.fstat(FIRST_FILE).st_mode)
    except OSError as error:
        raise SocketActivationError(
            f"LISTEN_FDS announces a socket, but file {FIRST_FILE} is not open"
        ) from error
    if not is_socket:
        raise SocketActivationError(f"file {FIRST_FILE}, announced by LISTEN_FDS, is not a socket")
    listening = socket.socket(fileno=FIRST_FILE)
    if not listens(listening):
        listening.detach()  # it is not ours to close
        raise SocketActivationError(
            f"file {FIRST_FILE}, announced by LISTEN_FDS, is not a listening TCP socket"
        )
    listening.set_inheritable(False)
    listening.setblocking(False)
    return listening
