"""``fproxy tail`` with a terminal for its standard output: colours, and the table of ``--stats``."""

import asyncio
import os
import pty
from pathlib import Path

import click
import pytest
from running_program import TIMEOUT
from scripted_server import BAR, QUOTE, TRADE, accept, serving
from websockets.asyncio.server import ServerConnection

from fproxy.face.chain import own_command, own_path
from fproxy.face.settings.sources import known_settings

RISEN = TRADE.replace("114.1250", "114.1260")
FALLEN = TRADE.replace("114.1250", "114.1")


async def script(connection: ServerConnection) -> None:
    await accept(connection)
    await connection.send(f"[{TRADE},{RISEN},{FALLEN},{QUOTE},{BAR}]")
    await connection.wait_closed()


def read_all(terminal: int) -> str:
    read = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other side is closed.
            more = b""
        if not more:
            return read.decode()
        read += more


async def on_terminal(directory: Path, *arguments: str, **settings: str) -> str:
    """Run ``fproxy tail`` until it ends; return what the terminal got."""
    unset = {*known_settings(), "NO_COLOR"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    terminal, side = pty.openpty()
    try:
        async with serving(script) as url:
            process = await asyncio.create_subprocess_exec(
                *own_command(),
                *("tail", "*", "-n", "5", "--url", url, *arguments),
                cwd=directory,
                env={**inherited, **own_path(), "TERM": "xterm", "TZ": "UTC", "COLUMNS": "80", **settings},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=side,
                stderr=asyncio.subprocess.PIPE,
            )
            os.close(side)
            shown = asyncio.create_task(asyncio.to_thread(read_all, terminal))
            try:
                async with asyncio.timeout(TIMEOUT):
                    _, errors = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                text = await shown
    finally:
        os.close(terminal)
    assert process.returncode == 0
    assert "5 events in" in errors.decode()
    assert "\x1b" not in errors.decode()  # a pipe
    return text.replace("\r\n", "\n")


PLAIN = """\
04:53:38.784  T      MSFT       114.1250 x 100
04:53:38.784  T      MSFT       114.1260 x 100
04:53:38.784  T      MSFT          114.1 x 100
04:53:38.785  Q      BRK.B          1.10 x 1               1.2 x 2
10:10:00.000  100Ms  AAPL     o 1.10  h 1.2  l 1  c 1.1  v 5
"""


async def test_prices_are_coloured_by_where_they_go(tmp_path: Path) -> None:
    shown = await on_terminal(tmp_path)
    assert click.unstyle(shown) == PLAIN
    first, risen, fallen = shown.splitlines()[:3]
    assert "  114.1250 x 100" in first
    assert click.style("114.1260", fg="green") in risen
    assert click.style("114.1", fg="red") in fallen


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
async def test_no_colour_where_it_is_not_wanted(tmp_path: Path, settings: dict[str, str]) -> None:
    assert await on_terminal(tmp_path, **settings) == PLAIN


async def test_json_is_never_coloured(tmp_path: Path) -> None:
    shown = await on_terminal(tmp_path, "--json")
    assert shown.splitlines() == [TRADE, RISEN, FALLEN, QUOTE, BAR]


async def test_statistics_are_a_table_in_its_place(tmp_path: Path) -> None:
    shown = await on_terminal(tmp_path, "--stats")
    assert "\x1b[2K" in shown  # lines are written anew
    text = click.unstyle(shown)
    for part in (
        "events/s",
        "latency median",
        "p99",
        "3 symbols seen",
        "100Ms",
        "it includes their difference",
    ):
        assert part in text
    assert "MSFT" not in text
