"""``fproxy keys``: the keys file from the command line."""

import sys
from pathlib import Path
from typing import Any

import click

from fproxy.face.keys_file import add_key
from fproxy.face.settings.options import settings_of
from fproxy.face.settings.toml_file import TomlFileError

DEFAULT_PATH = "keys.toml"


@click.group(short_help="Make keys for clients.")
def keys() -> None:
    """Make keys for clients: see --keys-file."""


@keys.command("add", short_help="Make a key, and print it once.")
@click.argument("name")
@settings_of("keys add")
def add(name: str, **values: Any) -> None:
    """Make a key for NAME, add its SHA-256 to the keys file, and print the key: it is written nowhere else.

    A running fproxy that uses the file accepts the key within a second. Without --keys-file the file is keys.toml.
    """
    path = Path(values["keys_file"] or DEFAULT_PATH)
    try:
        key = add_key(path, name)
    except TomlFileError as error:
        raise click.UsageError(str(error)) from error
    click.echo(key)
    if sys.stdout.isatty():
        click.echo(
            f"This is the only time that the key of {name} is shown; {path} holds its SHA-256.", err=True
        )
