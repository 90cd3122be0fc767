"""The admin port of a program: opened once its role serves, closed when the role has stopped."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from fproxy.core.loopback import is_loopback
from fproxy.face.admin_pages import AdminPages, AdminSource
from fproxy.face.run import EndingRole, Role
from fproxy.shell.admin_server import AdminServer, Handler
from fproxy.shell.server import ServerStartError

log: Final = logging.getLogger(__name__)

RETRY_INTERVAL: Final = 0.5
"""Seconds between attempts to listen on a port that the process before still has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """Where the admin pages are served.

    Attributes:
        host: the address to listen on.
        port: the port; 0 for none.
        socket: a Unix socket to serve them on, too; None for none.
        asked_for: whether somebody chose the port: one that is in use is an error then, and else passed over, as any
            number of programs may run on one machine.
        waits: whether a process that is being taken over may have the port still: it is waited for then.
    """

    host: str
    port: int
    socket: Path | None
    asked_for: bool
    waits: bool = False


def admin_settings(values: Mapping[str, Any], ctx: click.Context) -> AdminSettings:
    """Return where a command serves its admin pages, from its values.

    Raises:
        click.UsageError: it is where clients connect, too.
    """
    port: int = values["admin_port"]
    if port and port == values["port"]:
        raise click.UsageError(f"port {port} is both for clients and for the admin pages (FPROXY_ADMIN_PORT)")
    return AdminSettings(
        host=values["admin_host"],
        port=port,
        socket=Path(values["admin_socket"]) if values.get("admin_socket") else None,
        asked_for=ctx.get_parameter_source("admin_port") is not ParameterSource.DEFAULT,
        waits=bool(values.get("take_over")),
    )


class WithAdmin:
    """A role with its admin pages, as one role."""

    def __init__(
        self,
        role: Role,
        settings: AdminSettings,
        source: Callable[[], Awaitable[AdminSource]],
        close_source: Callable[[], Awaitable[None]],
    ) -> None:
        """Prepare both.

        Args:
            role: the role.
            settings: where the pages are served.
            source: makes what they show; called once the role serves.
            close_source: called in the end, after the role has stopped, if the source was made.
        """
        self._role = role
        self._settings = settings
        self._source = source
        self._close_source = close_source
        self._servers: list[AdminServer] = []
        self._is_open = False
        self._waiting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the role, then serve the pages.

        Raises:
            ServerStartError: one of the two cannot listen.
            fproxy.face.supervisor.ChildFailedError: the role consists of processes, and one of them could not start.
        """
        await self._role.start()
        if not self._settings.port and self._settings.socket is None:
            return
        pages = AdminPages(await self._source()).pages()
        self._is_open = True
        if self._settings.socket is not None:
            server = AdminServer(pages)
            await server.start_unix(self._settings.socket)
            self._servers.append(server)
        if self._settings.port and self._settings.waits:
            self._waiting = asyncio.create_task(self._open_port_when_free(pages))
        elif self._settings.port:
            await self._open_port(AdminServer(pages, host=self._settings.host))

    async def stop(self) -> None:
        """Stop the role, which may be watched to the end, then the pages."""
        await self._role.stop()
        await self._close_pages()
        if self._is_open:
            await self._close_source()

    @property
    def more_stop_time(self) -> float:
        """How much longer than others the role may take to stop, in seconds."""
        return self._role.more_stop_time if isinstance(self._role, EndingRole) else 0.0

    async def until_ended(self) -> int:
        """Return the exit status once the role has come to its end by itself, and serve the pages no longer.

        Another process serves its clients from then on, and these pages.
        """
        if not isinstance(self._role, EndingRole):
            await asyncio.Event().wait()  # it never does
            return 0
        status = await self._role.until_ended()
        await self._close_pages()
        return status

    async def _close_pages(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        while self._servers:
            await self._servers.pop().stop()

    async def _open_port_when_free(self, pages: Mapping[str, Handler]) -> None:
        while True:
            try:
                await self._open_port(AdminServer(pages, host=self._settings.host), must=True)
            except ServerStartError:
                await asyncio.sleep(RETRY_INTERVAL)
            else:
                return

    async def _open_port(self, server: AdminServer, *, must: bool = False) -> None:
        host, port = self._settings.host, self._settings.port
        try:
            await server.start(port)
        except ServerStartError as error:
            if self._settings.asked_for or must:
                raise
            log.warning("Going on without admin pages: %s. FPROXY_ADMIN_PORT chooses another, 0 none", error)
            return
        self._servers.append(server)
        log.info("Admin pages: http://%s:%d/", f"[{host}]" if ":" in host else host, port)
        if not is_loopback(host):
            log.warning(
                "The admin pages show clients' names, addresses and topics to whoever reaches port %d of %s",
                port,
                host,
            )
