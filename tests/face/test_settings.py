"""Settings through the real command line: where a value comes from, and what is said of a wrong one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from fproxy.core.loopback import is_loopback
from fproxy.core.slow_client_policy import SlowClientPolicy
from fproxy.face.cli import fproxy
from fproxy.face.settings import built
from fproxy.face.settings.env_file import EnvFileError, read_env_file, unknown_names
from fproxy.face.settings.kinds import size_text
from fproxy.face.settings.options import settings_of
from fproxy.face.settings.sources import known_settings
from fproxy.roles.settings import (
    AggregatorSettings,
    FilteredProxySettings,
    FirehoseSettings,
    OpenServerError,
    client_keys_for,
)


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no setting in the environment and no .env file in the current directory."""
    for name in known_settings():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def parsed() -> Callable[..., Any]:
    """Give a function that parses arguments as a role's command does and returns the role's settings."""

    def parse(*arguments: str, role: str = "filtered_proxy") -> Any:
        seen: list[Any] = []

        @click.command()
        @settings_of({"filtered_proxy": "proxy"}.get(role, role))
        def command(**values: Any) -> None:
            seen.append(getattr(built, f"{role}_settings")(values))

        result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return seen[0]

    return parse


def run(*arguments: str) -> Result:
    return CliRunner().invoke(fproxy, list(arguments))


def error_of(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    return result.output.splitlines()[-1]


# Defaults


def test_the_defaults_of_the_command_line_are_those_of_the_roles(parsed: Callable[..., Any]) -> None:
    assert parsed() == FilteredProxySettings()
    assert parsed(role="firehose") == FirehoseSettings()
    assert parsed(role="aggregator") == AggregatorSettings()


def test_the_defaults_are_the_documented_ones(parsed: Callable[..., Any]) -> None:
    settings = parsed()
    assert settings.firehose_url == "ws://localhost:8767"
    assert settings.aggregator_url == "ws://localhost:8768"
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8765)
    assert settings.server.limits.auth_timeout == 10
    assert settings.server.limits.max_unsent_bytes == 16 * 1024 * 1024
    assert settings.unsubscribe_linger == 30
    assert settings.coalesce_ms == 0


# Precedence


def test_a_flag_outranks_the_environment_which_outranks_the_file(
    parsed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        "FILTERED_PROXY_PORT=1001\nFIREHOSE_URL=ws://file:1\nFPROXY_COALESCE_MS=3\n"
    )
    monkeypatch.setenv("FILTERED_PROXY_PORT", "1002")
    monkeypatch.setenv("FIREHOSE_URL", "ws://environment:1")
    settings = parsed("--port", "1003")
    assert settings.server.port == 1003
    assert settings.firehose_url == "ws://environment:1"
    assert settings.coalesce_ms == 3


def test_an_empty_variable_counts_as_unset_and_hides_the_file(
    parsed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("POLYGON_API_KEY=filekey\nFPROXY_HOST=\n")
    monkeypatch.setenv("POLYGON_API_KEY", "")
    settings = parsed()
    assert settings.polygon_api_key == ""
    assert settings.server.host == "127.0.0.1"


def test_another_env_file_can_be_named(parsed: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FILTERED_PROXY_PORT=1\n")
    (tmp_path / "other").write_text("FILTERED_PROXY_PORT=2\n")
    assert parsed("--env-file", "other").server.port == 2


def test_an_env_file_of_python_dotenv_syntax(parsed: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(
        b"\xef\xbb\xbf# comment\r\nexport FIREHOSE_URL='ws://a:1' # why\r\nPOLYGON_API_KEY=\"k\"\r\n"
    )
    settings = parsed()
    assert (settings.firehose_url, settings.polygon_api_key) == ("ws://a:1", "k")


def test_every_setting_of_a_role_reaches_it(parsed: Callable[..., Any]) -> None:
    settings = parsed(
        *("--host", "::1", "--client-keys", "a,b", "--polygon-api-key", "v", "--auth-timeout", "500ms"),
        *("--slow-client", "Drop", "--max-lag", "2s", "--max-backlog", "1GiB"),
        *("--max-unsent-bytes", "1MiB", "--max-control-bytes", "2048", "--max-clients", "7"),
        *("--max-topics", "9"),
        *("--ping-interval", "0", "--ping-timeout", "2m", "--connect-timeout", "3", "--auth-wait", "4"),
        *(
            "--reconnect-min",
            "5",
            "--reconnect-max",
            "6",
            "--refused-delay",
            "7s",
            "--upstream-silence",
            "8",
            "--peer-reconnect-min",
            "90ms",
            "--gap-notices",
            "off",
            "--resume",
            "on",
            "--snapshot",
            "on",
            "--snapshot-bytes",
            "8MiB",
            "--resume-overlap",
            "500ms",
            "--unsubscribe-linger",
            "0",
        ),
    )
    assert settings.server.host == "::1"
    assert settings.server.client_keys == ("a", "b")
    assert settings.server.max_clients == 7
    assert settings.polygon_api_key == "v"
    assert settings.server.limits.auth_timeout == 0.5
    assert settings.server.limits.max_unsent_bytes == 1024 * 1024
    assert settings.server.limits.slow_client is SlowClientPolicy.DROP
    assert settings.server.limits.max_lag == 2.0
    assert settings.server.limits.max_backlog == 1 << 30
    assert settings.server.limits.max_control_bytes == 2048
    assert settings.server.limits.max_topics == 9
    assert settings.server.limits.ping_interval == 0
    assert settings.server.limits.ping_timeout == 120
    upstream = settings.upstream
    assert (upstream.connect_timeout, upstream.auth_wait) == (3, 4)
    assert (upstream.reconnect_min, upstream.reconnect_max, upstream.refused_delay) == (5, 6, 7)
    assert (upstream.silence, upstream.peer_reconnect_min) == (8, 0.09)
    assert settings.unsubscribe_linger == 0
    assert settings.gap_notices is False
    assert (settings.resume, settings.resume_overlap) == (True, 0.5)
    assert (settings.snapshot, settings.snapshot_bytes) == (True, 8 << 20)


def test_the_firehose_and_aggregator_take_their_own_settings(parsed: Callable[..., Any]) -> None:
    firehose = parsed(
        "--subscribe-data-types", "T,Q,T", "--on-demand", "--polygon-ws-url", "wss://v/x", role="firehose"
    )
    assert (firehose.data_types, firehose.on_demand, firehose.vendor_url) == (("T", "Q"), True, "wss://v/x")
    aggregator = parsed("--bar-delay-ms", "0", "--all-trades", role="aggregator")
    assert (aggregator.bar_delay_ms, aggregator.all_trades) == (0, True)


# Wrong values


@pytest.mark.parametrize(
    ("flag", "value", "allowed"),
    [
        ("--port", "abc", "a whole number from 0 to 65535"),
        ("--port", "65536", "a whole number from 0 to 65535"),
        ("--port", "-1", "a whole number from 0 to 65535"),
        ("--host", "a/b", "an address such as 127.0.0.1"),
        ("--host", "", "an address such as 127.0.0.1"),
        ("--firehose-url", "http://localhost:1", "ws://HOST[:PORT][/PATH]"),
        ("--firehose-url", "ws://", "ws://HOST[:PORT][/PATH]"),
        ("--ms-aggregator-url", "ws://h:99999", "ws://HOST[:PORT][/PATH]"),
        ("--auth-timeout", "0", "a number of seconds (or 500ms, 10s, 2m) above 0 and up to 86400"),
        ("--auth-timeout", "nan", "a number of seconds"),
        ("--auth-timeout", "inf", "a number of seconds"),
        ("--auth-timeout", "soon", "a number of seconds"),
        ("--coalesce-ms", "-1", "a number above 0 and up to 1000, or 0 not to wait"),
        ("--max-unsent-bytes", "16 apples", "a size such as 65536, 64KiB or 16MiB, from 64KiB to 1TiB"),
        ("--max-unsent-bytes", "1", "from 64KiB to 1TiB"),
        ("--slow-client", "wait", "one of disconnect, drop, conflate, block"),
        ("--max-clients", "0", "a whole number from 1 to 1000000"),
        ("--log-level", "loud", "one of debug, info, warning, error"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(flag: str, value: str, allowed: str) -> None:
    error = error_of(flag, value)
    assert f"'{flag}'" in error
    assert repr(value) in error
    assert allowed in error


def test_resuming_without_a_history_is_refused() -> None:
    assert "--resume (FPROXY_RESUME) needs a history" in error_of("--resume", "on", "--history", "0")
    assert "--snapshot (FPROXY_SNAPSHOT) needs memory" in error_of("--snapshot", "on")


def test_a_wrong_variable_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILTERED_PROXY_PORT", "abc")
    assert "FILTERED_PROXY_PORT in the environment: 'abc'" in error_of()


def test_a_wrong_line_is_named_with_file_and_number(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\n# mine\n\nFPROXY_AUTH_TIMEOUT=never\n")
    assert "FPROXY_AUTH_TIMEOUT in .env, line 4: 'never'" in error_of()


@pytest.mark.parametrize("line", ["POLYGON_API_KEY sesame", "POLYGON_API_KEY", "=sesame"])
def test_a_malformed_line_is_named_but_not_shown(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"A=1\n\n{line}\nB=2\n")
    error = error_of()
    assert ".env, line 3" in error
    assert "sesame" not in error


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("POLYGON_API_KEY", "open sesame"),
        ("FPROXY_CLIENT_KEYS", "sesame,,other"),
        ("FPROXY_CLIENT_KEYS", "*,sesame"),
        ("FIREHOSE_URL", "http://sesame@localhost"),
        ("FIREHOSE_URL", "http://localhost/?key=sesame"),
    ],
)
def test_a_wrong_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    result = run()
    assert result.exit_code == 2
    assert variable in result.output
    assert "sesame" not in result.output


def test_secrets_are_not_in_the_settings_text(parsed: Callable[..., Any]) -> None:
    settings = parsed("--polygon-api-key", "sesame1", "--client-keys", "sesame2")
    assert "sesame" not in repr(settings)


def test_unknown_variables_and_lines_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("UNRELATED=1\nFPROXY_CLIENT_KEY=sesame\n")
    monkeypatch.setenv("FPROXY_HSOT", "1")
    monkeypatch.setenv("FPROXY_XYZZY_PLUGH_QUUX", "1")
    # Refused after the warnings: nothing starts here.
    result = run("--host", "0.0.0.0", "--log-format", "bare")
    warnings = [line for line in result.output.splitlines() if line.startswith("WARNING")]
    assert warnings == [
        "WARNING Unknown setting FPROXY_HSOT (the environment) has no effect; did you mean FPROXY_HOST?",
        "WARNING Unknown setting FPROXY_XYZZY_PLUGH_QUUX (the environment) has no effect",
        "WARNING Unknown setting FPROXY_CLIENT_KEY (.env, line 2) has no effect; "
        "did you mean FPROXY_CLIENT_KEYS?",
    ]
    assert "sesame" not in result.output


def test_a_mistyped_flag_is_answered_with_the_likely_one() -> None:
    assert "--firehose-url" in error_of("--firehose-ulr", "ws://h")


def test_options_before_a_command_are_pointed_out() -> None:
    assert "fproxy tail [OPTIONS]" in error_of("--port", "1", "tail")


def test_help_names_every_flag_variable_and_default() -> None:
    text = " ".join(run("--help").output.split())
    for option in fproxy.commands["proxy"].params:
        assert option.opts[0] in text
        assert f"env var: {option.envvar}" in text
    for default in ("8765", "ws://localhost:8767", "ws://localhost:8768", "16MiB", "default: info"):
        assert default in text


# The .env file on its own


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EnvFileError, match="No such file"):
        read_env_file(tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"A=\xff\xfe")
    with pytest.raises(EnvFileError, match="not UTF-8 text"):
        read_env_file(tmp_path / "binary")


def test_a_named_file_must_exist() -> None:
    assert "cannot read nothing" in error_of("--env-file", "nothing")


def test_the_later_of_two_lines_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("A=1\n\n\nA=2\n")
    line = read_env_file(tmp_path / "file")["A"]
    assert (line.value, line.place) == ("2", f"{tmp_path / 'file'}, line 4")


def test_unknown_names_come_with_the_likeliest() -> None:
    assert unknown_names(["FPROXY_PROT", "FPROXY_PORT", "HOME"], ["FPROXY_PORT"]) == [
        ("FPROXY_PROT", "FPROXY_PORT")
    ]


@pytest.mark.parametrize(
    ("size", "text"), [(16 * 1024 * 1024, "16MiB"), (65536, "64KiB"), (1500, "1500B"), (0, "0B")]
)
def test_sizes_are_shown_with_their_unit(size: int, text: str) -> None:
    assert size_text(size) == text


# Who may come in


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"])
def test_without_a_key_loopback_is_open(host: str) -> None:
    assert is_loopback(host)
    assert client_keys_for(host, (), "") == ()
    assert client_keys_for(host, ("*",), "vendor") == ()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", ""])
def test_without_a_key_other_addresses_are_refused(host: str) -> None:
    assert not is_loopback(host)
    for keys in ((), ("*",)):
        with pytest.raises(OpenServerError, match="FPROXY_CLIENT_KEYS"):
            client_keys_for(host, keys, "")
    assert client_keys_for(host, (), "vendor") == ("vendor",)


def test_client_keys_replace_the_vendors_key() -> None:
    assert client_keys_for("0.0.0.0", ("a", "b"), "vendor") == ("a", "b")


def test_clients_and_admin_pages_have_a_port_each() -> None:
    assert "port 9090 is both for clients and for the admin pages" in error_of(
        "--port", "9090", "--admin-port", "9090"
    )


def test_an_open_proxy_on_all_addresses_does_not_start() -> None:
    error = error_of("--host", "0.0.0.0")
    assert "FPROXY_CLIENT_KEYS" in error
    assert "127.0.0.1" in error
