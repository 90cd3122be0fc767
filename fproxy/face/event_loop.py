"""The event loop of a program, and the signals that end it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from fproxy.face import heartbeat

SAME_SIGNAL: Final = 0.5
"""Seconds within which signals count as one: a terminal and a program that wraps this one may both send it."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes event loops: uvloop's where it runs, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run ``main`` on a new event loop and return its result, the program's exit status."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)


@contextlib.contextmanager
def stop_signals(
    *, at_eof: bool = False, reload: Callable[[], None] | None = None
) -> Iterator[asyncio.Event]:
    """Give an event that the first SIGINT or SIGTERM sets; a later one ends the process at once.

    Args:
        at_eof: the end of standard input, a pipe, sets it too: so a child learns that its parent is gone. What comes
            before is the parent's question whether this process is alive, and is answered.
        reload: called at each SIGHUP, which does not end the process.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)

    first_at = 0.0

    def received(number: int) -> None:
        nonlocal first_at
        if not stopping.is_set():
            first_at = loop.time()
        elif loop.time() - first_at >= SAME_SIGNAL:
            print("Stopped at once, at the second signal.", file=sys.stderr, flush=True)
            os._exit(128 + number)
        stopping.set()

    for number in handled:
        try:
            loop.add_signal_handler(number, received, number)
        except NotImplementedError:  # Windows' loops: Ctrl-C raises KeyboardInterrupt there.
            signal.signal(number, lambda caught, _frame: loop.call_soon_threadsafe(received, caught))
    with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has no such signal
        loop.add_signal_handler(signal.SIGHUP, reload or (lambda: None))
    standard_input = sys.stdin.fileno() if at_eof else -1

    def read_standard_input() -> None:
        if os.read(standard_input, 4096):
            heartbeat.answer()
        else:
            loop.remove_reader(standard_input)
            stopping.set()

    if at_eof:
        loop.add_reader(standard_input, read_standard_input)
    try:
        yield stopping
    finally:
        if at_eof:
            loop.remove_reader(standard_input)
        with contextlib.suppress(NotImplementedError, AttributeError):
            for number in (*handled, signal.SIGHUP):
                loop.remove_signal_handler(number)
