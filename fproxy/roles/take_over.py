"""The side of a take-over that begins, and takes over from the process that serves: see ``fproxy.roles.hand_over``."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Final

from fproxy.core import takeover_messages as messages
from fproxy.core.topics import Topic, TopicError, parse_topic
from fproxy.roles.resumption import EndedConnection
from fproxy.roles.succession import Succession
from fproxy.shell.socket_activation import ListeningSocket
from fproxy.shell.takeover_socket import PeerGoneError, TakeOverChannel

logger: Final = logging.getLogger("fproxy.takeover")

MAX_RECORD_TOPICS: Final = 1_000_000
"""How many topics one connection may leave behind."""


class TakeOverError(Exception):
    """The take-over failed; the message says why. The other process goes on serving."""


class PredecessorGoneError(TakeOverError):
    """The other process is gone, without having refused: nobody serves the port now."""


class TakeOver:
    """Takes over from the process at the other end of a channel.

    Attributes:
        account_salt: with which the names of accounts are to be made, once :meth:`greet` has returned.
        failed: set when the other process has ended it after this one had begun to serve.
        over: set when the other process has let all its clients go, or is gone.
    """

    def __init__(self, channel: TakeOverChannel, role: str, *, time_limit: float) -> None:
        """Prepare to take over.

        Args:
            channel: leads to the process that serves.
            role: what this process is, such as ``proxy``.
            time_limit: how long it may take until this process serves, in seconds.
        """
        self.account_salt = b""
        self.failed = asyncio.Event()
        self.over = asyncio.Event()
        self._channel = channel
        self._role = role
        self._time_limit = time_limit
        self._pid = 0
        self._streams: tuple[str, ...] = ()
        self._all_wanted = asyncio.Event()
        self._serve = asyncio.Event()
        self._serving = False
        self._listening: asyncio.Task[None] | None = None
        # The topics of a connection that come in several messages.
        self._connection: tuple[str, int] | None = None
        self._topics: dict[Topic, None] = {}

    async def greet(self) -> ListeningSocket:
        """Say what this is; return the listening socket of the other process.

        Raises:
            TakeOverError: the other process refuses, or is none that can be taken over.
        """
        try:
            async with asyncio.timeout(self._time_limit):
                await self._channel.send(messages.Hello(self._role, os.getpid()))
                welcome = await self._channel.receive()
        except TimeoutError:
            raise TakeOverError(f"it did not answer within {self._time_limit:g} s") from None
        except PeerGoneError:
            raise TakeOverError("it is gone") from None
        except messages.TakeOverProtocolError as error:
            raise TakeOverError(f"it is {error}") from error
        if isinstance(welcome, messages.Refusal):
            raise TakeOverError(f"it refuses: {welcome.reason}")
        listening = self._channel.take_socket()
        if not isinstance(welcome, messages.Welcome) or listening is None:
            raise TakeOverError("it did not hand its listening socket over")
        try:
            self.account_salt = bytes.fromhex(welcome.account_salt)
        except ValueError:
            listening.close()
            raise TakeOverError("it sent a salt that is none") from None
        self._pid = welcome.pid
        self._streams = welcome.streams
        logger.info("Taking over from process %d", self._pid)
        return listening

    async def become_ready(self, markets: Mapping[str, Succession], connect: Callable[[], None]) -> None:
        """Get all that the other process has, and return when this one is to accept clients.

        Args:
            markets: this process's part of each market, by its name.
            connect: begins to connect upstream; it is called when what is wanted there is known.

        Raises:
            PredecessorGoneError: the other process is gone.
            TakeOverError: it has failed; the other process goes on serving.
        """
        listening = self._listening = asyncio.ensure_future(self._listen(markets))
        try:
            async with asyncio.timeout(self._time_limit):
                await self._while_listening(self._all_wanted.wait())
                connect()
                await self._while_listening(_until_ready(markets, self._streams))
                await self._channel.send(messages.Ready())
                await self._while_listening(self._serve.wait())
        except TimeoutError:
            reason = f"this process was not ready within {self._time_limit:g} s"
            await self._refuse(reason)
            raise TakeOverError(f"{reason}; process {self._pid} goes on serving") from None
        except PeerGoneError:
            raise PredecessorGoneError(f"process {self._pid} is gone") from None
        except BaseException:
            listening.cancel()
            raise

    async def serving(self) -> None:
        """This process accepts clients."""
        self._serving = True
        with suppress(PeerGoneError):  # whoever listens to it says so
            await self._channel.send(messages.Serving())
        logger.info("Took over from process %d, which lets its clients go now", self._pid)

    async def stop(self) -> None:
        """Hear the other process no longer."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self._channel.close()

    async def _refuse(self, reason: str) -> None:
        with suppress(PeerGoneError):
            await self._channel.send(messages.Refusal(reason))

    async def _while_listening(self, waited_for: Awaitable[object]) -> None:
        """Wait for something, as long as the other process is heard."""
        assert self._listening is not None
        waiting = asyncio.ensure_future(waited_for)
        try:
            await asyncio.wait((waiting, self._listening), return_when=asyncio.FIRST_COMPLETED)
            if self._listening.done():
                self._listening.result()  # raises why
                raise PeerGoneError
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _listen(self, markets: Mapping[str, Succession]) -> None:
        """Take in what the other process says, to the end.

        Raises:
            TakeOverError: it has ended the take-over before this process served.
            PeerGoneError: it was gone before.
        """
        try:
            while not self.over.is_set():
                try:
                    await self._take(await self._channel.receive(), markets)
                except messages.TakeOverProtocolError as error:
                    raise TakeOverError(f"process {self._pid} sent {error}") from error
            logger.info("Process %d has let all its clients go", self._pid)
        except (TakeOverError, PeerGoneError) as error:
            if not self._serving:
                raise
            if isinstance(error, TakeOverError):
                logger.error("The take-over has failed: %s", error)
                self.failed.set()
            else:
                logger.warning(
                    "Process %d is gone before it had let all its clients go: they may miss events", self._pid
                )
        finally:
            self.over.set()
        for succession in markets.values():
            await succession.let_go()

    async def _take(self, message: messages.Message, markets: Mapping[str, Succession]) -> None:
        match message:
            case messages.Wanted(stream, topics):
                for succession in markets.values():
                    succession.hold(stream, topics)
                    if self._all_wanted.is_set():  # at the last moment: nobody else would wait for them
                        await succession.until_answered(stream, topics)
            case messages.AllWanted():
                self._all_wanted.set()
            case messages.Serve():
                self._serve.set()
            case messages.Ended():
                await self._take_ended(message, markets)
            case messages.Resumed(market, number):
                if market in markets and (resumption := markets[market].resumption) is not None:
                    resumption.forget(number)
            case messages.Refusal(reason):
                raise TakeOverError(f"process {self._pid} refuses: {reason}")
            case messages.Done():
                self.over.set()
            case _:
                raise messages.TakeOverProtocolError(f"{type(message).__name__} at the wrong time")

    async def _take_ended(self, message: messages.Ended, markets: Mapping[str, Succession]) -> None:
        connection = (message.market, message.number)
        if self._connection != connection:
            self._connection = connection
            self._topics = {}
        for text in message.topics:
            try:
                self._topics[parse_topic(text)] = None
            except TopicError as error:
                raise messages.TakeOverProtocolError(f"a topic that is none: {error}") from error
        if len(self._topics) > MAX_RECORD_TOPICS:
            raise messages.TakeOverProtocolError(f"more than {MAX_RECORD_TOPICS} topics of one connection")
        if not message.last:
            return
        topics, self._topics, self._connection = self._topics, {}, None
        succession = markets.get(message.market)
        if succession is not None:
            await succession.hold_topics(topics)
            if succession.resumption is not None:
                succession.resumption.adopt(
                    EndedConnection(
                        message.number, message.account, message.at, message.delivered_at, topics.keys()
                    )
                )
        await self._channel.send(messages.Kept(message.market, message.number))


async def _until_ready(markets: Mapping[str, Succession], streams: Collection[str]) -> None:
    for succession in markets.values():
        await succession.until_ready(streams)
