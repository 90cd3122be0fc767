"""What the command line says of markets: which, where each is, and which of them to look at."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from fproxy.core.market import MARKETS, STOCKS
from fproxy.face.cli import fproxy
from fproxy.face.settings import built
from fproxy.face.settings.options import settings_of
from fproxy.face.settings.sources import known_settings
from fproxy.face.tail_settings import market_of, url_of_market
from fproxy.roles.market_settings import settings_of_market

OPTIONS, CME = MARKETS["options"], MARKETS["futures/cme"]


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_settings():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def firehose() -> Callable[..., Any]:
    """Give a function that returns the firehose's settings, as flags make them."""

    def parse(*arguments: str) -> Any:
        seen: list[Any] = []

        @click.command()
        @settings_of("firehose")
        def command(**values: Any) -> None:
            seen.append(built.firehose_settings(values))

        result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return seen[0]

    return parse


def error_of(*arguments: str) -> str:
    result = CliRunner().invoke(fproxy, list(arguments))
    assert result.exit_code == 2, result.output
    return result.output.splitlines()[-1]


def test_markets_are_named_once_in_their_order(firehose: Callable[..., Any]) -> None:
    assert firehose().markets == (STOCKS,)
    assert firehose("--markets", "futures/cme, /Options,options").markets == (CME, OPTIONS)
    assert "'stock' in 'options,stock' is no market; allowed are stocks, options, crypto" in error_of(
        "--markets", "options,stock"
    )


def test_a_market_has_its_own_variables(
    firehose: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FPROXY_MARKETS", "stocks,options,futures/cme")
    monkeypatch.setenv("POLYGON_WS_URL_FUTURES_CME", "ws://own/path")
    monkeypatch.setenv("FPROXY_ON_DEMAND_OPTIONS", "on")
    settings = firehose()
    told = [settings_of_market(settings, market) for market in settings.markets]
    assert [own.vendor_url for own in told] == [
        "wss://socket.massive.com/stocks",
        "wss://socket.massive.com/options",
        "ws://own/path",
    ]
    assert [own.on_demand for own in told] == [False, True, False]
    assert {"POLYGON_WS_URL_FUTURES_CME", "FPROXY_ON_DEMAND_OPTIONS"} <= known_settings()


def test_a_file_names_markets_and_what_they_have_of_their_own(firehose: Callable[..., Any]) -> None:
    Path("fproxy.toml").write_text(
        'markets = ["stocks", "options"]\n[market.options]\npolygon-ws-url = "ws://own"\n', encoding="utf-8"
    )
    settings = firehose("--config", "fproxy.toml")
    assert settings.markets == (STOCKS, OPTIONS)
    assert settings_of_market(settings, OPTIONS).vendor_url == "ws://own"


def test_a_feed_stands_for_the_vendors_url(firehose: Callable[..., Any]) -> None:
    settings = firehose("--feed", "Delayed", "--markets", "options")
    assert settings_of_market(settings, OPTIONS).vendor_url == "wss://delayed.massive.com/options"
    assert "'slow' is not one of realtime, delayed, business" in error_of("firehose", "--feed", "slow")
    both = ("--feed", "delayed", "--polygon-ws-url", "wss://v/stocks")
    for command in ("firehose", "stack"):
        assert "both say where the vendor is" in error_of(command, "--polygon-api-key", "k", *both)


def test_a_market_without_a_place_or_without_a_wildcard_is_told_with_its_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = error_of("--markets", "options", "--firehose-url", "ws://h/feed")
    assert told == (
        "Error: FIREHOSE_URL: the path /feed does not end with /stocks, so options need a URL of their own "
        "(FIREHOSE_URL_OPTIONS)"
    )
    monkeypatch.setenv("SUBSCRIBE_DATA_TYPES_OPTIONS", "T,Q")
    told = error_of("firehose", "--polygon-api-key", "k", "--markets", "options")
    assert told.startswith("Error: SUBSCRIBE_DATA_TYPES: the vendor has no Q.* of options")


@pytest.mark.parametrize("command", ["firehose", "stack"])
def test_every_markets_vendor_wants_a_key(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_WS_URL", "ws://127.0.0.1:1/stocks")
    monkeypatch.setenv("POLYGON_WS_URL_OPTIONS", "wss://elsewhere/options")
    told = error_of(command, "--env-file", os.devnull, "--markets", "stocks,options")
    assert "POLYGON_API_KEY is not set, and wss://elsewhere/options wants a key" in told


@pytest.mark.parametrize(
    ("url", "market", "there"),
    [
        ("ws://h:8765/stocks", "options", "ws://h:8765/options"),
        ("ws://h:8765", "futures/cme", "ws://h:8765/futures/cme"),
        ("ws://h:8765/futures/cme/", "futures", "ws://h:8765/futures"),
        ("wss://h/behind/crypto", "forex", "wss://h/behind/forex"),
        ("wss://h/behind", "forex", "wss://h/behind/forex"),
    ],
)
def test_tail_finds_a_market_on_a_server(url: str, market: str, there: str) -> None:
    assert url_of_market(url, MARKETS[market]) == there
    assert market_of(there) is MARKETS[market]


def test_tail_knows_the_topics_of_its_market() -> None:
    assert market_of("ws://h/") is None
    told = error_of("tail", "--market", "options", "Q.*")
    assert "no wildcard: options have Q for one symbol at a time only" in told
    assert "'bonds' is not one of stocks, options" in error_of("tail", "--market", "bonds", "T.*")
