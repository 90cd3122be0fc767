"""``fproxy --take-over``: a filtered proxy that takes over from the one before it, and lets the next one take over."""

import asyncio
import hashlib
import logging
import os
import re
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fproxy.core.client_key import ClientKey
from fproxy.core.client_keys import new_salt
from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.hand_over import HandOver
from fproxy.roles.settings import FilteredProxySettings
from fproxy.roles.take_over import PredecessorGoneError, TakeOver, TakeOverError
from fproxy.shell.server import ClientServer, ServerStartError
from fproxy.shell.socket_activation import ListeningSocket, listens
from fproxy.shell.takeover_socket import (
    TakeOverOffer,
    TakeOverSocketError,
    connect,
    is_supported,
    make_private,
)

log: Final = logging.getLogger(__name__)

ROLE: Final = "proxy"
"""What the filtered proxy is called between two processes."""

MAX_NAME: Final = 40
"""The longest name of a host in the name of a socket; the kernel takes paths of 107 bytes (unix(7))."""


def take_over_folder(chosen: str | None, environment: Mapping[str, str]) -> Path:
    """Return the directory of the Unix sockets over which processes take over: this user's own.

    Args:
        chosen: the operator's choice; None for ``fproxy`` in XDG_RUNTIME_DIR or, where that is not set, ``fproxy-UID``
            in the system's directory for temporary files.
        environment: the process's environment.
    """
    if chosen:
        return Path(chosen)
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime, "fproxy")
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:  # nothing can be written anywhere
        temporary = "/tmp"  # noqa: S108 - what is made of it is checked to be this user's alone
    return Path(temporary, f"fproxy-{os.geteuid()}")


def take_over_path(folder: Path, host: str, port: int) -> Path:
    """Return the Unix socket of the proxy that listens on a host and port."""
    name = re.sub(r"[^0-9A-Za-z.-]", "_", host.lower())
    if name != host or len(name) > MAX_NAME:
        name = f"{name[:MAX_NAME]}-{hashlib.sha256(host.lower().encode()).hexdigest()[:8]}"
    return folder / f"{name}-{port}.sock"


async def begin_take_over(
    path: Path, port: int, own: ListeningSocket | None, *, time_limit: float
) -> tuple[TakeOver, ListeningSocket] | None:
    """Begin to take over from the process that serves a port, and get its listening socket; None when there is none.

    Args:
        path: its Unix socket.
        port: the port.
        own: the listening socket that the service manager handed to this process; None for none. It must be the same.
        time_limit: how long the whole may take, in seconds.

    Raises:
        ServerStartError: it cannot be taken over.
    """
    try:
        make_private(path.parent)
        channel = await connect(path)
        if channel is None:
            log.info("There is nobody to take over from: nobody offers it at %s", path)
            return None
        take_over = TakeOver(channel, ROLE, time_limit=time_limit)
        try:
            listening = await take_over.greet()
            _check(listening, port, own)
        except BaseException:
            channel.close()
            raise
    except (TakeOverSocketError, TakeOverError) as error:
        raise ServerStartError(f"cannot take over from the process at {path}: {error}") from error
    return take_over, listening


def _check(listening: socket.socket, port: int, own: socket.socket | None) -> None:
    """Close a socket that is not the one that is wanted, and say so."""
    wrong = None
    if not listens(listening) or listening.getsockname()[1] != port:
        wrong = f"what it handed over is not a socket that listens on port {port}"
    elif own is not None and os.fstat(own.fileno()).st_ino != os.fstat(listening.fileno()).st_ino:
        wrong = "it listens on another socket than the one that LISTEN_FDS announces"
    if wrong is not None:
        listening.close()
        raise TakeOverError(wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessionSettings:
    """What a proxy is told about take-overs.

    Attributes:
        take_over: whether it is to take over from the process that serves its port now.
        folder: the directory of the Unix sockets.
        time_limit: how long the process that takes over may take to become ready, in seconds.
        offer: whether the next process may take over from this one.
    """

    take_over: bool
    folder: Path
    time_limit: float
    offer: bool


class SucceedingProxy:
    """A filtered proxy as a program that may take over from another one, and may be taken over.

    Attributes:
        more_stop_time: how much longer than other roles it may take to stop, in seconds: another process notes what
            each client leaves behind.
    """

    more_stop_time = 60.0

    def __init__(
        self, settings: FilteredProxySettings, metrics: Metrics, succession: SuccessionSettings
    ) -> None:
        """Prepare the program.

        Args:
            settings: the proxy's.
            metrics: where to count.
            succession: about take-overs.
        """
        self._settings = settings
        self._metrics = metrics
        self._succession = succession
        self._account_salt = new_salt()
        self._inherited: ListeningSocket | None = None
        self._proxy: FilteredProxy | None = None
        self._take_over: TakeOver | None = None
        self._hand_over: HandOver | None = None
        self._offer: TakeOverOffer | None = None

    @property
    def server(self) -> ClientServer:
        """The server for clients, once the proxy has started."""
        assert self._proxy is not None
        return self._proxy.server

    def replace_keys(self, named: Sequence[ClientKey]) -> None:
        """Accept these named keys from now on."""
        if self._proxy is not None:
            self._proxy.replace_keys(named)
        else:
            server = replace(self._settings.server, named_keys=tuple(named))
            self._settings = replace(self._settings, server=server)

    @property
    def port(self) -> int:
        """The port that clients connect to, once the proxy has started."""
        assert self._proxy is not None
        return self._proxy.port

    async def start(self) -> None:
        """Take over first, where that is wanted; then serve.

        Raises:
            ServerStartError: it cannot listen, or the take-over has failed.
        """
        begun = None
        server = self._settings.server
        if self._succession.take_over:
            path = take_over_path(self._succession.folder, server.host, server.port)
            begun = await begin_take_over(
                path, server.port, server.listening, time_limit=self._succession.time_limit
            )
        if begun is not None:
            self._take_over, self._inherited = begun
            self._account_salt = self._take_over.account_salt
            server = replace(server, listening=self._inherited)
        server = replace(
            self._settings.server,  # as it is now: the keys may have changed meanwhile
            listening=server.listening,
            account_salt=self._account_salt,
        )
        self._proxy = FilteredProxy(replace(self._settings, server=server), self._metrics)
        take_over = self._take_over
        if take_over is None:
            await self._proxy.start()
            return
        try:
            await take_over.become_ready(self._proxy.successions, self._proxy.connect)
            await self._proxy.start()
            await take_over.serving()
        except PredecessorGoneError as error:
            # Its clients are cut off and come back, and nobody else serves them.
            log.warning("%s before this process had all that it had; serving without", error)
            await self._proxy.start()
        except TakeOverError as error:
            raise ServerStartError(f"could not take over: {error}") from error

    async def until_ended(self) -> int:
        """Wait until another process has taken over, or the take-over has failed; return the exit status."""
        if self._take_over is not None:
            # Only then: what clients leave behind comes from one process at a time.
            await self._take_over.over.wait()
            if self._take_over.failed.is_set():
                return 1
        if self._succession.offer:
            self._make_offer()
        if self._hand_over is None:
            await asyncio.Event().wait()  # nobody can take over
        else:
            await self._hand_over.succeeded.wait()
            assert self._offer is not None
            self._offer.close()
            log.info("Another process serves port %d now; letting the clients go", self.port)
        return 0

    async def stop(self) -> None:
        """Stop the proxy; what its clients leave behind goes to the process that has taken over."""
        hand_over = self._hand_over
        if self._proxy is not None and hand_over is not None and hand_over.succeeded.is_set():
            await self._proxy.hand_over(hand_over.leave)
            await hand_over.finish()
        elif self._proxy is not None:
            await self._proxy.stop()
        if self._offer is not None:
            await self._offer.stop()
        if self._take_over is not None:
            await self._take_over.stop()
        if self._inherited is not None:
            self._inherited.close()  # where the server has never had it

    def _make_offer(self) -> None:
        """Offer to be taken over; where that cannot be, say so in the log."""
        proxy = self._proxy
        assert proxy is not None
        path = take_over_path(self._succession.folder, self._settings.server.host, proxy.port)
        try:
            if not is_supported():
                raise TakeOverSocketError("this system does not say whose process the other one is")
            proxy.duplicate_listening().close()
            hand_over = HandOver(
                ROLE,
                proxy.successions,
                listening=proxy.duplicate_listening,
                account_salt=self._account_salt,
                time_limit=self._succession.time_limit,
            )
            offer = TakeOverOffer(path, hand_over.hear)
            offer.start()
        except (TakeOverSocketError, ServerStartError) as error:
            log.warning("No other process can take over from this one: %s", error)
        else:
            self._offer, self._hand_over = offer, hand_over
