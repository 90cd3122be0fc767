"""``fproxy tail`` as a process, against a server that follows a script."""

import asyncio
import json
import re
import signal
from collections import Counter

import pytest
from click.testing import CliRunner
from running_program import StartProgram
from scripted_server import BAR, QUOTE, TRADE, accept, serving, status
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Response

from fproxy.face import tail
from fproxy.face.cli import fproxy
from fproxy.face.tail import Silence, Tail
from fproxy.face.tail_settings import TailSettings


async def test_events_are_printed_as_they_come_and_counted_at_the_end(start: StartProgram) -> None:
    seen: list[tuple[str, list[str]]] = []
    closed = asyncio.get_running_loop().create_future()

    async def script(connection: ServerConnection) -> None:
        seen.append(await accept(connection))
        await connection.send(f"[{TRADE},{QUOTE}]")
        await connection.send(f"[{TRADE},{BAR}]".encode())  # a binary frame that holds JSON
        await connection.wait_closed()
        closed.set_result(connection.close_code)

    async with serving(script) as url:
        program = await start("tail", "T.MSFT,Q.BRK.B", "100Ms.AAPL, T.MSFT", "--url", url, TZ="UTC")
        assert await program.lines(4) == [
            "04:53:38.784  T      MSFT       114.1250 x 100",
            "04:53:38.785  Q      BRK.B          1.10 x 1               1.2 x 2",
            "04:53:38.784  T      MSFT       114.1250 x 100",
            "10:10:00.000  100Ms  AAPL     o 1.10  h 1.2  l 1  c 1.1  v 5",
        ]
        code, output, errors = await program.finish(signal.SIGINT)
        assert await closed == 1000
    assert (code, output) == (0, "")
    assert errors.splitlines()[:-1] == [
        f"Connected to {url}",
        "connected: Connected Successfully",
        "auth_success: authenticated",
        "success: subscribed to: T.MSFT",
        "success: subscribed to: Q.BRK.B",
        "success: subscribed to: 100Ms.AAPL",
    ]
    summary = errors.splitlines()[-1]
    assert summary.startswith("4 events in ")
    assert summary.endswith(" s: 2 T, 1 Q, 1 100Ms")
    assert seen == [("demo", ["T.MSFT", "Q.BRK.B", "100Ms.AAPL"])]


async def test_json_prints_the_bytes_of_each_event_as_they_came(start: StartProgram) -> None:
    odd = '{"ev":"T","sym":"\\u00e9\u00e9","p":1.50e0,"x":"[{},\\"]"}'

    async def script(connection: ServerConnection) -> None:
        await accept(connection)
        await connection.send(f" [{TRADE} , {odd}\n,{QUOTE}]")
        await connection.wait_closed()

    async with serving(script) as url:
        program = await start("tail", "*", "--json", "--count", "3", "--url", url)
        code, output, errors = await program.finish()
    assert code == 0
    assert output.splitlines() == [TRADE, odd, QUOTE]
    assert "3 events" in errors


async def test_statistics_take_the_place_of_events(start: StartProgram) -> None:
    async def script(connection: ServerConnection) -> None:
        await accept(connection)
        await connection.send(f"[{TRADE},{TRADE},{QUOTE}]")
        await connection.wait_closed()

    async with serving(script) as url:
        program = await start("tail", "*", "--stats", "--url", url, FORCE_COLOR="1")
        await program.error_line("it includes their difference")
        line = ""
        while "(" not in line:  # a second may pass before they come
            (line,) = await program.lines(1)
        assert re.fullmatch(
            r"[\d:]{8}  [\d.]+ events/s \([\d.]+ T, [\d.]+ Q\)  \S+ K?i?B/s  latency median \d+\.\d s p99 \d+\.\d s"
            r"  2 symbols",
            line,
        )
        code, _, errors = await program.finish(signal.SIGINT)
    assert code == 0
    assert "3 events in" in errors


async def test_statistics_as_json_lose_no_part_of_a_second(start: StartProgram) -> None:
    async def script(connection: ServerConnection) -> None:
        await accept(connection)
        await connection.send(f"[{TRADE},{TRADE},{QUOTE}]")
        await connection.wait_closed()

    async with serving(script) as url:
        program = await start("tail", "*", "--stats", "--json", "-n", "3", "--url", url)
        code, output, _ = await program.finish()
    records = [json.loads(line) for line in output.splitlines()]
    assert code == 0
    assert sum((Counter(record["events"]) for record in records), Counter()) == {"T": 2, "Q": 1}
    assert records[-1]["symbols"] == 2


async def test_count_ends_in_the_middle_of_a_message(start: StartProgram) -> None:
    async def script(connection: ServerConnection) -> None:
        await accept(connection)
        await connection.send(f"[{TRADE},{QUOTE},{TRADE}]")
        await connection.wait_closed()

    async with serving(script) as url:
        code, output, errors = await (await start("tail", "*", "-n", "2", "--url", url, "--json")).finish()
    assert (code, output.splitlines()) == (0, [TRADE, QUOTE])
    assert "2 events in" in errors


async def test_a_reader_that_has_had_enough_ends_it_quietly(start: StartProgram) -> None:
    """What ``| head`` does: it closes our output."""

    async def script(connection: ServerConnection) -> None:
        await accept(connection)
        while True:
            await connection.send(f"[{TRADE}]")

    async with serving(script) as url:
        program = await start("tail", "*", "--url", url, "--json")
        assert await program.lines(1) == [TRADE]
        transport = program.process.stdout._transport  # type: ignore[union-attr]
        transport.close()
        await program.error_line("subscribed to: *")
        assert (await program.error_line(" events in ")).endswith(" T")
        code, _, errors = await program.finish()
    assert (code, errors) == (0, "")


async def test_a_lost_connection_is_made_again(start: StartProgram) -> None:
    connections = 0

    async def script(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await accept(connection)
        await connection.send(f"[{TRADE}]")
        if connections == 1:
            await connection.close(1008, "slow consumer")
        await connection.wait_closed()

    async with serving(script) as url:
        program = await start("tail", "T.MSFT", "--url", url)
        lost = await program.error_line("Connection lost")
        assert lost.startswith(
            "Connection lost: closed by the server with code 1008 (slow consumer); next try in "
        )
        await program.lines(2)
        code, _, errors = await program.finish(signal.SIGTERM)
    assert code == 0
    assert "2 events in" in errors


async def test_without_retry_a_lost_connection_is_the_end(start: StartProgram) -> None:
    async def script(connection: ServerConnection) -> None:
        await accept(connection)
        await connection.send(f"[{TRADE}]")

    async with serving(script) as url:
        code, _, errors = await (await start("tail", "T.MSFT", "--url", url, "--no-retry")).finish()
    assert code == 1
    assert "Connection lost: closed by the server with code 1000" in errors
    assert "1 event in" in errors


async def test_a_server_that_is_not_there(start: StartProgram, unused_tcp_port: int) -> None:
    url = f"ws://user:sesame@127.0.0.1:{unused_tcp_port}/stocks?token=sesame"
    code, output, errors = await (await start("tail", "T.MSFT", "--url", url)).finish()
    shown = f"ws://***@127.0.0.1:{unused_tcp_port}/stocks?***"
    assert (code, output, errors) == (1, "", f"Cannot connect to {shown}: connection refused\n")


async def test_something_that_is_no_websocket_server(start: StartProgram) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        code, _, errors = await (await start("tail", "T.A", "--url", f"ws://127.0.0.1:{port}")).finish()
    assert code == 1
    assert "HTTP 404" in errors
    assert "Traceback" not in errors


async def test_a_path_that_is_not_served_is_told_with_those_that_are(start: StartProgram) -> None:
    async def refuse(connection: ServerConnection, _: object) -> Response:
        return connection.respond(404, "Nothing is served here; WebSocket clients connect to /stocks or /\n")

    async with serve(accept, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        program = await start("tail", "T.MSFT", "--url", f"ws://127.0.0.1:{port}", "--market", "crypto")
        code, output, errors = await program.finish()
    assert (code, output) == (1, "")
    assert errors == (
        f"Cannot connect to ws://127.0.0.1:{port}/crypto: HTTP 404: Nothing is served here; WebSocket clients "
        "connect to /stocks or /\n"
    )


@pytest.mark.parametrize("kind", ["auth_failed", "auth_timeout", "max_connections"])
async def test_a_refusal_is_told_and_not_tried_again(start: StartProgram, kind: str) -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(status(kind, "because"))

    async with serving(script) as url:
        code, _, errors = await (await start("tail", "T.MSFT", "--url", url, FPROXY_KEY="sesame")).finish()
    assert code == 1
    assert f"{kind}: because" in errors
    assert "sesame" not in errors


async def test_it_ends_when_no_topic_is_accepted(start: StartProgram) -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(status("connected", "Connected Successfully"))
        await connection.recv()
        await connection.send(status("auth_success", "authenticated"))
        await connection.recv()
        await connection.send(status("error", "not authorized"))
        await connection.wait_closed()

    async with serving(script) as url:
        code, _, errors = await (await start("tail", "NOI.MSFT", "--url", url)).finish()
    assert code == 1
    assert "error: not authorized" in errors
    assert "accepted none of the topics" in errors


async def test_messages_that_are_not_json_are_told_and_skipped(start: StartProgram) -> None:
    async def script(connection: ServerConnection) -> None:
        await accept(connection)
        await connection.send("oops")
        await connection.send("[" * 100_000)
        await connection.send(f"[{TRADE}]")
        await connection.wait_closed()

    async with serving(script) as url:
        code, output, errors = await (await start("tail", "*", "-n", "1", "--json", "--url", url)).finish()
    assert (code, output) == (0, f"{TRADE}\n")
    assert errors.count("not a JSON array of objects") == 2


async def test_control_characters_of_a_server_do_not_reach_the_terminal(start: StartProgram) -> None:
    async def script(connection: ServerConnection) -> None:
        await accept(connection)
        await connection.send(status("success", "\x1b[31mred"))
        await connection.send(f"[{TRADE}]")
        await connection.close(1001, "\x1b[31mred")

    async with serving(script) as url:
        _, _, errors = await (await start("tail", "*", "--no-retry", "--url", url)).finish()
    assert "[31mred" in errors
    assert "\x1b" not in errors


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "demo"),
        ({"POLYGON_API_KEY": "vendor"}, "vendor"),
        ({"POLYGON_API_KEY": "vendor", "FPROXY_CLIENT_KEYS": "first, second"}, "first"),
        ({"POLYGON_API_KEY": "vendor", "FPROXY_CLIENT_KEYS": "*"}, "demo"),
        ({"POLYGON_API_KEY": "vendor", "FPROXY_KEY": "own"}, "own"),
    ],
)
async def test_the_key_is_the_one_that_a_local_proxy_wants(
    start: StartProgram, settings: dict[str, str], key: str
) -> None:
    seen: list[str] = []

    async def script(connection: ServerConnection) -> None:
        seen.append((await accept(connection))[0])
        await connection.send(f"[{TRADE}]")
        await connection.wait_closed()

    async with serving(script) as url:
        code, _, errors = await (await start("tail", "*", "-n", "1", "--url", url, **settings)).finish()
    assert (code, seen) == (0, [key])
    assert key == "demo" or key not in errors


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["t.aapl"], "did you mean T.AAPL?"),
        (["T.AAPL,100000Ms.AAPL"], "interval outside 1 to 60000 ms"),
        ([" , "], "no topic given"),
        ([], "Missing argument"),
        (["*", "--count", "0"], "'0' is not a whole number from 1"),
        (["*", "--url", "localhost:8765"], "allowed is ws://HOST[:PORT][/PATH]"),
    ],
)
def test_what_cannot_be_followed_is_named(arguments: list[str], error: str) -> None:
    result = CliRunner().invoke(fproxy, ["tail", *arguments])
    assert result.exit_code == 2
    assert error in result.output


def test_silence_is_told_of_less_and_less_often() -> None:
    silence = Silence(5.0)
    assert 0 < silence.left <= 5
    assert "No event of T.A, T.B, T.C and 1 more for 5 s." in silence.sentence(["T.A", "T.B", "T.C", "T.D"])
    assert 5 < silence.left <= 10
    assert "No event of * for 10 s." in silence.sentence(["*"])


async def test_a_topic_that_brings_nothing_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    silent = asyncio.Event()

    def say(text: str, colour: str | None = None) -> None:
        said.append(text)
        if "No event of T.NONE" in text:
            silent.set()

    async def script(connection: ServerConnection) -> None:
        await accept(connection)
        await silent.wait()
        await connection.send(f"[{TRADE}]")
        await connection.wait_closed()

    monkeypatch.setattr(tail, "say", say)
    monkeypatch.setattr(tail, "write_lines", lambda lines: None)
    async with serving(script) as url, asyncio.timeout(30):
        assert await Tail(TailSettings(url=url, key="", topics=("T.NONE",), limit=1, silence=0.01)).run() == 0
    assert any("No event of T.NONE for 0.01 s" in text for text in said)
