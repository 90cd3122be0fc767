"""A table for a terminal of any width: what does not fit is left out by whole columns, the least important first."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_PADDING: Final = 2
"""Cells that a column takes beside its content."""


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: its heading, of one line or several.
        width: cells that it is given at least, so that columns do not come and go with the numbers in them.
        rank: 0 for the most important column; a table's ranks differ from each other.
    """

    name: str
    width: int
    rank: int


class FittingTable:
    """A table of as many of its columns as there is room for, in their order.

    Args:
        columns: all that it can have. The one of rank 0 is always shown.
    """

    def __init__(self, *columns: Column) -> None:
        self._columns = columns
        self._rows: list[tuple[Text, ...]] = []

    def add_row(self, *cells: str | Text) -> None:
        """Add a row with a cell for each column."""
        self._rows.append(tuple(cell if isinstance(cell, Text) else Text(cell) for cell in cells))

    def fitting(self, width: int) -> Sequence[int]:
        """Return which columns are shown, by their indexes, in a width given in cells.

        Columns are taken by rank until one does not fit whole: a lesser one never stands in its place.
        """
        left = width
        taken: list[int] = []
        for index in sorted(range(len(self._columns)), key=lambda index: self._columns[index].rank):
            left -= self._needed(index) + _PADDING
            if taken and left < 0:
                break
            taken.append(index)
        return sorted(taken)

    def _needed(self, index: int) -> int:
        column = self._columns[index]
        contents = (*column.name.splitlines(), *(row[index].plain for row in self._rows))
        return max(column.width, *map(cell_len, contents))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=None, expand=True, header_style="dim", padding=(0, 1))
        shown = self.fitting(options.max_width)
        for position, index in enumerate(shown):
            table.add_column(
                self._columns[index].name,
                justify="left" if position == 0 else "right",
                no_wrap=True,
                vertical="bottom",
            )
        for row in self._rows:
            table.add_row(*(row[index] for index in shown))
        yield table
