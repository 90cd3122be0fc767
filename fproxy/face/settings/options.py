"""Settings as options of the command line, which are looked for in the environment and in files, too.

A setting is looked for as a flag, then as an environment variable, then as a line of the ``.env`` file, then as a key
of the configuration file; else its default counts. An environment variable that is set but empty counts as unset, and
hides the files' lines.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click
from click.core import ParameterSource

from fproxy.face.settings.declaration import Declaration
from fproxy.face.settings.declared import DECLARATIONS, default_of
from fproxy.face.settings.of_programs import ENV_FILE
from fproxy.face.settings.sources import file_line, file_lines

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_FLAGS: Final = "fproxy.flags"
"""Where a context keeps the settings that were given as flags."""


class Setting(click.Option):
    """An option made of a declaration. If its value is wrong, it says where that was given.

    Args:
        flags: its flags and its name.
        declared: what it is.
    """

    def __init__(self, flags: Sequence[str], *, declared: Declaration) -> None:
        self.declared = declared
        default = default_of(declared)
        if default is not None and not declared.switch:
            default = declared.kind.text(default)
        super().__init__(
            flags,
            envvar=declared.variable,
            show_envvar=True,
            type=declared.kind,
            help=declared.help,
            is_flag=declared.switch or None,
            default=default,
            show_default=default is not None and (declared.negatable or not declared.switch),
        )

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """Return the value as given, and the kind of place where."""
        value, source = super().consume_value(ctx, opts)
        if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT) or self.declared is ENV_FILE:
            return value, source
        line = file_line(file_lines(ctx, opts), self.declared.variable)
        return (value, source) if line is None else (line.value, ParameterSource.DEFAULT_MAP)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return where the value at fault was given: the flag, the variable, or the line of a file."""
        source = ctx.get_parameter_source(self.declared.name) if ctx is not None else None
        if source is ParameterSource.ENVIRONMENT:
            return f"{self.declared.variable} in the environment"
        if source is ParameterSource.DEFAULT_MAP and ctx is not None:
            line = file_lines(ctx)[self.declared.variable]
            return f"{line.name} in {line.place}"
        return f"'{self.opts[0]}'"

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the value parsed, and keep the text of one given as a flag."""
        if ctx.get_parameter_source(self.declared.name) is ParameterSource.COMMANDLINE:
            text = str(int(value)) if isinstance(value, bool) else str(value)
            ctx.meta.setdefault(_FLAGS, {})[self.declared.variable] = text
        return super().process_value(ctx, value)


def settings_of(command: str) -> Decorator:
    """Return a decorator that gives a command its settings, in the order in which they are declared."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for declared in reversed(DECLARATIONS):
            if command in declared.commands:
                flag = declared.flag_text
                flags = f"{flag}/--no-{flag[2:]}" if declared.negatable else flag
                function = click.option(flags, declared.name, cls=Setting, declared=declared)(function)
        return function

    return decorate


def given_flags(ctx: click.Context) -> dict[str, str]:
    """Return the settings given as flags, each as the environment variable that says the same."""
    flags: dict[str, str] = ctx.meta.get(_FLAGS, {})
    return dict(flags)
