"""``fproxy tail``: a client for people, which prints events as they come and counts them at the end."""

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from fproxy.core.loopback import is_loopback
from fproxy.core.urls import redacted_url
from fproxy.face.event_colours import EventPainter, status_colour
from fproxy.face.event_loop import stop_signals
from fproxy.face.event_text import Event, event_line, events_in, printable
from fproxy.face.stats_view import StatsView
from fproxy.face.stream_stats import StreamStats
from fproxy.face.tail_settings import TailSettings
from fproxy.face.terminal_output import OutputClosed, discard_output, say, takes_colour, write_lines

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""The largest message accepted: generous, because this is a tool for looking at whatever a server sends."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that an orderly close may take."""

STATS_INTERVAL: Final = 1.0
"""Seconds between two lines of statistics."""

REFUSALS: Final = frozenset({"auth_failed", "auth_timeout", "max_connections"})
"""Statuses after which the server closes, and trying again at once would be no better."""

_SHORTEST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 30.0


class TailError(Exception):
    """The server cannot be used; the message says why, for the person who asked."""


class Tail:
    """One run of the client: connects, prints, counts.

    Attributes:
        counts: how many events of each type have been printed, or counted in their place.
    """

    def __init__(self, settings: TailSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._subscribed = False  # whether the server has acknowledged any topic since we connected
        self._connected_before = False
        self._printed = 0  # events printed, of all types
        self._line = self._line_of()
        self._stats = StreamStats() if settings.stats else None

    async def run(self) -> int:
        """Print events until a signal, the limit, or a server gone for good; return the exit status."""
        began = time.monotonic()
        status = 0
        with stop_signals() as stopping:
            tasks = [asyncio.ensure_future(self._follow()), asyncio.ensure_future(stopping.wait())]
            if self._stats is not None:
                tasks.append(asyncio.ensure_future(self._show_stats(self._stats)))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, TailError):
                    say(str(result), "red")
                    status = 1
                elif isinstance(result, OutputClosed):
                    discard_output()
                elif isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                    raise result
        if self._connected_before:
            say(self.summary(time.monotonic() - began))
        return status

    def summary(self, seconds: float) -> str:
        """Return how many events there were, in all and of each type, the most frequent first."""
        total = self._printed
        by_type = ", ".join(f"{count} {event_type}" for event_type, count in self.counts.most_common())
        return f"{total} event{'' if total == 1 else 's'} in {seconds:.1f} s" + (
            f": {by_type}" if by_type else ""
        )

    def _line_of(self) -> Callable[[Event], str]:
        """Return how an event is printed."""
        if self._settings.raw:
            return attrgetter("text")
        return EventPainter().line if takes_colour(sys.stdout) else event_line

    async def _show_stats(self, stats: StreamStats) -> None:
        """Show each second until cancelled, then what has come of the last one."""
        with StatsView(raw=self._settings.raw) as view:
            began = time.monotonic()
            while True:
                try:
                    await asyncio.sleep(began + STATS_INTERVAL - time.monotonic())
                finally:
                    now = time.monotonic()
                    second = stats.second(time.time(), now - began)
                    if second.size or second.seconds >= STATS_INTERVAL:
                        view.show(second)
                    began = now

    async def _follow(self) -> None:
        delay = _SHORTEST_DELAY
        while True:
            try:
                return await self._session()
            except ConnectionClosed as error:
                reason = _close_reason(error)
                delay = _SHORTEST_DELAY if self._subscribed else delay
            except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
                reason = _connect_reason(error)
                if not self._connected_before:
                    raise TailError(
                        f"Cannot connect to {redacted_url(self._settings.url)}: {reason}"
                    ) from error
            if not self._settings.retry:
                raise TailError(f"Connection lost: {reason}")
            pause = delay * random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, keeps no secret.
            say(f"Connection lost: {reason}; next try in {pause:.1f} s", "yellow")
            await asyncio.sleep(pause)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _session(self) -> None:
        """Connect, authenticate, subscribe, and print until the limit is reached."""
        host = urlsplit(self._settings.url).hostname or ""
        async with connect(
            self._settings.url,
            open_timeout=self._settings.connect_timeout,
            close_timeout=CLOSE_TIMEOUT,
            max_size=MAX_MESSAGE_BYTES,
            # Printing holds up reading, so that the queue stays short; a limit would keep us from reading on to
            # the end when we close in the middle of a busy stream.
            max_queue=None,
            compression=None,
            proxy=None if is_loopback(host) else True,
        ) as connection:
            self._connected_before = True
            self._subscribed = False
            say(f"Connected to {redacted_url(self._settings.url)}", "green")
            # Both at once: not every path sends a greeting to wait for, and the server keeps the order.
            await _send(connection, action="auth", params=self._settings.key)
            await _send(connection, action="subscribe", params=",".join(self._settings.topics))
            telling = asyncio.ensure_future(self._tell_of_silence())
            try:
                while True:
                    if self._take(await connection.recv(decode=False)):
                        return
            finally:
                telling.cancel()
                # Whatever ends it, a signal too, nothing has failed here: the library would say so (1011).
                await connection.close()

    async def _tell_of_silence(self) -> None:
        """Say so while no event comes, until cancelled."""
        while True:
            seen, silence = self._printed, Silence(self._settings.silence)
            while self._printed == seen:
                await asyncio.sleep(silence.left)
                if self._printed == seen:
                    say(silence.sentence(self._settings.topics), "yellow")

    def _take(self, message: bytes) -> bool:
        """Print one message's events, or count them for the statistics; return whether the limit has been reached."""
        now = time.time()
        if self._stats is not None:
            self._stats.take_message(len(message))
        lines: list[str] = []
        statuses: list[Event] = []
        try:
            for event in events_in(message.decode(errors="replace")):
                if event.is_status:
                    statuses.append(event)
                    continue
                self.counts[event.event_type] += 1
                self._printed += 1
                if self._stats is None:
                    lines.append(self._line(event))
                else:
                    self._stats.take(event, now)
                if self._printed == self._settings.limit:
                    break
        except (ValueError, RecursionError) as error:
            say(f"A message that is not a JSON array of objects: {error}", "red")
        write_lines(lines)
        self._heed(statuses)
        return self._printed == self._settings.limit

    def _heed(self, statuses: Sequence[Event]) -> None:
        """Show the statuses of one message.

        Raises:
            TailError: they mean that no event will come.
        """
        for event in statuses:
            status, message = str(event.fields.get("status")), str(event.fields.get("message", ""))
            say(printable(f"{status}: {message}"), status_colour(status))
            if status in REFUSALS:
                raise TailError("The server refused this client; see the line above")
            self._subscribed = self._subscribed or status == "success"
        if not self._subscribed and any(event.fields.get("status") == "error" for event in statuses):
            raise TailError("The server accepted none of the topics")


class Silence:
    """The time without an event, and when to speak of it next.

    Args:
        seconds: after how long to speak of it first; then each time that it has lasted twice as long.
    """

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._next = seconds

    @property
    def left(self) -> float:
        """Seconds until it is to be spoken of."""
        return max(0.0, self._began + self._next - time.monotonic())

    def sentence(self, topics: Sequence[str]) -> str:
        """Return what to say now."""
        seconds, self._next = self._next, 2 * self._next
        shown = ", ".join(topics[:3]) + (f" and {len(topics) - 3} more" if len(topics) > 3 else "")
        return (
            f"No event of {shown} for {seconds:g} s. The market may be closed or the symbol quiet; a symbol that does "
            "not exist is accepted, too, and never brings anything"
        )


async def _send(connection: ClientConnection, **message: str) -> None:
    with contextlib.suppress(ConnectionClosed):  # The reason is told when we read.
        await connection.send(json.dumps(message))


def _close_reason(error: ConnectionClosed) -> str:
    close = error.rcvd
    if close is None:
        return "the server went away without closing it"
    return printable(
        f"closed by the server with code {close.code}" + (f" ({close.reason})" if close.reason else "")
    )


def _connect_reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, InvalidStatus) and error.response.body:
        told = error.response.body.decode(errors="replace").strip().splitlines()
        return f"HTTP {error.response.status_code}: {printable(told[0])[:200]}" if told else str(error)
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
