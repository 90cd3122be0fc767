"""Which columns the tables of ``fproxy top`` have in terminals of several widths."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from fproxy.face.fitting_table import Column, FittingTable
from fproxy.face.top import CLIENT_COLUMNS, PROCESS_COLUMNS, STREAM_COLUMNS

FRAME = 4
"""Cells that a panel takes of a line."""

PROCESS = ("aggregator", "12.3k", "123.4k", "812", "310 us", "4.2 ms", "1.2 ms", "100 %", "123.4 MiB")
STREAM = ("aggregator <- firehose", "futures/comex", "interrupted", "12.3k", "12 s ago", "3")
CLIENT = (
    "[red]127.0.0.1:54321[/red]",
    "stocks",
    "12",
    "12.3k",
    "100.0 MiB",
    "1.5 MiB",
    "slow: 12.3k events left out",
)


def shown(columns: Sequence[Column], row: Sequence[str], width: int) -> list[str]:
    """Return the columns that are shown; check that they are whole."""
    table = FittingTable(*columns)
    table.add_row(*row)
    indexes = table.fitting(width - FRAME)
    output = io.StringIO()
    Console(file=output, width=width - FRAME).print(table)
    assert output.getvalue().splitlines()[-1].split() == " ".join(row[index] for index in indexes).split()
    return [columns[index].name.replace("\n", " ") for index in indexes]


@pytest.mark.parametrize(
    ("columns", "row"), [(PROCESS_COLUMNS, PROCESS), (STREAM_COLUMNS, STREAM), (CLIENT_COLUMNS, CLIENT)]
)
def test_a_wide_terminal_has_them_all(columns: Sequence[Column], row: Sequence[str]) -> None:
    assert sorted(column.rank for column in columns) == list(range(len(columns)))
    assert shown(columns, row, 140) == [column.name.replace("\n", " ") for column in columns]


@pytest.mark.parametrize(
    ("columns", "row", "names"),
    [
        (
            PROCESS_COLUMNS,
            PROCESS,
            ["process", "events/s", "delivered/s", "clients", "read to write p99", "CPU", "memory"],
        ),
        (STREAM_COLUMNS, STREAM, ["stream", "market", "state", "messages/s", "last"]),
        (CLIENT_COLUMNS, CLIENT, ["client", "events/s", "state"]),
        (CLIENT_COLUMNS, (*CLIENT[:-1], "keeps up"), ["client", "events/s", "bytes/s", "unsent", "state"]),
    ],
)
def test_eighty_columns_have_the_most_important_whole(
    columns: Sequence[Column], row: Sequence[str], names: list[str]
) -> None:
    assert shown(columns, row, 80) == names


def test_one_column_is_always_there() -> None:
    table = FittingTable(*PROCESS_COLUMNS)
    assert list(table.fitting(5)) == [0]
