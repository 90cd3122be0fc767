"""Standard output and standard error of a command for people: colour where it is wanted, and readers that go away."""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final, TextIO

import click

OUTPUT_ERRORS: Final = (BrokenPipeError, ConnectionResetError)


class OutputClosed(Exception):  # noqa: N818 - not a mistake of anyone's: ``| head`` has read enough.
    """Whatever reads our standard output has gone."""


def takes_colour(stream: TextIO) -> bool:
    """Return whether colour is wanted on a stream: a terminal that has it, and no ``NO_COLOR`` (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_lines(lines: Sequence[str]) -> None:
    """Write lines to standard output at once.

    Raises:
        OutputClosed: nobody reads it any more.
    """
    if not lines:
        return
    try:
        sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode(errors="replace"))
        sys.stdout.buffer.flush()
    except OUTPUT_ERRORS as error:
        raise OutputClosed from error


def discard_output() -> None:
    """Let the interpreter flush standard output at exit without finding it closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str, colour: str | None = None) -> None:
    """Tell the person something that is not what was asked for, on standard error; nothing when that is closed."""
    with contextlib.suppress(*OUTPUT_ERRORS):
        click.secho(text, fg=colour, err=True, color=takes_colour(sys.stderr))
