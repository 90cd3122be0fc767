"""The kinds of value a setting can have: how each is written, and what is said of a wrong one.

Every message says what is allowed. The message about a secret never repeats it.
"""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fproxy.core.slow_client_policy import SlowClientPolicy
from fproxy.roles.settings import ANY_KEY

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:  # Generic only since click 8.4.
    ParamType = click.ParamType

_SIZE_UNITS: Final = {
    "": 1,
    "B": 1,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
    "TIB": 1024**4,
    "KB": 1000,
    "MB": 10**6,
    "GB": 10**9,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_SECONDS = re.compile(r"(.*?)\s*(ms|s|m)?")
_SECONDS_UNITS: Final = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0}


class ValueType(ParamType):
    """A kind of value: how a text becomes one, and how one is written."""

    takes_many = False
    """Whether it is several values, separated by commas."""

    allowed = "any text"
    """What it may be, for messages and the documentation."""

    def text(self, value: Any) -> str:
        """Return a value as it is written: what ``convert`` makes that value of."""
        return str(value)


class OnOff(click.types.BoolParamType, ValueType):
    """Yes or no, in any of the usual words."""

    name = "on|off"
    allowed = "on or off"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """Return whether it is on, or fail saying how that is written."""
        text = str(value).strip().lower()
        if text not in ("1", "0", "true", "false", "t", "f", "yes", "no", "y", "n", "on", "off"):
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return text in ("1", "true", "t", "yes", "y", "on")

    def text(self, value: Any) -> str:
        """Return ``on`` or ``off``."""
        return "on" if value else "off"


class FilePath(ValueType):
    """The path of a file."""

    name = "file"
    allowed = "the path of a file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value``, or fail when a directory has that name."""
        if Path(value).is_dir():
            self.fail(f"{value!r} is a directory, not a file", param, ctx)
        return str(value)


class FolderPath(ValueType):
    """The path of a directory."""

    name = "directory"
    allowed = "the path of a directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value``, or fail when something else has that name."""
        if Path(value).exists() and not Path(value).is_dir():
            self.fail(f"{value!r} is not a directory", param, ctx)
        return str(value)


class WholeNumber(ValueType):
    """A whole number within limits."""

    name = "number"

    def __init__(self, least: int, most: int, note: str = "") -> None:
        self._least = least
        self._most = most
        self.allowed = f"a whole number from {least} to {most}{note}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return ``value`` as a number, or fail saying which are allowed."""
        try:
            number = int(value)
        except ValueError:
            number = None
        if number is None or not self._least <= number <= self._most:
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return number


class CloseCode(ValueType):
    """A WebSocket close code with which clients may be let go."""

    name = "code"
    codes: Final = (1001, 1012)
    allowed = "one of 1001, 1012"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the code, or fail saying which there are."""
        text = str(value).strip()
        if text not in map(str, self.codes):
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return int(text)


class Port(WholeNumber):
    """A TCP port."""

    name = "port"

    def __init__(self) -> None:
        super().__init__(0, 65535, " (0: let the system choose a free one)")


class Number(ValueType):
    """A finite number, not negative (and not zero, unless that is allowed)."""

    name = "number"
    _what = "a number"

    def __init__(self, *, zero: str | None = None, most: float = 1e9) -> None:
        self._zero = zero
        self._most = most
        self.allowed = f"{self._what} above 0 and up to {most:g}" + (f", or 0 {zero}" if zero else "")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return ``value`` as a number, or fail saying which are allowed."""
        number = self._number(value)
        if (
            number is None
            or not math.isfinite(number)
            or not 0 <= number <= self._most
            or (not number and not self._zero)
        ):
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return number

    def text(self, value: Any) -> str:
        """Return the number without a fraction of zero."""
        return f"{value:.15g}"

    def _number(self, value: Any) -> float | None:
        try:
            return float(value)
        except ValueError:
            return None


class Seconds(Number):
    """A length of time: a number of seconds, or a number with its unit (``500ms``, ``10s``, ``2m``)."""

    name = "seconds"
    _what = "a number of seconds (or 500ms, 10s, 2m)"

    def __init__(self, *, zero: str | None = None, most: float = 86_400.0) -> None:
        super().__init__(zero=zero, most=most)

    def _number(self, value: Any) -> float | None:
        match = _SECONDS.fullmatch(str(value).strip())
        number = super()._number(match[1]) if match else None
        return None if match is None or number is None else number * _SECONDS_UNITS[match[2]]


class ByteSize(ValueType):
    """A number of bytes, with or without a unit (``65536``, ``64KiB``, ``16MiB``)."""

    name = "size"

    def __init__(self, least: int, most: int = 2**40) -> None:
        self._least = least
        self._most = most
        self.allowed = f"a size such as 65536, 64KiB or 16MiB, from {size_text(least)} to {size_text(most)}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return ``value`` in bytes, or fail saying which sizes are allowed."""
        match = _SIZE.fullmatch(str(value).strip())
        unit = _SIZE_UNITS.get(match[2].upper()) if match else None
        size = int(float(match[1]) * unit) if match and unit else -1
        if not self._least <= size <= self._most:
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return size

    def text(self, value: Any) -> str:
        """Return the size with its unit."""
        return size_text(value)


def size_text(size: int) -> str:
    """Return a number of bytes with the largest unit that leaves it whole: ``16MiB``, ``1500B``."""
    for unit, name in ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return f"{size}B"


class Secret(ValueType):
    """One secret: a text without white space or control characters."""

    name = "key"
    allowed = "a text without white space"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value``, or fail without repeating it."""
        secret = str(value).strip()
        if not secret or not secret.isprintable() or " " in secret:
            self.fail(
                "the value (not shown) is empty or holds white space or a control character", param, ctx
            )
        return secret


class SecretList(ValueType):
    """Secrets separated by commas; ``*`` alone stands for any."""

    name = "keys"
    allowed = "KEY or KEY,KEY,... or * alone"
    takes_many = True

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the secrets, or fail without repeating them."""
        if isinstance(value, tuple):
            return value
        secrets = tuple(secret.strip() for secret in value.split(","))
        if not all(secret and secret.isprintable() and " " not in secret for secret in secrets):
            self.fail(
                "the value (not shown) has a key that is empty or holds white space or a control character; "
                f"allowed is {self.allowed}",
                param,
                ctx,
            )
        if ANY_KEY in secrets and len(secrets) > 1:
            self.fail("* accepts any key and must stand alone, without other keys", param, ctx)
        return secrets


class LogLevel(ValueType):
    """The least severe kind of line to log, in any case."""

    name = "level"
    levels: Final = ("debug", "info", "warning", "error")
    allowed = "one of debug, info, warning, error"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the level in lower case, or fail saying which there are."""
        level = str(value).strip().lower()
        level = {"warn": "warning", "critical": "error"}.get(level, level)
        if level not in self.levels:
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return level


class SlowClient(ValueType):
    """What becomes of clients that lag."""

    name = "policy"
    allowed = f"one of {', '.join(policy.value for policy in SlowClientPolicy)}"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> SlowClientPolicy:
        """Return the policy, or fail saying which there are."""
        try:
            return SlowClientPolicy(str(value).strip().lower())
        except ValueError:
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)

    def text(self, value: SlowClientPolicy) -> str:
        """Return the policy's name."""
        return value.value


class LogFormat(ValueType):
    """How the log is written."""

    name = "format"
    allowed = "one of text, bare, json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the format in lower case, or fail saying which there are."""
        log_format = str(value).strip().lower()
        if log_format not in ("text", "bare", "json"):
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return log_format
