"""What an operator is warned of: keys that others may get to see. And the key of the roles among themselves."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fproxy.face.chain import Ports, stack_children
from fproxy.face.cli import fproxy
from fproxy.face.exposure import exposed_files, exposed_keys
from fproxy.face.settings import built
from fproxy.face.settings.options import settings_of
from fproxy.face.settings.sources import known_settings

OTHER = "192.0.2.1"
"""An address of another machine; nothing here connects to it."""


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_settings():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def in_context(command: str, use: Callable[[click.Context, dict[str, Any]], Any], *arguments: str) -> Any:
    seen: list[Any] = []

    @click.command(command)
    @settings_of(command)
    @click.pass_context
    def run(ctx: click.Context, /, **values: Any) -> None:
        seen.append(use(ctx, values))

    result = CliRunner().invoke(run, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen[0]


def warnings(*arguments: str) -> list[str]:
    def use(ctx: click.Context, values: dict[str, Any]) -> Iterator[str]:
        return exposed_keys(ctx, built.filtered_proxy_settings(values).server, values)

    return in_context("proxy", lambda ctx, values: list(use(ctx, values)), *arguments)


# Warnings


def test_the_vendors_key_as_the_key_of_other_machines_clients_is_warned_of() -> None:
    (warning,) = warnings("--polygon-api-key", "sesame", "--host", "0.0.0.0")
    assert "authenticate with the vendor's key (POLYGON_API_KEY)" in warning
    assert "sesame" not in warning
    assert warnings("--polygon-api-key", "sesame") == []
    assert warnings("--polygon-api-key", "sesame", "--host", "0.0.0.0", "--client-keys", "a") == []


def test_a_key_sent_in_the_open_to_another_machine_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"The key goes to {OTHER} unencrypted"
    assert text in warnings("--polygon-api-key", "k", "--firehose-url", f"ws://{OTHER}:8767")[0]
    assert text in warnings("--internal-key", "k", "--ms-aggregator-url", f"ws://{OTHER}")[0]
    assert warnings("--firehose-url", f"ws://{OTHER}") == []
    assert warnings("--polygon-api-key", "k", "--firehose-url", f"wss://{OTHER}") == []
    assert warnings("--polygon-api-key", "k", "--firehose-url", "ws://localhost:1") == []
    monkeypatch.setenv("FIREHOSE_URL_OPTIONS", f"ws://{OTHER}/options")
    assert text in warnings("--polygon-api-key", "k", "--markets", "stocks,options")[0]


@pytest.mark.parametrize(
    ("name", "text", "warned"),
    [
        (".env", "POLYGON_API_KEY=sesame\n", True),
        (".env", "LOG_LEVEL=info\n", False),
        ("fproxy.toml", "client-keys = ['sesame']\n", True),
        ("fproxy.toml", "max-topics = 5\n", False),
        ("keys.toml", "[keys.a]\nkey = 'sesame'\n", True),
        ("tls.pem", "", True),
        ("upstream.pem", "", True),
    ],
)
def test_a_file_with_keys_that_others_can_read_is_warned_of(name: str, text: str, warned: bool) -> None:
    path = Path(name)
    path.write_text(text)
    flags = {
        "fproxy.toml": "--config",
        "keys.toml": "--keys-file",
        "tls.pem": "--tls-key",
        "upstream.pem": "--upstream-key",
    }
    arguments = [flags[name], name] if name in flags else []

    def found() -> list[str]:
        return in_context("proxy", lambda ctx, values: list(exposed_files(ctx, values)), *arguments)

    path.chmod(0o644)
    expected = f"{name} holds keys, and every user of this machine can read it: chmod o-r {name}"
    assert found() == ([expected] if warned else [])
    path.chmod(0o640)
    assert found() == []


def test_the_warnings_are_logged_when_the_program_starts() -> None:
    Path(".env").write_text("POLYGON_API_KEY=sesame\n")
    Path(".env").chmod(0o644)
    result = CliRunner().invoke(fproxy, ["--host", "0.0.0.0", "--client-keys", "*"])  # refused after it
    assert result.exit_code == 2
    assert "WARNING .env holds keys, and every user of this machine can read it" in result.output
    assert "sesame" not in result.output


# The key of the roles


def keys_of(command: str, *arguments: str) -> tuple[str, ...]:
    name = {"proxy": "filtered_proxy"}.get(command, command)
    settings = in_context(command, lambda _, values: getattr(built, f"{name}_settings")(values), *arguments)
    return tuple(settings.server.client_keys)


def test_roles_accept_their_key_beside_those_of_clients() -> None:
    for command in ("firehose", "aggregator", "proxy"):
        assert keys_of(command, "--internal-key", "i", "--client-keys", "a") == ("a", "i")
        assert keys_of(command, "--internal-key", "i", "--polygon-api-key", "v") == ("v", "i")
        assert keys_of(command, "--internal-key", "i", "--client-keys", "*") == ()


def test_what_only_roles_connect_to_is_closed_by_their_key_alone() -> None:
    for command in ("firehose", "aggregator"):
        assert keys_of(command, "--internal-key", "i", "--host", "0.0.0.0") == ("i",)
    assert keys_of("proxy", "--internal-key", "i") == (), "a proxy's clients do not know it"
    Path("keys.toml").write_text("[keys.a]\nkey = 'x'\n")
    assert keys_of("proxy", "--internal-key", "i", "--keys-file", "keys.toml") == ("i",)


def test_the_roles_of_a_stack_get_a_key_of_their_own() -> None:
    children = stack_children(
        Ports(proxy=1, aggregator=2, firehose=3), host="127.0.0.1", flags={}, internal_key="made up"
    )
    assert [child.environment["FPROXY_INTERNAL_KEY"] for child in children] == ["made up"] * 3
