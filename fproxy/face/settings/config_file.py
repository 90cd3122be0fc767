"""The configuration file: settings in TOML, as the same names and texts that the environment would give."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from fproxy.core.market import MARKETS
from fproxy.face.settings.declaration import Declaration
from fproxy.face.settings.env_file import Line
from fproxy.face.settings.toml_file import TomlFile, TomlFileError, read_toml_file

_MARKETS: Final = "market"
"""The table that holds a table for each market with settings of its own."""


def read_config_file(path: Path, declarations: Iterable[Declaration]) -> dict[str, Line]:
    """Read a configuration file: a key for each setting, and tables ``[market.NAME]`` of those that markets may have.

    Args:
        path: the file.
        declarations: the settings that there are.

    Returns:
        What it sets, by environment variable; values as the environment would give them, not checked yet.

    Raises:
        TomlFileError: the file cannot be used, or has a key that is no setting, or a value of the wrong shape.
    """
    file = read_toml_file(path)
    by_key = {declared.file_key: declared for declared in declarations if declared.in_files}
    of_markets = {key: declared for key, declared in by_key.items() if declared.per_market}
    lines = {}
    for key, value in file.values.items():
        if key != _MARKETS:
            declared = _known(file, by_key, key)
            lines[declared.variable] = _line(file, declared, value, key)
            continue
        for market, table in _table(file, value, _MARKETS).items():
            if market not in MARKETS:
                raise TomlFileError(
                    f"{file.place(_MARKETS, market)}: {market!r} is no market; allowed are {', '.join(MARKETS)}"
                )
            for inner, inner_value in _table(file, table, _MARKETS, market).items():
                declared = _known(file, of_markets, _MARKETS, market, inner)
                variable = declared.market_variable(MARKETS[market])
                lines[variable] = _line(file, declared, inner_value, _MARKETS, market, inner)
    return lines


def _known(file: TomlFile, by_key: Mapping[str, Declaration], *keys: str) -> Declaration:
    key = keys[-1]
    if key in by_key:
        return by_key[key]
    of_variables = {declared.variable: name for name, declared in by_key.items()}
    likeliest = of_variables.get(key) or next(iter(difflib.get_close_matches(key, by_key, n=1)), None)
    hint = f"; did you mean {likeliest}?" if likeliest else ""
    what = "setting of a market" if len(keys) > 1 else "setting"
    raise TomlFileError(f"{file.place(*keys)}: {key!r} is no {what}{hint}")


def _table(file: TomlFile, value: Any, *keys: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TomlFileError(
            f"{file.place(*keys)}: {keys[-1]!r} must be a table such as [market.options] with settings in it"
        )
    return value


def _line(file: TomlFile, declared: Declaration, value: Any, *keys: str) -> Line:
    place = file.place(*keys)
    if isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, (str, int, float)):
        text = str(value)
        if not text:
            raise TomlFileError(f"{place}: {keys[-1]!r} is empty; leave the line out for the default")
    elif declared.kind.takes_many and isinstance(value, list) and value and _are_texts(value):
        text = ",".join(value)
    else:
        shape = "a string, or an array of strings without commas" if declared.kind.takes_many else "one value"
        raise TomlFileError(f"{place}: {keys[-1]!r} must be {shape}")
    return Line(text, ".".join(keys), place)


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) and "," not in value for value in values)
