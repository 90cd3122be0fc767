"""``fproxy demo`` and ``fproxy stack`` as a person runs them: processes that find each other, die and come back."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner
from running_program import TIMEOUT, Program, StartProgram
from scripted_upstream import is_notice
from websockets.asyncio.client import ClientConnection, connect

from fproxy.core.market import MARKETS, STOCKS
from fproxy.face.chain import LOOPBACK, Ports, demo_children, demo_text, stack_children
from fproxy.face.cli import fproxy
from fproxy.face.settings.sources import known_settings

FREE_PORTS = [text for role in ("firehose", "aggregator") for text in (f"--{role}-port", "0")]
TOPICS = "T.AAPL,Q.AAPL,A.AAPL,100Ms.AAPL"
OF_OPTIONS = "T.*,A.*,100Ms.*"


@asynccontextmanager
async def following(url: str, key: str, topics: str = TOPICS) -> AsyncIterator[ClientConnection]:
    """Connect as a client does, and subscribe to some kinds of event."""
    async with connect(url, max_queue=None) as client:  # so that it closes at once, unread as it is
        await client.recv()
        await client.send(json.dumps({"action": "auth", "params": key}))
        assert "auth_success" in str(await client.recv())
        await client.send(json.dumps({"action": "subscribe", "params": topics}))
        assert str(await client.recv()).count("success") == len(topics.split(","))
        yield client


async def see_every_type(client: ClientConnection, symbol: str = "AAPL", topics: str = TOPICS) -> None:
    missing = {topic.partition(".")[0] for topic in topics.split(",")}
    async with asyncio.timeout(TIMEOUT):
        while missing:
            for event in json.loads(await client.recv()):
                if is_notice(event):  # a role has been killed
                    continue
                assert event["sym"].startswith(symbol)
                missing.discard(event["ev"])


async def wait_for_demo(demo: Program) -> str:
    """Wait until the demo has said that it is ready; return the URL that it gives."""
    url = ""
    while True:
        (line,) = await demo.lines(1)
        url = line.strip() if line.strip().startswith("ws://") else url
        if "Ctrl-C" in line:
            return url


async def test_the_demo_runs_and_heals_and_stops(start: StartProgram) -> None:
    """One run for all of it: four processes take seconds to start."""
    settings = {"FPROXY_CLIENT_KEYS": "sesame", "POLYGON_API_KEY": "sesame", "FPROXY_MAX_CLIENTS": "1"}
    demo = await start("demo", "--port", "0", "--simulator-port", "0", *FREE_PORTS, **settings)
    url = await wait_for_demo(demo)
    async with following(url, "any") as client, following(url, "another") as other:
        await see_every_type(client)
        await see_every_type(other)

        await demo.error_line("INFO firehose   | stocks connected to vendor")  # which is no proxy
        await demo.error_line("INFO proxy      | stocks connected to")
        children = children_of(demo)
        assert list(children) == ["market", "firehose", "aggregator", "proxy"]
        os.kill(children["firehose"], signal.SIGKILL)
        await demo.error_line("WARNING firehose   | Ended by SIGKILL; starting again in 1 s")
        await demo.error_line("| stocks connected to firehose")
        await demo.error_line("| stocks connected to firehose")
        await see_every_type(client)
    code, _, errors = await demo.finish(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in errors
    assert children_of(demo)["firehose"] != children["firehose"]
    for pid in (*children.values(), *children_of(demo).values()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def children_of(program: Program) -> dict[str, int]:
    """Return the process ids of a program's children, by their names, from what it has said so far."""
    started = [line.split() for line in program.errors if "Started as process" in line]
    return {words[1]: int(words[-1]) for words in started}


async def test_the_stack_runs_behind_a_vendor_with_the_clients_own_keys(start: StartProgram) -> None:
    markets = ("--markets", "stocks,options")
    vendor = await start("sim", "--port", "0", *markets, FPROXY_CLIENT_KEYS="vendor-key")
    port = (await vendor.error_line("Now listening on port")).rsplit(" ", 1)[1]
    stack = await start(
        *(
            "stack",
            "--port",
            "0",
            *FREE_PORTS,
            "--polygon-ws-url",
            f"ws://{LOOPBACK}:{port}/stocks",
            *markets,
        ),
        POLYGON_API_KEY="vendor-key",
        FPROXY_CLIENT_KEYS="client-key",
        # Where a market's roles are is known here, whatever is said of them elsewhere.
        FIREHOSE_URL_OPTIONS="ws://127.0.0.1:1",
        MS_AGGREGATOR_URL_OPTIONS="ws://127.0.0.1:1",
    )
    told = await stack.error_line("Clients connect to port")
    url = f"ws://{LOOPBACK}:{told.rsplit(' ', 1)[1]}/stocks"
    async with (
        following(url, "client-key") as client,
        following(url.replace("stocks", "options"), "client-key", OF_OPTIONS) as of_options,
    ):
        await see_every_type(client)
        await see_every_type(of_options, "O:", OF_OPTIONS)
    async with connect(url) as stranger:
        await stranger.recv()
        await stranger.send(json.dumps({"action": "auth", "params": "vendor-key"}))
        assert "auth_failed" in str(await stranger.recv())
    code, _, errors = await stack.finish(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in errors
    assert (await vendor.finish(signal.SIGTERM))[0] == 0


async def test_a_port_in_use_stops_the_whole_demo(start: StartProgram) -> None:
    first = await start("sim", "--port", "0")
    port = (await first.error_line("Now listening on port")).rsplit(" ", 1)[1]
    demo = await start("demo", "--port", "0", "--simulator-port", port, *FREE_PORTS)
    code, output, errors = await demo.finish()
    assert (code, output) == (1, "")
    assert errors == f"ERROR market could not start: port {port} is in use\n"


def test_the_stack_wants_a_key_for_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_settings():
        monkeypatch.delenv(name, raising=False)
    for command in ("stack", "firehose"):
        result = CliRunner().invoke(fproxy, [command, "--env-file", os.devnull])
        assert result.exit_code == 2
        assert "POLYGON_API_KEY is not set" in result.output


def test_only_the_proxy_of_a_stack_is_for_others() -> None:
    limits = {
        "FPROXY_MAX_CLIENTS": "1",
        "FPROXY_MAX_CONTROL_BYTES": "1024",
        "FPROXY_MAX_TOPICS": "1",
        "FPROXY_MAX_UNSENT_BYTES": "65536",
    }
    flags = {
        "FPROXY_CLIENT_KEYS": "sesame",
        "FPROXY_HOST": "0.0.0.0",
        **limits,
    }
    ports = Ports(proxy=1, aggregator=2, firehose=3)
    firehose, aggregator, proxy = stack_children(ports, host="0.0.0.0", flags=flags, internal_key="sesame")
    for child in (firehose, aggregator):
        assert child.command[-4:-1] == ("--host", LOOPBACK, "--port")
        assert child.environment["FPROXY_CLIENT_KEYS"] == ""
        assert {child.environment[name] for name in limits} == {""}
    assert proxy.command[-4:] == ("--host", "0.0.0.0", "--port", "1")
    assert proxy.host == LOOPBACK  # where to look whether it is ready
    assert proxy.environment["FPROXY_CLIENT_KEYS"] == "sesame"
    assert limits.items() <= proxy.environment.items()
    assert "sesame" not in repr((firehose, aggregator, proxy))


def test_the_demo_takes_no_settings_from_around_it() -> None:
    ports = Ports(proxy=1, aggregator=2, firehose=3)
    children = demo_children(
        ports,
        4,
        markets=[STOCKS, MARKETS["options"]],
        simulation=["--rate=5"],
        log_level="debug",
        settings=known_settings(),
    )
    assert [child.port for child in children] == [4, 3, 2, 1]
    for child in children:
        assert known_settings() <= set(child.environment)
        assert child.environment["LOG_LEVEL"] == "debug"
        given = {name for name in known_settings() if child.environment[name]}
        kept = {"FPROXY_ENV_FILE", "LOG_LEVEL", "POLYGON_API_KEY", "FPROXY_CLIENT_KEYS", "FPROXY_STOP_AT_EOF"}
        assert given == kept | {"FPROXY_MARKETS"}
        assert child.environment["FPROXY_MARKETS"] == "stocks,options"


def test_the_demo_says_what_to_connect_and_how() -> None:
    text = demo_text(8765, [STOCKS])
    assert "ws://localhost:8765/stocks" in text
    assert " tail '*'" in text
    assert 'feed="localhost:8765"' in text
    assert " tail --url ws://localhost:9000/stocks '*'" in demo_text(9000, [STOCKS])
    text = demo_text(8765, [MARKETS["crypto"], STOCKS])
    assert "    ws://localhost:8765/crypto\n    ws://localhost:8765/stocks\n" in text
    assert " tail --market crypto '*'\n" in text
    assert " tail '*'\n" in text
    assert 'market="crypto", secure=False)\n    client.subscribe("XT.*")' in text
