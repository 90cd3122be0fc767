"""What a role is made of: what serves each of its markets, behind one server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Final, Generic, Protocol, TypeVar

from fproxy.core.client_key import ClientKey
from fproxy.core.market import Market
from fproxy.metrics import Metrics
from fproxy.roles.market_server import market_server
from fproxy.roles.settings import ServerSettings
from fproxy.shell.client import Client
from fproxy.shell.client_handler import ClientHandler
from fproxy.shell.server import ClientServer
from fproxy.shell.socket_activation import ListeningSocket
from fproxy.shell.work_steps import WorkSteps


class ServedMarket(ClientHandler, Protocol):
    """What serves one market of a role: its upstreams, and what its clients want of them.

    Attributes:
        market: the market.
    """

    market: Market

    def prepare(self, steps: WorkSteps) -> None:
        """Prepare for clients, in a running loop; they may come from now on.

        Args:
            steps: carries out work in steps.
        """

    def start(self) -> None:
        """Begin to connect upstream."""

    async def filled(self) -> None:
        """Return when what upstreams keep for a role that begins has come, if they keep anything."""
        return

    def stopping(self) -> None:
        """The role is about to stop; as a rule that asks for nothing."""
        return

    def flush(self) -> None:
        """Send clients what is pending."""

    async def stop(self) -> None:
        """Close the upstreams, now that the clients are gone, and stop."""


FILL_TIME: Final = 2.0
"""How long clients may have to wait for that when a role starts, in seconds."""

M = TypeVar("M", bound=ServedMarket)


class ServedMarkets(Generic[M]):
    """A role that serves markets behind one server. It serves them whether or not their upstreams are there.

    Attributes:
        markets: what serves each, by the market's name.
    """

    def __init__(
        self,
        markets: Sequence[M],
        settings: ServerSettings,
        metrics: Metrics,
        *,
        denials: Mapping[Market, str] = MappingProxyType({}),
    ) -> None:
        """Prepare the role; nothing happens before :meth:`start`.

        Args:
            markets: what serves each market; at least one. The first is served on ``/`` too.
            settings: what the server is told.
            metrics: where to count.
            denials: the markets that nobody is let into, each with what clients are told.
        """
        self.markets = {served.market.name: served for served in markets}
        self._server = market_server(
            {served.market: served for served in markets}, settings, metrics, denials=denials
        )
        self._steps: WorkSteps | None = None
        self._connecting = False

    @property
    def server(self) -> ClientServer:
        """The server for clients."""
        return self._server

    @property
    def port(self) -> int:
        """The port that clients connect to, once the role has started."""
        return self._server.port

    def replace_keys(self, named: Iterable[ClientKey]) -> None:
        """Accept these named keys from now on; the work that this makes is done in steps."""
        work = self._server.replace_keys(named)
        if self._steps is not None:
            self._steps.add(self, work)

    async def start(self) -> None:
        """Connect upstream, and listen for clients: soon, whether or not the upstreams are there.

        Raises:
            fproxy.shell.server.ServerStartError: it cannot listen.
        """
        self._prepare()
        await self._server.start(before_accepting=self._fill)

    def connect(self) -> None:
        """Begin to connect upstream, if that has not begun: before :meth:`start`, to have it all when clients come."""
        self._prepare()
        if not self._connecting:
            self._connecting = True
            for served in self.markets.values():
                served.start()

    def duplicate_listening(self) -> ListeningSocket:
        """Return a duplicate of the listening socket, for another process; the caller closes it.

        Raises:
            fproxy.shell.server.ServerStartError: there is not exactly one.
        """
        return self._server.duplicate_listening()

    async def stop(
        self, *, before_close: Callable[[Sequence[Client]], Awaitable[None]] | None = None
    ) -> None:
        """Let the clients go, each behind what is pending, then close the upstreams, and stop.

        Args:
            before_close: awaited for some clients before they are let go, when another process serves the port now.
        """
        for served in self.markets.values():
            served.stopping()
        await self._server.stop(flush=self._flush, before_close=before_close)
        await asyncio.gather(*(served.stop() for served in self.markets.values()))

    async def _fill(self) -> None:
        """Connect upstream, and fetch what is kept there: clients that come back after a restart ask for it at once."""
        self.connect()
        with suppress(TimeoutError):
            async with asyncio.timeout(FILL_TIME):
                await asyncio.gather(*(served.filled() for served in self.markets.values()))

    def _prepare(self) -> None:
        if self._steps is None:
            self._steps = WorkSteps(asyncio.get_running_loop())
            for served in self.markets.values():
                served.prepare(self._steps)

    def _flush(self) -> None:
        for served in self.markets.values():
            served.flush()
