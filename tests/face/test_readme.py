"""The README against the program: its tables of settings, its commands, its examples."""

import re
from pathlib import Path

import click
import pytest

from fproxy.face.cli import fproxy
from fproxy.face.settings import Setting
from fproxy.metrics import Metrics

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def readme() -> str:
    return README.read_text(encoding="utf-8")


def row(option: Setting) -> str:
    """Return the line of a Markdown table that tells of one setting."""
    default = "" if option.default is None or option.show_default is False else f"`{option.default}`"
    if option.is_flag:
        default = "off"
    return f"| `{option.opts[0]}` | `{option.envvar}` | {default} | {option.help} |"


def settings_of(command: click.Command) -> list[Setting]:
    return [option for option in command.params if isinstance(option, Setting)]


@pytest.mark.parametrize("name", sorted(fproxy.commands))
def test_every_setting_of_every_command_has_its_row(name: str, readme: str) -> None:
    lines = set(readme.splitlines())
    missing = [row(option) for option in settings_of(fproxy.commands[name]) if row(option) not in lines]
    assert not missing, "\n".join(["rows that README.md lacks:", *missing])


def test_no_row_tells_of_a_setting_that_is_not_there(readme: str) -> None:
    rows = {row(option) for command in fproxy.commands.values() for option in settings_of(command)}
    stale = [line for line in readme.splitlines() if line.startswith("| `--") and line not in rows]
    assert not stale, "\n".join(["rows that are out of date:", *stale])


def test_every_command_is_told_of(readme: str) -> None:
    for name in fproxy.commands:
        assert name == "proxy" or f"`fproxy {name}`" in readme


def test_every_metric_is_told_of(readme: str) -> None:
    names = {family.name for family in Metrics().registry.collect()}
    assert names
    for name in names:
        assert f"`{name}`" in readme or f"`{name}_total`" in readme, name


def test_the_quick_start_and_the_tests_are_one_command_each(readme: str) -> None:
    commands = re.findall(r"^python3 -m venv .*$", readme, flags=re.MULTILINE)
    assert commands[:2] == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/fproxy demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest",
    ]


def test_the_python_examples_compile(readme: str) -> None:
    examples = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert len(examples) >= 2
    for example in examples:
        compile(example, str(README), "exec")
