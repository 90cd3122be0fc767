"""The configuration file: every setting in TOML, and each mistake in it told with its line."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from fproxy.core.market import MARKETS
from fproxy.face.cli import fproxy
from fproxy.face.settings.built import filtered_proxy_settings
from fproxy.face.settings.declared import DECLARATIONS
from fproxy.face.settings.options import settings_of
from fproxy.face.settings.reference import file_reference
from fproxy.face.settings.sources import known_settings, market_values, read_again
from fproxy.face.settings.toml_file import read_toml_file

Parse = Callable[..., Any]


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no setting in the environment and no file in the current directory."""
    for name in known_settings():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def in_context(use: Callable[[click.Context, dict[str, Any]], Any], *arguments: str) -> Any:
    """Return what ``use`` makes of the filtered proxy's context and values."""
    seen: list[Any] = []

    @click.command("proxy")
    @settings_of("proxy")
    @click.pass_context
    def command(ctx: click.Context, /, **values: Any) -> None:
        seen.append(use(ctx, values))

    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen[0]


def parsed(*arguments: str) -> Any:
    return in_context(lambda _, values: filtered_proxy_settings(values), *arguments)


def write(text: str, name: str = "fproxy.toml") -> None:
    Path(name).write_text(text, encoding="utf-8")


def error_of(text: str, *arguments: str) -> str:
    write(text)
    result: Result = CliRunner().invoke(fproxy, ["--config", "fproxy.toml", *arguments])
    assert result.exit_code == 2, result.output
    return result.output.splitlines()[-1]


def test_the_file_gives_settings_as_numbers_texts_and_lists() -> None:
    write(
        """
port = 1001
history = "2m"          # a unit needs a string
history-bytes = 1048576
resume = true
gap-notices = "off"
client-keys = ["one", "two"]
coalesce-ms = 0.5
"""
    )
    settings = parsed("--config", "fproxy.toml")
    assert settings.server.port == 1001
    assert settings.history.history == 120
    assert settings.history.history_bytes == 1024 * 1024
    assert (settings.resume, settings.gap_notices) == (True, False)
    assert settings.server.client_keys == ("one", "two")
    assert settings.coalesce_ms == 0.5


def test_flags_the_environment_and_the_env_file_outrank_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write("port = 1\nfirehose-url = 'ws://toml'\nms-aggregator-url = 'ws://toml'\ncoalesce-ms = 4\n")
    write("FIREHOSE_URL=ws://line\nFPROXY_CONFIG=fproxy.toml\n", ".env")
    monkeypatch.setenv("MS_AGGREGATOR_URL", "ws://variable")
    settings = parsed("--port", "2")
    assert settings.server.port == 2
    assert settings.firehose_url == "ws://line"
    assert settings.aggregator_url == "ws://variable"
    assert settings.coalesce_ms == 4


def test_the_environment_may_name_the_file_and_may_hide_what_is_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("port = 1001\nmax-topics = 5\n")
    monkeypatch.setenv("FPROXY_CONFIG", "fproxy.toml")
    monkeypatch.setenv("FPROXY_MAX_TOPICS", "")
    settings = parsed()
    assert settings.server.port == 1001
    assert settings.server.limits.max_topics == 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "\n# mine\nauth-timeout = 'never'\n",
            "auth-timeout in fproxy.toml, line 3: 'never' is not a number of",
        ),
        ("max-topics = 1.5\n", "max-topics in fproxy.toml, line 1: '1.5' is not a whole number from 1"),
        ("max-topics = true\n", "max-topics in fproxy.toml, line 1: 'on' is not a whole number"),
        (
            "client-keys = [\n  'a',\n  'b c',\n]\n",
            "client-keys in fproxy.toml, line 1: the value (not shown)",
        ),
        ("x = '''\nport = 1\n'''\n", "fproxy.toml, line 1: 'x' is no setting"),
        (
            "port = 1\nmax_topics = 1\n",
            "fproxy.toml, line 2: 'max_topics' is no setting; did you mean max-topics?",
        ),
        ("FPROXY_HOST = 'a'\n", "fproxy.toml, line 1: 'FPROXY_HOST' is no setting; did you mean host?"),
        ("env-file = '.env'\n", "fproxy.toml, line 1: 'env-file' is no setting"),
        ("port = ''\n", "fproxy.toml, line 1: 'port' is empty; leave the line out"),
        ("port = [1]\n", "fproxy.toml, line 1: 'port' must be one value"),
        (
            "client-keys = ['a,b']\n",
            "fproxy.toml, line 1: 'client-keys' must be a string, or an array of strings",
        ),
        ("port = 1\nport = 2\n", "fproxy.toml is not TOML: Cannot overwrite a value (at line 2"),
        ("port = \n", "fproxy.toml is not TOML: Invalid value (at line 1"),
        ("market = 1\n", "fproxy.toml, line 1: 'market' must be a table"),
        ("[market]\noptions = 1\n", "fproxy.toml, line 2: 'options' must be a table"),
        (
            "[market.options]\nfirehose-url = 'ws://a'\n\nfirehose-ulr = 'ws://b'\n",
            "fproxy.toml, line 4: 'firehose-ulr' is no setting of a market; did you mean firehose-url?",
        ),
        (
            "[market.optoins]\nport = 1\n",
            "fproxy.toml, line 1: 'optoins' is no market; allowed are stocks, options",
        ),
        ("[market.options]\nport = 1\n", "fproxy.toml, line 2: 'port' is no setting of a market"),
        ("[[market]]\nport = 1\n", "fproxy.toml, line 1: 'market' must be a table"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, message: str) -> None:
    assert message in error_of(text)


def test_a_file_that_is_not_there_or_not_text_is_refused() -> None:
    result = CliRunner().invoke(fproxy, ["--config", "missing.toml"])
    assert result.exit_code == 2
    assert "cannot read missing.toml: No such file or directory" in result.output
    Path("binary.toml").write_bytes(b"port = '\xff'")
    result = CliRunner().invoke(fproxy, ["--config", "binary.toml"])
    assert "binary.toml is not UTF-8 text (at byte 8)" in result.output


def test_a_secret_in_the_file_is_never_shown() -> None:
    assert "sesame" not in error_of("polygon-api-key = 'open sesame'\n")
    assert "sesame" not in error_of("polygon-api-key = ['sesame']\n")
    assert "sesame" not in error_of("polygon-api-key = sesame\n")


def test_settings_of_other_commands_are_passed_over() -> None:
    write("simulator-rate = 5\nbar-delay-ms = 3\nport = 7\n")
    assert parsed("--config", "fproxy.toml").server.port == 7


def test_markets_have_values_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        """
firehose-url = "ws://all"

[market.options]
firehose-url = "ws://options"
on-demand = true

[market."futures/cme"]
firehose-url = "ws://toml"
"""
    )
    monkeypatch.setenv("FIREHOSE_URL_FUTURES_CME", "ws://variable")

    def both(ctx: click.Context, values: dict[str, Any]) -> Any:
        own = (market_values(ctx, MARKETS[name]) for name in ("options", "futures/cme", "crypto"))
        return values["firehose_url"], *own

    plain, options, futures, crypto = in_context(both, "--config", "fproxy.toml")
    assert plain == "ws://all"
    assert options == {"firehose_url": "ws://options", "on_demand": True}
    assert futures == {"firehose_url": "ws://variable"}
    assert crypto == {}


def test_a_wrong_value_of_a_market_is_told_with_its_line() -> None:
    write("[market.options]\nfirehose-url = 'http://h'\n")

    def use(ctx: click.Context, _: dict[str, Any]) -> str:
        with pytest.raises(click.BadParameter) as caught:
            market_values(ctx, MARKETS["options"])
        return caught.value.format_message()

    message = in_context(use, "--config", "fproxy.toml")
    assert "market.options.firehose-url in fproxy.toml, line 2: 'http://h' is not the URL" in message


def test_what_a_file_says_is_read_again() -> None:
    write("log-level = 'info'\n")

    def changed(ctx: click.Context, values: dict[str, Any]) -> Any:
        write("log-level = 'debug'\n")
        return values["log_level"], read_again(ctx, "log_level")

    assert in_context(changed, "--config", "fproxy.toml") == ("info", "debug")


def test_the_line_of_each_key_is_found(tmp_path: Path) -> None:
    text = "a = 1\r\n\nb.c = [\n 1,\n]\n'd e' = '''\n[x]\n'''\n[f.g]\n  # [h]\nh = {i = 1}\n"
    write(text)
    lines = read_toml_file(Path("fproxy.toml")).lines
    assert lines == {
        ("a",): 1,
        ("b",): 3,
        ("b", "c"): 3,
        ("d e",): 6,
        ("f",): 9,
        ("f", "g"): 9,
        ("f", "g", "h"): 11,
        ("f", "g", "h", "i"): 11,
    }


def test_the_documented_file_is_sound_and_says_the_defaults() -> None:
    block = re.search(r"```toml\n(.*?)```", file_reference(), flags=re.DOTALL)
    assert block
    text = "".join(line.removeprefix("#") for line in block[1].splitlines(True) if not line.startswith("# "))
    keys = tomllib.loads(text)
    assert set(keys) - {"market"} == {it.file_key for it in DECLARATIONS if it.in_files}
    set_lines = [line for line in text.splitlines(True) if not line.endswith('""\n')]
    write("".join(set_lines))
    assert parsed("--config", "fproxy.toml") == parsed()


def test_two_settings_never_share_a_flag_a_field_or_a_key() -> None:
    for command in fproxy.commands:
        own = [declared for declared in DECLARATIONS if command in declared.commands]
        for names in ([it.name for it in own], [it.flag_text for it in own], [it.variable for it in own]):
            assert len(names) == len(set(names))
    variables = {declared.file_key: declared.variable for declared in DECLARATIONS}
    assert all(variables[declared.file_key] == declared.variable for declared in DECLARATIONS)
