"""The keys file: what it may say, what is said of a mistake in it, and how it is read again."""

import asyncio
import logging
import os
import re
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.client_key import ClientKey, TopicPatterns, key_digest
from fproxy.core.slow_client_policy import SlowClientPolicy
from fproxy.face.cli import fproxy
from fproxy.face.file_watch import regularly
from fproxy.face.keys_file import ENTRIES, add_key, read_keys_file
from fproxy.face.keys_watch import KeysWatch
from fproxy.face.settings.config_file import read_config_file
from fproxy.face.settings.declared import DECLARATIONS
from fproxy.face.settings.sources import known_settings
from fproxy.face.settings.toml_file import TomlFileError

DIGEST = key_digest("sesame").hex()
FULL = f"""
# Who may connect.
[keys.alice]
key = "sesame"
topics = ["T.*", "*.AAPL"]
markets = ["stocks"]
max-topics = 10
max-connections = 2
max-unsent-bytes = "1MiB"
slow-client = "conflate"
resume = false
expires = 2027-01-31

[keys."bob@desk-2"]
sha256 = "{key_digest("other").hex().upper()}"
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_settings():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def write(text: str) -> Path:
    path = Path("keys.toml")
    path.write_text(text, encoding="utf-8")
    return path


def test_a_key_has_a_name_a_digest_and_what_it_allows() -> None:
    alice, bob = read_keys_file(write(FULL))
    assert alice.key == ClientKey(
        name="alice",
        digest=key_digest("sesame"),
        topics=TopicPatterns(["T.*", "*.AAPL"]),
        markets=frozenset({"stocks"}),
        max_topics=10,
        max_connections=2,
        max_unsent_bytes=1 << 20,
        slow_client=SlowClientPolicy.CONFLATE,
        resume=False,
    )
    assert bob.key == ClientKey(name="bob@desk-2", digest=key_digest("other"))


def test_a_day_ends_with_its_last_moment_in_utc_and_a_time_is_exact() -> None:
    (alice, bob) = read_keys_file(
        write(
            "[keys.a]\nkey = '1'\nexpires = 2027-01-31\n"
            "[keys.b]\nkey = '2'\nexpires = 2027-01-31T16:00:00-05:00\n"
        )
    )
    assert not alice.at(datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)).expired
    assert alice.at(datetime(2027, 2, 1, tzinfo=UTC)).expired
    assert not bob.at(datetime(2027, 1, 31, 20, 59, 59, tzinfo=UTC)).expired
    assert bob.at(datetime(2027, 1, 31, 21, tzinfo=UTC)).expired


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[keys.a]\nsha256 = '12'\n", "line 2: sha256 must be a string of 64 hexadecimal digits"),
        ("[keys.a]\nkey = 'open sesame'\n", "line 2: key is wrong: the value (not shown)"),
        ("[keys.a]\nkey = 5\n", "line 2: key must be a string"),
        ("[keys.a]\n", "line 1: 'a' must have either key or sha256"),
        (f"[keys.a]\nkey = 'x'\nsha256 = '{DIGEST}'\n", "line 1: 'a' must have either key or sha256"),
        ("[keys.'a b']\nkey = 'x'\n", "line 1: 'a b' is not a name of letters"),
        (f"[keys.{'a' * 65}]\nkey = 'x'\n", "of at most 64 characters"),
        ("[keys]\na = 'x'\n", "line 2: 'a' must be a table such as [keys.a]"),
        ("keys = 1\n", "line 1: 'keys' must hold tables"),
        ("[alice]\nkey = 'x'\n", "line 1: 'alice' is not known; a key is a table such as [keys.alice]"),
        (
            "[keys.a]\nkey = 'x'\ntopic = ['T.*']\n",
            "line 3: 'topic' is not known; allowed are key, sha256, topics",
        ),
        ("[keys.a]\nkey = 'x'\ntopics = 'T.*'\n", "line 3: topics must be an array of strings"),
        (
            "[keys.a]\nkey = 'x'\ntopics = [\n 'T .*']\n",
            "line 3: topics holds 'T .*', which is not a pattern",
        ),
        ("[keys.a]\nkey = 'x'\nmarkets = ['stock']\n", "line 3: markets holds 'stock', which is no market"),
        (
            "[keys.a]\nkey = 'x'\nmax-topics = 0\n",
            "line 3: max-topics is wrong: '0' is not a whole number from 1",
        ),
        ("[keys.a]\nkey = 'x'\nmax-topics = true\n", "line 3: max-topics must be a whole number from 1"),
        (
            "[keys.a]\nkey = 'x'\nslow-client = 'wait'\n",
            "line 3: slow-client is wrong: 'wait' is not one of disconnect, drop, conflate, block",
        ),
        (
            "[keys.a]\nkey = 'x'\nmax-unsent-bytes = '1'\n",
            "line 3: max-unsent-bytes is wrong: '1' is not a size",
        ),
        ("[keys.a]\nkey = 'x'\nresume = 'no'\n", "line 3: resume must be true or false"),
        (
            "[keys.a]\nkey = 'x'\nexpires = '2027-01-31'\n",
            "line 3: expires must be a date such as 2027-01-31",
        ),
        ("[keys.a]\nkey = 'x'\n\n[keys.b]\nkey = 'x'\n", "line 4: 'b' has the same key as 'a'"),
        ("[keys.a]\nkey = 'x'\n[keys.a]\n", "is not TOML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_without_the_key(text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(TomlFileError) as caught:
        read_keys_file(path)
    assert message in str(caught.value)
    assert "keys.toml" in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_a_broken_file_is_refused_at_the_start() -> None:
    write("[keys.a]\nsha256 = 'x'\n")
    for command in ([], ["--workers", "2"], ["stack"]):
        result = CliRunner().invoke(fproxy, [*command, "--keys-file", "keys.toml", "--polygon-api-key", "k"])
        assert result.exit_code == 2
        assert "keys.toml, line 2: sha256 must be" in result.output


def test_any_key_and_a_keys_file_do_not_go_together() -> None:
    write(FULL)
    result = CliRunner().invoke(fproxy, ["--keys-file", "keys.toml", "--client-keys", "*"])
    assert result.exit_code == 2
    assert "--client-keys * accepts any key" in result.output


_words = st.sampled_from(
    [
        "keys",
        "alice",
        "key",
        "sha256",
        "topics",
        "expires",
        "markets",
        "[",
        "]",
        "[[",
        "=",
        ".",
        "'",
        '"',
        "\n",
        " ",
    ]
)
_values = st.sampled_from(
    ["'x'", "5", "true", "2027-01-31", "['T.*']", "[1]", "{}", "''", "1e400", "'a,b'", "-1", "nan", "[['T']]"]
)


def refusal_of(read: Callable[[Path], Any], path: Path) -> str | None:
    """What is said of a file that cannot be used; None for one that can."""
    try:
        read(path)
    except TomlFileError as error:
        return str(error)
    return None


@given(st.lists(st.one_of(_words, _values), max_size=25).map("".join))
def test_whatever_a_file_says_it_is_taken_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_text(text, encoding="utf-8")
    for read in (read_keys_file, partial(read_config_file, declarations=DECLARATIONS)):
        refusal = refusal_of(read, path)
        assert refusal is None or str(path) in refusal


@given(st.dictionaries(st.sampled_from(sorted(ENTRIES)), _values, min_size=1))
def test_whatever_a_key_has_it_is_taken_or_refused_with_its_line(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_text("[keys.a]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items()))
    refusal = refusal_of(read_keys_file, path)
    assert refusal is None or re.search(r"fuzzed\.toml, line \d+: ", refusal)


# fproxy keys add


def test_a_key_is_made_printed_once_and_kept_as_its_digest() -> None:
    for name in ("alice", "bob.2"):
        result = CliRunner().invoke(fproxy, ["keys", "add", name])
        assert result.exit_code == 0, result.output
        key = result.stdout.strip()
        assert len(key) >= 40
        text = Path("keys.toml").read_text()
        assert key not in text
        found = {file_key.key.name: file_key.key for file_key in read_keys_file(Path("keys.toml"))}
        assert found[name] == ClientKey(name=name, digest=key_digest(key))
    assert stat.S_IMODE(Path("keys.toml").stat().st_mode) == 0o600


def test_adding_a_key_leaves_the_others_as_they_are() -> None:
    path = write(FULL.rstrip("\n"))
    path.chmod(0o640)
    key = add_key(path, "carol")
    assert path.read_text().startswith(FULL.rstrip("\n"))
    assert [file_key.key.name for file_key in read_keys_file(path)] == ["alice", "bob@desk-2", "carol"]
    assert read_keys_file(path)[2].key.digest == key_digest(key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alice"], "keys.toml has a key named 'alice' already"),
        (["a b"], "'a b' is not a name of letters"),
        (["carol", "--keys-file", "missing/keys.toml"], "cannot write missing/keys.toml: No such file"),
    ],
)
def test_a_key_that_cannot_be_added_is_refused(arguments: list[str], message: str) -> None:
    path = write(FULL)
    result = CliRunner().invoke(fproxy, ["keys", "add", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert path.read_text() == FULL


def test_a_symbolic_link_to_the_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "keys.toml").write_text(FULL)
    link = tmp_path / "keys.toml"
    link.symlink_to("there/keys.toml")
    add_key(link, "carol")
    assert link.is_symlink()
    assert len(read_keys_file(tmp_path / "there" / "keys.toml")) == 3


def test_a_file_that_takes_no_table_at_its_end_is_left_as_it_is(tmp_path: Path) -> None:
    path = write('keys = { alice = { key = "sesame" } }\n')
    with pytest.raises(TomlFileError, match=r"keys\.toml takes no table at its end"):
        add_key(path, "carol")
    assert path.read_text() == 'keys = { alice = { key = "sesame" } }\n'
    assert [found.name for found in tmp_path.iterdir()] == ["keys.toml"]


def test_of_keys_that_are_added_at_the_same_time_none_is_lost(tmp_path: Path) -> None:
    names = [f"client-{number}" for number in range(16)]
    with ThreadPoolExecutor(len(names)) as pool:
        keys = list(pool.map(partial(add_key, tmp_path / "keys.toml"), names))
    found = read_keys_file(tmp_path / "keys.toml")
    assert {file_key.key.name for file_key in found} == set(names)
    assert {file_key.key.digest for file_key in found} == set(map(key_digest, keys))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_root_leaves_the_file_to_whom_it_belongs_to() -> None:
    path = write(FULL)
    os.chown(path, 12345, 12346)
    add_key(path, "carol")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keys = " + "[" * 100_000, "something in it is nested too deeply"),
        ("a." * 3_000 + "b = 1", "something in it is nested too deeply"),
        ("[keys.a]\nkey = 'x'\nmax-topics = " + "9" * 5_000, "a number in it has too many digits"),
    ],
)
def test_what_the_parser_gives_up_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(TomlFileError, match=f"keys.toml cannot be used: {message}"):
        read_keys_file(write(text))


# While the program runs


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_instead_of_waited_for(make: Callable[[Path], None]) -> None:
    make(Path("keys.toml"))
    with pytest.raises(TomlFileError, match=r"cannot read keys\.toml: it is no file that can be read again"):
        read_keys_file(Path("keys.toml"))


async def test_a_watch_that_fails_is_asked_again() -> None:
    asked = asyncio.Event()
    again = asyncio.Event()

    class Failing:
        def look(self) -> None:
            (again if asked.is_set() else asked).set()
            raise RuntimeError("as nobody expects")

        def read_again(self) -> None:
            raise AssertionError

    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    with regularly([Failing()], interval=0.001):
        await asyncio.wait_for(again.wait(), 10)


def test_a_changed_file_is_applied_and_a_broken_one_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = write(FULL)
    applied: list[list[str]] = []
    watch = KeysWatch(path, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    watch.apply = lambda keys: applied.append([key.name for key in keys])
    watch.look()
    assert applied == []
    write(FULL + "[keys.carol]\nkey = 'third'\n")
    watch.look()
    assert applied == [["alice", "bob@desk-2", "carol"]]
    assert "3 keys; new: carol; gone: none" in caplog.text
    write("[keys.alice]\nkey = 'sesame'\nexpires = 5\n")
    watch.look()
    watch.read_again()
    path.unlink()
    watch.look()
    assert len(applied) == 1
    assert "The keys stay as they were: keys.toml, line 3: expires must be a date" in caplog.text
    assert "The keys stay as they were: cannot read keys.toml: No such file" in caplog.text
    write("[keys.alice]\nkey = 'sesame'\n")
    watch.look()
    assert applied[-1] == ["alice"]


def test_a_key_whose_time_is_over_is_applied_as_expired() -> None:
    now = datetime(2027, 1, 31, tzinfo=UTC)
    applied: list[list[bool]] = []
    watch = KeysWatch(write(FULL), lambda: now)
    watch.apply = lambda keys: applied.append([key.expired for key in keys])
    watch.look()
    assert applied == []
    now += timedelta(days=1)
    watch.look()
    watch.look()
    assert applied == [[True, False]]
