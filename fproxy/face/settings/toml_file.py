"""A TOML file and the lines that its keys stand on, which the standard library's parser does not tell."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KeyPath = tuple[str, ...]
"""The keys that lead to a value."""


class TomlFileError(ValueError):
    """A file cannot be used; the message names the file, and the line where there is one, and repeats no value."""


@dataclass(frozen=True, slots=True)
class TomlFile:
    """What a TOML file holds.

    Attributes:
        path: the file.
        values: its top-level table.
        lines: the number of the line that each key, or table header, begins on, from 1.
    """

    path: Path
    values: dict[str, Any]
    lines: Mapping[KeyPath, int]

    def place(self, *keys: str) -> str:
        """Return the file and line of a key, for messages: ``fproxy.toml, line 3``."""
        return f"{self.path}, line {self.lines[keys]}"


def read_toml_file(path: Path) -> TomlFile:
    """Read a TOML file (TOML 1.0).

    Raises:
        TomlFileError: the file cannot be read, is not UTF-8, or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TomlFileError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TomlFileError(f"{path} is not UTF-8 text (at byte {error.start})") from None
    try:
        values = tomllib.loads(text)
        return TomlFile(path, values, _lines(text))
    except tomllib.TOMLDecodeError as error:
        raise TomlFileError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise TomlFileError(f"{path} cannot be used: something in it is nested too deeply") from None
    except ValueError:  # of int(), which refuses more digits than it would read in a moment
        raise TomlFileError(f"{path} cannot be used: a number in it has too many digits") from None


def _lines(text: str) -> dict[KeyPath, int]:
    """Return where each key of a sound TOML text begins: each statement is sound TOML by itself."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        statement += line + "\n"
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        paths = list(_paths(parsed))
        is_header = statement.lstrip().startswith("[")
        for keys in paths:
            lines.setdefault(keys if is_header else (*table, *keys), start)
        if is_header:
            table = paths[-1]
        statement, start = "", number + 1
    return lines


def _paths(parsed: Mapping[str, Any]) -> Iterator[KeyPath]:
    for key, value in parsed.items():
        yield (key,)
        if isinstance(value, dict):
            for inner in _paths(value):
                yield (key, *inner)
