"""What a setting is: an option that can also be given in the environment and in a ``.env`` file.

A setting is looked for as a flag, then as an environment variable, then as a line of the ``.env`` file; else
its default counts. An environment variable that is set but empty counts as unset, and hides the line in
``.env``.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from fproxy.face.environment import EnvFileError, EnvLine, read_env_file, unknown_setting_warnings
from fproxy.face.option_types import LogLevel

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_ENV_LINES: Final = "fproxy.env_lines"
"""Where a context keeps the lines of its ``.env`` file."""

_FLAGS: Final = "fproxy.flags"
"""Where a context keeps the settings that were given as flags."""


class Setting(click.Option):
    """An option that can also be given in the environment and in ``.env``, and says which if it is wrong."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs = {"show_envvar": True, "show_default": kwargs.get("default") is not None} | kwargs
        super().__init__(*args, **kwargs)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return where the value at fault was given: the flag, the variable, or the line of ``.env``."""
        source = ctx.get_parameter_source(self.name) if ctx is not None and self.name else None
        if source is ParameterSource.ENVIRONMENT:
            return f"{self.envvar} in the environment"
        if source is ParameterSource.DEFAULT_MAP and ctx is not None:
            return f"{self.envvar} in {env_lines(ctx)[str(self.envvar)].place}"
        return f"'{self.opts[0]}'"

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the value parsed, and keep the text of one given as a flag."""
        if self.name and ctx.get_parameter_source(self.name) is ParameterSource.COMMANDLINE:
            text = str(int(value)) if isinstance(value, bool) else str(value)
            ctx.meta.setdefault(_FLAGS, {})[str(self.envvar)] = text
        return super().process_value(ctx, value)


def given_flags(ctx: click.Context) -> dict[str, str]:
    """Return the settings given as flags, each as the environment variable that says the same."""
    flags: dict[str, str] = ctx.meta.get(_FLAGS, {})
    return dict(flags)


def setting(*flags: str, **attributes: Any) -> Decorator:
    """Return a decorator that gives a command one setting; ``attributes`` are those of ``click.option``."""
    return click.option(*flags, cls=Setting, **attributes)


def together(*decorators: Decorator) -> Decorator:
    """Return one decorator that applies ``decorators`` so that their options are listed in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def env_lines(ctx: click.Context) -> dict[str, EnvLine]:
    """Return the settings read from the context's ``.env`` file, by name."""
    lines: dict[str, EnvLine] = ctx.meta.get(_ENV_LINES, {})
    return lines


def _use_env_file(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Read the ``.env`` file before any other option looks for its value."""
    path = Path(value)
    if ctx.get_parameter_source("env_file") is ParameterSource.DEFAULT and not path.exists():
        return value
    try:
        lines = read_env_file(path)
    except EnvFileError as error:
        raise click.UsageError(str(error), ctx) from error
    ctx.meta[_ENV_LINES] = lines
    ctx.default_map = {
        option.name: lines[str(option.envvar)].value
        for option in ctx.command.params
        if isinstance(option, Setting)
        and option.name
        and option.envvar not in os.environ
        and lines.get(str(option.envvar), EnvLine("", "")).value
    }
    return value


def read_again(ctx: click.Context, name: str) -> Any:
    """Return what a setting is now, where it may have changed since the program started: in the ``.env`` file.

    Flags and the environment outrank the file, and cannot change.

    Args:
        ctx: the command's context.
        name: the setting's parameter.

    Raises:
        EnvFileError: the file cannot be used.
        click.UsageError: the setting is wrong there.
    """
    option = next(param for param in ctx.command.params if param.name == name)
    if ctx.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
        return ctx.params[name]
    path = Path(ctx.params["env_file"])
    lines = read_env_file(path) if path.exists() else {}
    text = lines.get(str(option.envvar), EnvLine("", "")).value
    return option.type.convert(text, option, ctx) if text else option.get_default(ctx)


def unknown_settings(ctx: click.Context, known: set[str]) -> list[str]:
    """Return a sentence about each ``FPROXY_*`` name in the environment or ``.env`` that is not ``known``."""
    return unknown_setting_warnings(os.environ, env_lines(ctx), known)


general_options: Final = together(
    setting(
        "--log-level",
        envvar="LOG_LEVEL",
        type=LogLevel(),
        default="info",
        help="debug, info, warning or error.",
    ),
    setting(
        "--env-file",
        envvar="FPROXY_ENV_FILE",
        type=click.Path(dir_okay=False),
        default=".env",
        is_eager=True,
        callback=_use_env_file,
        help="File with a NAME=value line for each setting.",
    ),
)
