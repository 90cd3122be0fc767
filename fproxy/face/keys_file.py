"""The keys file: who may connect, and what each may do. Read, checked, and added to."""

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final

import click

from fproxy.core.client_key import MAX_NAME_LENGTH, ClientKey, TopicPatterns, key_digest
from fproxy.core.market import MARKETS
from fproxy.face.settings.kinds import ByteSize, Secret, SlowClient, ValueType, WholeNumber
from fproxy.face.settings.toml_file import TomlFile, TomlFileError, read_toml_file

_KEYS: Final = "keys"
_NAME: Final = re.compile(r"[A-Za-z0-9._@-]+")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_PATTERN: Final = re.compile(r"[^\s,\"\\]+")

KEY_BYTES: Final = 32
"""How many random bytes a new key is made of."""


@dataclass(frozen=True, slots=True)
class FileKey:
    """A key as the file has it.

    Attributes:
        key: what it allows.
        expires: when its time is over; None for never.
    """

    key: ClientKey
    expires: datetime | None = None

    def at(self, now: datetime) -> ClientKey:
        """Return the key as it is at a time."""
        return replace(self.key, expired=self.expires is not None and self.expires <= now)


def read_keys_file(path: Path) -> tuple[FileKey, ...]:
    """Read a keys file.

    Raises:
        TomlFileError: it cannot be used; the message names the file and the line, and shows no key.
    """
    # Whoever reads a pipe again would wait for what is written to it.
    if path.exists() and not path.is_file():
        raise TomlFileError(f"cannot read {path}: it is no file that can be read again")
    file = read_toml_file(path)
    for key in file.values:
        if key != _KEYS:
            raise TomlFileError(
                f"{file.place(key)}: {key!r} is not known; a key is a table such as [keys.alice]"
            )
    tables = file.values.get(_KEYS, {})
    if not isinstance(tables, dict):
        raise TomlFileError(f"{file.place(_KEYS)}: 'keys' must hold tables such as [keys.alice]")
    keys = tuple(_file_key(file, name, table) for name, table in tables.items())
    seen: dict[bytes, str] = {}
    for file_key in keys:
        other = seen.setdefault(file_key.key.digest, file_key.key.name)
        if other != file_key.key.name:
            place = file.place(_KEYS, file_key.key.name)
            raise TomlFileError(f"{place}: {file_key.key.name!r} has the same key as {other!r}")
    return keys


def new_key() -> str:
    """Return a new key, of 32 random bytes."""
    return secrets.token_urlsafe(KEY_BYTES)


def add_key(path: Path, name: str) -> str:
    """Make a new key, add its SHA-256 to a keys file under a name, and return the key. The file is made if need be.

    Raises:
        TomlFileError: the file cannot be used or written, or has that name already; or the name is not one.
    """
    if not _is_name(name):
        raise TomlFileError(f"{name!r} is not {_NAMES}")
    target = Path(os.path.realpath(path))  # a symbolic link goes on leading to it
    try:
        with _one_at_a_time(target.parent):
            return _add_key(path, target, name)
    except OSError as error:
        raise TomlFileError(f"cannot write {path}: {error.strerror}") from error


def _add_key(path: Path, target: Path, name: str) -> str:
    before, mode, owner = "", 0o600, None
    if target.exists():
        if _has_key(path, name):
            raise TomlFileError(f"{path} has a key named {name!r} already")
        before = target.read_text(encoding="utf-8-sig")
        owner = target.stat()
        mode = stat.S_IMODE(owner.st_mode)
    key = new_key()
    quoted = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
    gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
    text = f'{before}{gap}[keys.{quoted}]\nsha256 = "{key_digest(key).hex()}"\n'
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
        if not _takes_key(fresh, name):
            raise TomlFileError(
                f"{path} takes no table at its end: write what it has as tables such as [keys.alice], first"
            )
        fresh.chmod(mode)
        if owner is not None:
            with suppress(PermissionError):  # root gives it back to whom it belongs to; others may not
                os.chown(fresh, owner.st_uid, owner.st_gid)
        fresh.replace(target)  # at once: whoever reads it meanwhile finds the old one whole, or the new one
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return key


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until nobody else adds a key to a file in a folder: of two that write what they have read, one is lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # as on a network's file system, which may have no such locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _has_key(path: Path, name: str) -> bool:
    return any(file_key.key.name == name for file_key in read_keys_file(path))


def _takes_key(path: Path, name: str) -> bool:
    try:
        return _has_key(path, name)
    except TomlFileError:
        return False


_NAMES: Final = (
    f"a name of letters, digits, dots, dashes, underscores and @, of at most {MAX_NAME_LENGTH} characters"
)


def _is_name(name: str) -> bool:
    return len(name) <= MAX_NAME_LENGTH and _NAME.fullmatch(name) is not None


def _file_key(file: TomlFile, name: str, table: Any) -> FileKey:
    where = (_KEYS, name)
    if not _is_name(name):
        raise TomlFileError(f"{file.place(*where)}: {name!r} is not {_NAMES}")
    if not isinstance(table, dict):
        raise TomlFileError(f"{file.place(*where)}: {name!r} must be a table such as [keys.{name}]")
    values: dict[str, Any] = {}
    for entry, value in table.items():
        if entry not in ENTRIES:
            known = ", ".join(ENTRIES)
            raise TomlFileError(f"{file.place(*where, entry)}: {entry!r} is not known; allowed are {known}")
        try:
            field, values_of = ENTRIES[entry]
            values[field] = values_of(value)
        except ValueError as error:
            raise TomlFileError(f"{file.place(*where, entry)}: {entry} {error}") from None
    if sum(entry in table for entry in ("key", "sha256")) != 1:
        raise TomlFileError(f"{file.place(*where)}: {name!r} must have either key or sha256")
    expires = values.pop("expires", None)
    return FileKey(ClientKey(name=name, **values), expires)


def _checked(kind: ValueType) -> Callable[[Any], Any]:
    def value_of(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ValueError(f"must be {kind.allowed}")
        try:
            return kind.convert(str(value), None, None)
        except click.BadParameter as error:
            raise ValueError(f"is wrong: {error.message}") from None

    return value_of


def _digest_of_key(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    try:
        return key_digest(Secret().convert(value, None, None))
    except click.BadParameter as error:
        raise ValueError(f"is wrong: {error.message}") from None


def _digest(value: Any) -> bytes:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("must be a string of 64 hexadecimal digits")
    return bytes.fromhex(value)


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("must be an array of strings")
    return value


def _patterns(value: Any) -> TopicPatterns:
    for text in _texts(value):
        if not _PATTERN.fullmatch(text):
            raise ValueError(f'holds {text!r}, which is not a pattern of topics such as "T.*" or "*.AAPL"')
    return TopicPatterns(value)


def _markets(value: Any) -> frozenset[str]:
    for text in _texts(value):
        if text not in MARKETS:
            raise ValueError(f"holds {text!r}, which is no market; allowed are {', '.join(MARKETS)}")
    return frozenset(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _time(value: Any) -> datetime:
    """Return when something ends: at a time, which is UTC unless it says otherwise, or with the end of a day in UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time.max, UTC)
    raise ValueError(
        "must be a date such as 2027-01-31, or a time such as 2027-01-31T16:00:00Z, without quotes"
    )


ENTRIES: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "key": ("digest", _digest_of_key),
    "sha256": ("digest", _digest),
    "topics": ("topics", _patterns),
    "markets": ("markets", _markets),
    "max-topics": ("max_topics", _checked(WholeNumber(1, 10**7))),
    "max-connections": ("max_connections", _checked(WholeNumber(1, 10**6))),
    "max-unsent-bytes": ("max_unsent_bytes", _checked(ByteSize(64 * 1024))),
    "slow-client": ("slow_client", _checked(SlowClient())),
    "resume": ("resume", _flag),
    "expires": ("expires", _time),
}
"""What a key's table may have: for each entry the field that it fills, and what makes its value, or a ValueError."""
