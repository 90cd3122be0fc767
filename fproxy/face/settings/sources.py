"""Where a value comes from when no flag gives it: the environment, the ``.env`` file, the configuration file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from fproxy.core.market import MARKETS, Market
from fproxy.face.settings.config_file import read_config_file
from fproxy.face.settings.declaration import Declaration
from fproxy.face.settings.declared import DECLARATIONS, default_of
from fproxy.face.settings.env_file import Line, read_env_file, unknown_setting_warnings
from fproxy.face.settings.kinds import ValueType
from fproxy.face.settings.of_programs import CONFIG, ENV_FILE

_LINES: Final = "fproxy.lines"
"""Where a context keeps the lines of its files."""


def read_files(given: Mapping[str, Any]) -> dict[str, Line]:
    """Read the ``.env`` file and the configuration file that it, the environment or a flag names.

    Args:
        given: the command line's values of ``env_file`` and ``config``, where it has them.

    Returns:
        The lines by variable: of the ``.env`` file, else of the configuration file. An empty line sets nothing, but
        hides a key of the configuration file.

    Raises:
        fproxy.face.settings.env_file.EnvFileError: the ``.env`` file cannot be used.
        fproxy.face.settings.toml_file.TomlFileError: the configuration file cannot be used.
    """
    named = given.get(ENV_FILE.name) or os.environ.get(ENV_FILE.variable)
    path = Path(named or ENV_FILE.default)
    lines = read_env_file(path) if named or path.exists() else {}
    in_env_file = lines[CONFIG.variable].value if CONFIG.variable in lines else ""
    config = given.get(CONFIG.name) or os.environ.get(CONFIG.variable, in_env_file)
    return {**read_config_file(Path(config), DECLARATIONS), **lines} if config else lines


def file_lines(ctx: click.Context, given: Mapping[str, Any] | None = None) -> dict[str, Line]:
    """Return what the files of a command set, by variable; they are read once.

    Args:
        ctx: the command's context.
        given: what the command line gave, while it is being parsed.

    Raises:
        click.UsageError: a file cannot be used.
    """
    if _LINES not in ctx.meta:
        try:
            ctx.meta[_LINES] = read_files(ctx.params if given is None else given)
        except ValueError as error:
            raise click.UsageError(str(error), ctx) from error
    lines: dict[str, Line] = ctx.meta[_LINES]
    return lines


def file_line(lines: Mapping[str, Line], variable: str) -> Line | None:
    """Return the line of a file that sets a variable, unless the environment hides it."""
    line = None if variable in os.environ else lines.get(variable)
    return line if line is not None and line.value else None


def text_of(ctx: click.Context, variable: str) -> str:
    """Return what the environment or a file sets a variable to; empty for nothing. Flags are not looked at."""
    line = file_line(file_lines(ctx), variable)
    return os.environ.get(variable, "") if line is None else line.value


def market_values(ctx: click.Context, market: Market) -> dict[str, Any]:
    """Return the values that a market has of its own, by the setting's name.

    They are given as ``VARIABLE_MARKET``, or in the table ``[market.NAME]`` of the configuration file.

    Raises:
        click.UsageError: one of them is wrong; the message says which, where, and what is allowed.
    """
    values = {}
    for declared in DECLARATIONS:
        variable = declared.market_variable(market)
        text = text_of(ctx, variable) if declared.per_market else ""
        if text:
            line = file_line(file_lines(ctx), variable)
            hint = f"{line.name} in {line.place}" if line else f"{variable} in the environment"
            values[declared.name] = checked(declared.kind, text, hint)
    return values


def checked(kind: ValueType, text: str, hint: str) -> Any:
    """Return a text as a value of its kind.

    Args:
        kind: what it has to be.
        text: what was given.
        hint: where it was given, for the message.

    Raises:
        click.BadParameter: it is no such value.
    """
    try:
        return kind.convert(text, None, None)
    except click.BadParameter as error:
        raise click.BadParameter(error.message, param_hint=hint) from error


def read_again(ctx: click.Context, name: str) -> Any:
    """Return what a setting is now, where it may have changed since the program started: in a file.

    Flags and the environment outrank the files, and cannot change.

    Args:
        ctx: the command's context.
        name: the setting's parameter.

    Raises:
        fproxy.face.settings.env_file.EnvFileError: the ``.env`` file cannot be used.
        fproxy.face.settings.toml_file.TomlFileError: the configuration file cannot be used.
        click.UsageError: the setting is wrong there.
    """
    if ctx.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
        return ctx.params[name]
    option: Any = next(param for param in ctx.command.params if param.name == name)
    declared: Declaration = option.declared
    given = {
        file: ctx.params[file]
        for file in (ENV_FILE.name, CONFIG.name)
        if ctx.get_parameter_source(file) is ParameterSource.COMMANDLINE
    }
    line = file_line(read_files(given), declared.variable)
    return (
        default_of(declared)
        if line is None
        else checked(declared.kind, line.value, f"{line.name} in {line.place}")
    )


def unknown_settings(ctx: click.Context) -> list[str]:
    """Return a sentence about each ``FPROXY_*`` name in the environment or ``.env`` that is no setting."""
    return unknown_setting_warnings(os.environ, file_lines(ctx), known_settings())


def known_settings() -> set[str]:
    """Return the name of every setting that some command has, as an environment variable."""
    plain = {declared.variable for declared in DECLARATIONS}
    return plain | {
        declared.market_variable(market)
        for declared in DECLARATIONS
        if declared.per_market
        for market in MARKETS.values()
    }
