"""The side of a take-over that serves, and hands over to the other process.

    the one that takes over                 the one that serves
    Hello                        ->
                                 <-         Welcome, with the listening socket
                                 <-         Wanted ..., AllWanted: the topics wanted of its upstreams
                                 <-         Ended, Resumed ...: what connections that have ended left behind
    Kept, for each               ->
    Ready: it has all of that    ->
                                 <-         Wanted ...: what has been wanted since then
                                 <-         Serve
    Serving: it accepts clients  ->
                                            it accepts nobody any more, and lets its clients go
                                 <-         Ended, of each before it is let go
    Kept                         ->
                                 <-         Done

Up to Serving either side may end it with a Refusal, or by going away: then the one that serves goes on serving.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from fproxy.core import takeover_messages as messages
from fproxy.roles.resumption import EndedConnection, Follower
from fproxy.roles.succession import Succession
from fproxy.shell.server import ServerStartError
from fproxy.shell.socket_activation import ListeningSocket
from fproxy.shell.takeover_socket import PeerGoneError, TakeOverChannel

logger: Final = logging.getLogger("fproxy.takeover")

HELLO_TIME: Final = 5.0
"""How long a process may take to say what it is, in seconds."""

SERVE_TIME: Final = 5.0
"""How long a process that was ready may take to serve, in seconds."""

KEEP_TIME: Final = 2.0
"""How long the other process may take to note what a client leaves behind, in seconds; then the client is let go."""

DONE_TIME: Final = 2.0
"""How long the other process may take to hear the rest in the end, in seconds."""


class _RefusedError(Exception):
    """One side ends the take-over before it has happened; the message says why."""


class HandOver:
    """Hears processes that want to take over, one at a time, until one has.

    Attributes:
        succeeded: set once another process serves the port.
    """

    def __init__(
        self,
        role: str,
        markets: Mapping[str, Succession],
        *,
        listening: Callable[[], ListeningSocket],
        account_salt: bytes,
        time_limit: float,
    ) -> None:
        """Prepare to hear.

        Args:
            role: what this process is, such as ``proxy``.
            markets: what is handed over of each market, by its name.
            listening: returns a duplicate of the listening socket.
            account_salt: with which the names of accounts are made.
            time_limit: how long the other process may take to become ready, in seconds.
        """
        self.succeeded = asyncio.Event()
        self._role = role
        self._markets = markets
        self._listening = listening
        self._account_salt = account_salt
        self._time_limit = time_limit
        self._pid = 0
        self._queue: deque[messages.Message] = deque()
        self._queued = asyncio.Event()
        self._finishing = False
        self._over = asyncio.Event()
        self._kept: dict[tuple[str, int], asyncio.Future[None]] = {}  # by market and number

    async def hear(self, channel: TakeOverChannel) -> None:
        """Hand over to the process at the other end, if it becomes ready; return when all is over.

        Raises:
            PeerGoneError: it was gone before it had said what it is.
            TakeOverProtocolError: it is not a process that can take over.
        """
        if self.succeeded.is_set():
            await channel.send(messages.Refusal("another process has taken over already"))
            return
        try:
            async with asyncio.timeout(HELLO_TIME):
                hello = await channel.receive()
        except TimeoutError:
            raise PeerGoneError(f"it said nothing within {HELLO_TIME:g} s") from None
        except messages.TakeOverProtocolError as error:
            await channel.send(messages.Refusal(f"what came is {error}"))
            raise
        if not isinstance(hello, messages.Hello):
            raise messages.TakeOverProtocolError("it did not begin with what it is")
        self._pid = hello.pid
        try:
            if hello.role != self._role:
                raise _RefusedError(f"it is to take over a {hello.role}, and this is a {self._role}")
            logger.info("Process %d wants to take over; serving until it is ready", hello.pid)
            async with asyncio.timeout(self._time_limit):
                await self._until_ready(channel)
            async with asyncio.timeout(SERVE_TIME):
                await self._receive(channel, messages.Serving)
        except (
            TimeoutError,
            _RefusedError,
            PeerGoneError,
            ServerStartError,
            messages.TakeOverProtocolError,
        ) as error:
            self._follow(False)
            self._queue.clear()
            await self._tell_failure(channel, error)
            return
        self.succeeded.set()
        await self._see_off(channel)

    async def leave(self, market: str, record: EndedConnection) -> None:
        """Hand over what a client of a market leaves behind that is about to be let go; return when that is done."""
        if self._over.is_set():
            return
        key = (market, record.number)
        kept = self._kept[key] = asyncio.get_running_loop().create_future()
        self._tell_ended(market, record)
        try:
            await asyncio.wait_for(kept, KEEP_TIME)
        except TimeoutError:
            logger.warning("Process %d is slow to note what a client leaves behind", self._pid)
        finally:
            self._kept.pop(key, None)

    async def finish(self) -> None:
        """All clients have been let go: say so."""
        self._finishing = True
        self._queued.set()
        try:
            async with asyncio.timeout(DONE_TIME):
                await self._over.wait()
        except TimeoutError:
            logger.warning("Process %d did not hear the rest in time", self._pid)

    # Within.

    def _follow(self, on: bool) -> None:
        """Tell the other process of every change of what may be resumed, from now on, or no longer."""
        for market, succession in self._markets.items():
            if succession.resumption is not None:
                follower = None
                if on:
                    follower = Follower(
                        partial(self._tell_ended, market), partial(self._tell_resumed, market)
                    )
                succession.resumption.follow(follower)

    def _tell_ended(self, market: str, record: EndedConnection) -> None:
        parts = list(messages.in_parts(topic.text for topic in record.topics))
        for number, part in enumerate(parts, 1):
            self._queue.append(
                messages.Ended(
                    market,
                    record.number,
                    record.account,
                    record.at,
                    record.delivered_at,
                    part,
                    last=number == len(parts),
                )
            )
        self._queued.set()

    def _tell_resumed(self, market: str, number: int) -> None:
        self._queue.append(messages.Resumed(market, number))
        self._queued.set()

    async def _until_ready(self, channel: TakeOverChannel) -> None:
        """Tell the other process all that it needs, and have it serve once it is ready."""
        with self._listening() as listening:
            up = tuple(name for market in self._markets.values() for name in market.streams_up)
            welcome = messages.Welcome(os.getpid(), self._account_salt.hex(), up)
            await channel.send(welcome, with_socket=listening)
        told: dict[str, set[str]] = {}
        await self._send_wanted(channel, told)
        await channel.send(messages.AllWanted())
        self._follow(True)
        await self._send_queue(channel)
        await self._receive(channel, messages.Ready)
        await self._send_wanted(channel, told)
        await self._send_queue(channel)
        await channel.send(messages.Serve())

    async def _send_wanted(self, channel: TakeOverChannel, told: dict[str, set[str]]) -> None:
        for succession in self._markets.values():
            for stream, topics in succession.wanted().items():
                known = told.setdefault(stream, set())
                fresh = [topic for topic in topics if topic not in known]
                known.update(fresh)
                for part in messages.in_parts(fresh):
                    await channel.send(messages.Wanted(stream, part))
                    await asyncio.sleep(0)

    async def _send_queue(self, channel: TakeOverChannel) -> None:
        while self._queue:
            await channel.send(self._queue.popleft())
            await asyncio.sleep(0)

    async def _receive(self, channel: TakeOverChannel, wanted: type[messages.Message]) -> None:
        """Wait for a message; what the other process has noted meanwhile is passed over."""
        while not isinstance(message := await channel.receive(), wanted):
            if isinstance(message, messages.Refusal):
                raise _RefusedError(message.reason)
            if not isinstance(message, messages.Kept):
                raise messages.TakeOverProtocolError(f"it said {type(message).__name__} at the wrong time")

    async def _tell_failure(self, channel: TakeOverChannel, error: Exception) -> None:
        if isinstance(error, TimeoutError):
            reason = f"it was not ready within {self._time_limit:g} s"
        elif isinstance(error, PeerGoneError):
            reason = "it is gone"
        else:
            reason = str(error)
        logger.warning(
            "Process %d did not take over: %s; serving on as if nothing had happened", self._pid, reason
        )
        if not isinstance(error, PeerGoneError):
            with suppress(PeerGoneError):
                await channel.send(messages.Refusal(reason[: messages.MAX_TEXT]))

    async def _see_off(self, channel: TakeOverChannel) -> None:
        """Hand over what clients leave behind, until all are gone."""
        receiving = asyncio.ensure_future(self._receive_kept(channel))
        sending = asyncio.ensure_future(self._send_rest(channel))
        try:
            await asyncio.wait((receiving, sending), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                logger.error("Process %d has taken over, but is gone: nobody serves the port now", self._pid)
        finally:
            for task in (receiving, sending):
                task.cancel()
            await asyncio.gather(receiving, sending, return_exceptions=True)
            self._over.set()
            for kept in self._kept.values():
                if not kept.done():
                    kept.set_result(None)

    async def _receive_kept(self, channel: TakeOverChannel) -> None:
        while True:
            message = await channel.receive()
            if isinstance(message, messages.Kept):
                kept = self._kept.get((message.market, message.number))
                if kept is not None and not kept.done():
                    kept.set_result(None)

    async def _send_rest(self, channel: TakeOverChannel) -> None:
        while True:
            self._queued.clear()
            await self._send_queue(channel)
            if self._finishing and not self._queue:
                await channel.send(messages.Done())
                return
            await self._queued.wait()
