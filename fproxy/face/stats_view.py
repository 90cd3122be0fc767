"""How ``fproxy tail --stats`` shows each second: a table that stays in its place on a terminal, else a line each."""

import json
import sys
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from fproxy.face.event_text import printable
from fproxy.face.fitting_table import Column, FittingTable
from fproxy.face.readable import short, size_text, time_text
from fproxy.face.stream_stats import (
    LATENCY_NOTE,
    Latency,
    Second,
    rate,
    stats_line,
    stats_record,
    symbols_text,
)
from fproxy.face.terminal_output import OUTPUT_ERRORS, OutputClosed, say, write_lines

COLUMNS: Final = (
    Column("type", 6, 0),
    Column("events/s", 8, 1),
    Column("latency median", 14, 2),
    Column("p99", 9, 3),
)


class StatsView:
    """Shows seconds on standard output, between entering and leaving it.

    Args:
        raw: write each as a JSON object, whatever standard output is.
    """

    def __init__(self, *, raw: bool) -> None:
        self._raw = raw
        console = Console()
        in_place = not raw and sys.stdout.isatty() and not console.is_dumb_terminal
        # What is said on standard error goes above the table only where both are the same terminal.
        self._live = (
            Live(
                Text("counting the first second"),
                console=console,
                auto_refresh=False,
                redirect_stderr=sys.stderr.isatty(),
            )
            if in_place
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        elif not self._raw:
            say(LATENCY_NOTE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, second: Second) -> None:
        """Show a second.

        Raises:
            OutputClosed: nobody reads standard output any more.
        """
        if self._live is not None:
            try:
                self._live.update(stats_table(second), refresh=True)
            except OUTPUT_ERRORS as error:
                raise OutputClosed from error
        elif self._raw:
            write_lines([json.dumps(stats_record(second))])
        else:
            write_lines([f"{datetime.fromtimestamp(second.ended):%H:%M:%S}  {stats_line(second)}"])


def stats_table(second: Second) -> Group:
    """Return a second as a table with a row for each type, and one for all."""
    table = FittingTable(*COLUMNS)
    for event_type, count in second.events.items():
        table.add_row(
            Text(printable(event_type)),
            short(rate(count, second)),
            *_latency_cells(second.latencies.get(event_type)),
        )
    table.add_row(
        Text("all", "bold"),
        Text(short(rate(sum(second.events.values()), second)), "bold"),
        *_latency_cells(second.latency),
    )
    moment = f"{datetime.fromtimestamp(second.ended):%H:%M:%S}"
    return Group(
        Text(f"{moment}  {size_text(rate(second.size, second))}/s  {symbols_text(second)} symbols seen"),
        table,
        Text(LATENCY_NOTE, "dim"),
    )


def _latency_cells(latency: Latency | None) -> tuple[str, str]:
    if latency is None:
        return "-", "-"
    return time_text(latency.median), time_text(latency.p99)
