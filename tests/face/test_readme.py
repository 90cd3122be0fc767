"""The README against the program: its tables of settings, its commands, its examples."""

import re
from pathlib import Path

import pytest

from fproxy.face.cli import fproxy
from fproxy.face.settings.reference import file_reference

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def settings() -> str:
    return (README.parent / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def readme() -> str:
    return README.read_text(encoding="utf-8")


def test_the_page_of_settings_is_what_the_declarations_make(settings: str) -> None:
    text = settings
    assert file_reference() == text, "run python -m fproxy.face.settings.reference"


def test_every_setting_of_every_command_has_its_row(settings: str) -> None:
    for command in fproxy.commands.values():
        for option in command.params:
            if option.envvar:
                assert f"| `{option.opts[0]}` | `{option.envvar}` |" in settings


def test_every_command_is_told_of(readme: str) -> None:
    for name in fproxy.commands:
        assert name == "proxy" or f"`fproxy {name}`" in readme


def test_the_quick_start_and_the_tests_are_one_command_each(readme: str) -> None:
    commands = re.findall(r"^python3 -m venv .*$", readme, flags=re.MULTILINE)
    assert commands[:2] == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/fproxy demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest -n 3",
    ]


def test_the_python_examples_compile(readme: str) -> None:
    examples = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert len(examples) >= 2
    for example in examples:
        compile(example, str(README), "exec")
