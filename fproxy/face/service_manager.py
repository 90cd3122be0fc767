"""What systemd is told of this process: that it serves, that it stops, and that it is alive (sd_notify(3)).

The messages are datagrams to the Unix socket in NOTIFY_SOCKET. Where that is not set nobody wants to hear.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import MutableMapping
from typing import Final

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

LARGEST_WATCHDOG: Final = 10**15
"""The longest time for a sign of life that is believed, in microseconds."""


class ServiceManager:
    """Tells the service manager of this process; nothing of it is told to children, whose variables are taken away."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Take what the service manager left in the environment.

        Args:
            environment: the process's environment, such as ``os.environ``.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = _watchdog_seconds(environment)
        self._timer: asyncio.TimerHandle | None = None
        for name in _VARIABLES:
            environment.pop(name, None)

    def ready(self) -> None:
        """The program serves. From now on there is a sign of life in each half of the time that the watchdog gives."""
        # The process may be another than the one that was started: the one that has taken over from it.
        self._tell(f"READY=1\nMAINPID={os.getpid()}")
        if self._watchdog is not None:
            self._be_alive(asyncio.get_running_loop(), self._watchdog / 2)

    def stopping(self) -> None:
        """The program stops; signs of life go on, as stopping may take long."""
        self._tell("STOPPING=1")

    def stopped(self) -> None:
        """The program has stopped."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _be_alive(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self._tell("WATCHDOG=1")
        self._timer = loop.call_later(interval, self._be_alive, loop, interval)

    def _tell(self, message: str) -> None:
        if not self._address or sys.platform == "win32":
            return
        # One that cannot be told has gone, or has more to do than to hear it: nothing that would stop the program.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.setblocking(False)
            manager.connect(self._address)
            manager.send(message.encode())


def _watchdog_seconds(environment: MutableMapping[str, str]) -> float | None:
    """Return how often a sign of life is wanted at the least, in seconds; None for not at all."""
    text = environment.get("WATCHDOG_USEC", "")
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= LARGEST_WATCHDOG:
        return None
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(text) / 1_000_000
