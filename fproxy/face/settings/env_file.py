"""The lines of a ``.env`` file, and the names in it and in the environment that mean nothing here."""

import difflib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from dotenv import dotenv_values
from dotenv.parser import parse_stream

OWN_PREFIX: Final = "FPROXY_"
"""Every variable whose name starts so is meant for this program: one that it does not know is a mistake."""


class EnvFileError(ValueError):
    """A ``.env`` file cannot be used; the message names the file and line, and repeats none of its text."""


class Line(NamedTuple):
    """One setting as a file gives it.

    Attributes:
        value: what the line sets, without quotes.
        name: what the file calls the setting.
        place: the file and line, for messages.
    """

    value: str
    name: str
    place: str


def read_env_file(path: Path) -> dict[str, Line]:
    """Read a ``.env`` file in the syntax of python-dotenv; of two lines for one name the later counts.

    Raises:
        EnvFileError: the file cannot be read, is not UTF-8, or has a line that is not ``NAME=value``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise EnvFileError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EnvFileError(f"{path} is not UTF-8 text (at byte {error.start})") from None
    places: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        # A binding starts with the blank lines before it.
        blank = binding.original.string[: -len(binding.original.string.lstrip()) or None]
        place = f"{path}, line {binding.original.line + blank.count(chr(10))}"
        if binding.error or (binding.key is not None and binding.value is None):
            raise EnvFileError(f"{place}: not of the form NAME=value")
        if binding.key is not None:
            places[binding.key] = place
    values = dotenv_values(stream=io.StringIO(text))
    return {name: Line(values[name] or "", name, place) for name, place in places.items()}


def unknown_names(names: Iterable[str], known: Iterable[str]) -> list[tuple[str, str | None]]:
    """Return the names meant for this program but unknown to it, each with the likeliest known one."""
    candidates = sorted(known)
    unknown = sorted(name for name in names if name.startswith(OWN_PREFIX) and name not in candidates)
    return [(name, next(iter(difflib.get_close_matches(name, candidates, n=1)), None)) for name in unknown]


def unknown_setting_warnings(
    environment: Mapping[str, str], env_lines: Mapping[str, Line], known: Iterable[str]
) -> list[str]:
    """Return a sentence about each variable and ``.env`` line meant for this program but unknown to it."""
    candidates = list(known)
    sentences = []
    places = {name: line.place for name, line in env_lines.items()}
    for named in (dict.fromkeys(environment, "the environment"), places):
        for name, likeliest in unknown_names(named, candidates):
            hint = f"; did you mean {likeliest}?" if likeliest else ""
            sentences.append(f"Unknown setting {name} ({named[name]}) has no effect{hint}")
    return sentences
