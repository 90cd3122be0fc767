"""``fproxy tail``: a client for people, which prints events as they come and counts them at the end."""

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import click
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from fproxy.core.loopback import is_loopback
from fproxy.core.urls import redacted_url
from fproxy.face.event_loop import stop_signals
from fproxy.face.event_text import Event, event_line, events_in
from fproxy.face.tail_settings import TailSettings

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""The largest message accepted: generous, because this is a tool for looking at whatever a server sends."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that an orderly close may take."""

REFUSALS: Final = frozenset({"auth_failed", "auth_timeout", "max_connections"})
"""Statuses after which the server closes, and trying again at once would be no better."""

_GOOD_STATUSES: Final = frozenset({"connected", "auth_success", "success"})
_SHORTEST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 30.0
_OUTPUT_ERRORS: Final = (BrokenPipeError, ConnectionResetError)


class TailError(Exception):
    """The server cannot be used; the message says why, for the person who asked."""


class OutputClosed(Exception):  # noqa: N818 - not a mistake of anyone's: ``| head`` has read enough.
    """Whatever reads our standard output has gone."""


class Tail:
    """One run of the client: connects, prints, counts.

    Attributes:
        counts: how many events of each type have been printed.
    """

    def __init__(self, settings: TailSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._subscribed = False  # whether the server has acknowledged any topic since we connected
        self._connected_before = False
        self._printed = 0  # events printed, of all types

    async def run(self) -> int:
        """Print events until a signal, the limit, or a server gone for good; return the exit status."""
        began = time.monotonic()
        status = 0
        with stop_signals() as stopping:
            following = asyncio.ensure_future(self._follow())
            signalled = asyncio.ensure_future(stopping.wait())
            await asyncio.wait((following, signalled), return_when=asyncio.FIRST_COMPLETED)
            signalled.cancel()
            following.cancel()
            try:
                await following
            except asyncio.CancelledError:
                pass
            except TailError as error:
                _say(str(error), "red")
                status = 1
            except OutputClosed:
                _discard_output()
        if self._connected_before:
            _say(self.summary(time.monotonic() - began))
        return status

    def summary(self, seconds: float) -> str:
        """Return how many events there were, in all and of each type, the most frequent first."""
        total = self._printed
        by_type = ", ".join(f"{count} {event_type}" for event_type, count in self.counts.most_common())
        return f"{total} event{'' if total == 1 else 's'} in {seconds:.1f} s" + (
            f": {by_type}" if by_type else ""
        )

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
            _say(f"Connection lost: {reason}; next try in {pause:.1f} s", "yellow")
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
            _say(f"Connected to {redacted_url(self._settings.url)}", "green")
            # Both at once: not every path sends a greeting to wait for, and the server keeps the order.
            await _send(connection, action="auth", params=self._settings.key)
            await _send(connection, action="subscribe", params=",".join(self._settings.topics))
            telling = asyncio.ensure_future(self._tell_of_silence())
            try:
                while True:
                    message = await connection.recv()
                    if self._print(message if isinstance(message, str) else message.decode(errors="replace")):
                        return
            finally:
                telling.cancel()

    async def _tell_of_silence(self) -> None:
        """Say so while no event comes, until cancelled."""
        while True:
            seen, silence = self._printed, Silence(self._settings.silence)
            while self._printed == seen:
                await asyncio.sleep(silence.left)
                if self._printed == seen:
                    _say(silence.sentence(self._settings.topics), "yellow")

    def _print(self, message: str) -> bool:
        """Print one message's events; return whether the limit has been reached."""
        lines: list[str] = []
        statuses: list[Event] = []
        try:
            for event in events_in(message):
                if event.is_status:
                    statuses.append(event)
                    continue
                self.counts[event.event_type] += 1
                self._printed += 1
                lines.append(event.text if self._settings.raw else event_line(event))
                if self._printed == self._settings.limit:
                    break
        except (ValueError, RecursionError) as error:
            _say(f"A message that is not a JSON array of objects: {error}", "red")
        _write(lines)
        self._heed(statuses)
        return self._printed == self._settings.limit

    def _heed(self, statuses: Sequence[Event]) -> None:
        """Show the statuses of one message.

        Raises:
            TailError: they mean that no event will come.
        """
        for event in statuses:
            status, message = str(event.fields.get("status")), str(event.fields.get("message", ""))
            _say(_printable(f"{status}: {message}"), None if status in _GOOD_STATUSES else "red")
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


def _write(lines: Sequence[str]) -> None:
    """Write lines to standard output at once.

    Raises:
        OutputClosed: nobody reads it any more.
    """
    if not lines:
        return
    try:
        sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode(errors="replace"))
        sys.stdout.buffer.flush()
    except _OUTPUT_ERRORS as error:
        raise OutputClosed from error


def _discard_output() -> None:
    """Let the interpreter flush standard output at exit without finding it closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str, colour: str | None = None) -> None:
    """Tell the person something that is not an event, on standard error."""
    with contextlib.suppress(*_OUTPUT_ERRORS):
        click.secho(text, fg=colour, err=True)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _close_reason(error: ConnectionClosed) -> str:
    close = error.rcvd
    if close is None:
        return "the server went away without closing it"
    return _printable(
        f"closed by the server with code {close.code}" + (f" ({close.reason})" if close.reason else "")
    )


def _connect_reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, InvalidStatus) and error.response.body:
        told = error.response.body.decode(errors="replace").strip().splitlines()
        return f"HTTP {error.response.status_code}: {_printable(told[0])[:200]}" if told else str(error)
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
