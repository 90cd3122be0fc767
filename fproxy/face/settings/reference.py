"""The documentation of the settings, written from their declarations: ``python -m fproxy.face.settings.reference``.

It writes ``docs/settings.md`` of the directory that it is run in.
"""

import textwrap
from pathlib import Path
from typing import Final

import click

from fproxy.core.market import MARKETS
from fproxy.face.settings.commands import ALL
from fproxy.face.settings.declaration import Declaration
from fproxy.face.settings.declared import DECLARATIONS, default_of
from fproxy.face.settings.kinds import CloseCode, Number, OnOff, WholeNumber
from fproxy.face.settings.of_clients import CLIENT_SETTINGS
from fproxy.face.settings.of_programs import (
    ADMIN_SETTINGS,
    GENERAL_SETTINGS,
    SIMULATION_SETTINGS,
    TAIL_SETTINGS,
)
from fproxy.face.settings.of_roles import ROLE_SETTINGS
from fproxy.face.settings.of_upstreams import UPSTREAM_SETTINGS

_TABLE_HEAD: Final = "| flag | variable | default | commands | meaning |\n| --- | --- | --- | --- | --- |\n"

_SECTIONS: Final = (
    ("What each command does (`proxy` is `fproxy` without a command):", ROLE_SETTINGS),
    ("Clients, and who may be one:", CLIENT_SETTINGS),
    ("Upstreams:", UPSTREAM_SETTINGS),
    ("The simulated market:", SIMULATION_SETTINGS),
    (
        "The terminal client, beside `--json` (each event exactly as it came, one a line), `--count` and `--no-retry`:",
        TAIL_SETTINGS,
    ),
    ("For those who operate it, and `fproxy top`:", ADMIN_SETTINGS),
    ("The program itself:", GENERAL_SETTINGS),
)
"""The tables, each with what introduces it."""

_FILE_HEAD: Final = """\
# Settings

Written by `python -m fproxy.face.settings.reference`.

A setting is looked for as a flag, then as an environment variable, then as a line of `.env`, then in the configuration
file that `--config fproxy.toml` or `FPROXY_CONFIG` names. A variable that is set but empty counts as unset, and hides
the files.

{tables}
## The configuration file

TOML. A key is a flag without its dashes, except where commands have the same flag for different things
(`firehose-port`). Numbers and sizes may be numbers or strings (`"64MiB"`, `"500ms"`), lists may be arrays. A key that
is no setting is refused, with its line and the likely name, and so is a wrong value. Settings of other commands are
passed over, so one file serves all roles.

A setting that each market may have for itself can be given in a table of that market, `[market.options]`, or with the
market behind the variable's name, `FIREHOSE_URL_OPTIONS`. The plain one is that of stocks. Other markets have its URLs
with their own paths, and all the rest as it is.

All of it, with the defaults:

```toml
"""


def row(declared: Declaration) -> str:
    """Return the line of a Markdown table that tells of one setting."""
    value = default_of(declared)
    default = "" if value is None else f"`{declared.kind.text(value)}`"
    cells = (f"`{declared.flag_text}`", f"`{declared.variable}`", default, _commands(declared), declared.help)
    return f"| {' | '.join(cells)} |\n"


def _commands(declared: Declaration) -> str:
    others = [command for command in ALL if command not in declared.commands]
    if len(others) < len(declared.commands):
        return f"all but {', '.join(others)}" if others else "all"
    return ", ".join(declared.commands)


def tables() -> str:
    """Return the tables of settings, one for each subject."""
    return "\n".join(f"{title}\n\n{_TABLE_HEAD}{''.join(map(row, group))}" for title, group in _SECTIONS)


def file_reference() -> str:
    """Return ``docs/settings.md``."""
    keys = {declared.file_key: declared for declared in DECLARATIONS if declared.in_files}
    plain = "\n".join(_key(declared) for declared in keys.values())
    of_markets = (declared for declared in keys.values() if declared.per_market)
    table = "".join(f"#{declared.file_key} = {_value(declared)}\n" for declared in of_markets)
    head = _FILE_HEAD.replace("{tables}", tables())
    return f"{head}{plain}\n# What a market may have for itself.\n#[market.options]\n{table}```\n"


def _key(declared: Declaration) -> str:
    commands = ", ".join(
        "fproxy" if command == "proxy" else f"fproxy {command}" for command in declared.commands
    )
    allowed = declared.kind.allowed
    comments = [declared.help, f"{allowed[0].upper()}{allowed[1:]}.", f"{declared.variable}; {commands}."]
    if declared.per_market:
        comments.append(
            f"A market may have its own: {declared.market_variable(MARKETS['options'])}, [market.options]."
        )
    lines = (line for comment in comments for line in textwrap.wrap(comment, 118))
    return "".join(f"# {line}\n" for line in lines) + f"#{declared.file_key} = {_value(declared)}\n"


def _value(declared: Declaration) -> str:
    """Return a setting's default as TOML; an empty string for none."""
    value = default_of(declared)
    if value is None:
        return '""'
    if isinstance(declared.kind, OnOff):
        return "true" if value else "false"
    text = declared.kind.text(value)
    is_number = isinstance(declared.kind, (WholeNumber, Number, CloseCode))
    return text if is_number else f'"{text}"'


@click.command()
def main() -> None:
    """Write docs/settings.md again."""
    Path("docs/settings.md").write_text(file_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
