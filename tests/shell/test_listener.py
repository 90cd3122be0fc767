"""A listener that cannot accept rests, instead of being woken in every turn of the loop, and comes back."""

import errno
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from fproxy.shell.listener import RETRY_DELAY, Listener


class Listening(socket.socket):
    """A socket on which somebody waits, and accepting fails."""

    def __init__(self, error: int) -> None:
        super().__init__()
        self._error = error

    def accept(self) -> Any:
        raise OSError(self._error, os.strerror(self._error))


class Timer:
    def cancel(self) -> None:
        pass


class Turns:
    """A loop that calls for what is registered when a test says so."""

    def __init__(self) -> None:
        self.readers: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}
        self.later: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def add_reader(self, file: int, callback: Callable[..., None], *arguments: Any) -> None:
        self.readers[file] = callback, arguments

    def remove_reader(self, file: int | socket.socket) -> None:
        del self.readers[file if isinstance(file, int) else file.fileno()]

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> Timer:
        self.later.append((delay, callback, arguments))
        return Timer()

    def turn(self) -> None:
        for callback, arguments in list(self.readers.values()):
            callback(*arguments)


def nobody(connection: socket.socket, host: str) -> Coroutine[Any, Any, None] | None:
    raise AssertionError("nothing was accepted")


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_files_or_memory_a_listener_rests(error: int) -> None:
    turns = Turns()
    listener = Listener(cast(Any, turns), nobody, refused=lambda: None)
    with Listening(error) as listening:
        listener.use(listening)
        listener.accept()
        for _ in range(3):
            turns.turn()
            assert not turns.readers, "who waits would wake the loop in each of its turns"
            [(delay, resume, arguments)] = turns.later
            turns.later.clear()
            assert delay == RETRY_DELAY
            resume(*arguments)
            assert turns.readers
        await listener.close()
    assert not turns.readers


async def test_a_connection_that_was_broken_off_changes_nothing() -> None:
    turns = Turns()
    listener = Listener(cast(Any, turns), nobody, refused=lambda: None)
    with Listening(errno.ECONNABORTED) as listening:
        listener.use(listening)
        listener.accept()
        turns.turn()
        assert turns.readers
        assert not turns.later
        await listener.close()
