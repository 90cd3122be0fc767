"""Ports for programs that tests start, which no other program on this machine is given meanwhile.

A port that the system has chosen once, and that is closed again, may be the next connection's, or another test's. So
these are below those that the system chooses from; and as long as this process runs it holds each, by its UDP port of
the same number, against others that take theirs in this way.
"""

import itertools
import os
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"
FIRST, LAST = 12_000, 30_000
"""Linux chooses from 32768 on, macOS from 49152 on, unless they are told otherwise."""

_held: list[socket.socket] = []
_candidates = itertools.cycle(range(FIRST, LAST))


def own_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens, and that is nobody else's until this process ends."""
    if not _held:
        for _ in range(os.getpid() * 37 % (LAST - FIRST)):  # not to try those of all the others first
            next(_candidates)
    for port in itertools.islice(_candidates, LAST - FIRST):
        hold = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            hold.bind((LOOPBACK, port))
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((LOOPBACK, port))
        except OSError:
            hold.close()
            continue
        _held.append(hold)
        return port
    raise OSError("no port is free")
