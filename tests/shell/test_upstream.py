"""The connection to an upstream, over real sockets against servers that play every kind of upstream."""

import asyncio
import base64
import contextlib
import gc
import hashlib
import json
import logging
import re
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
import uvloop
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from fproxy._fastpath import FrameError
from fproxy.core.demand import MAX_DROPS, Demand
from fproxy.core.upstream_effects import Recovering
from fproxy.core.upstream_session import UpstreamSession
from fproxy.core.urls import UrlError
from fproxy.metrics import Metrics
from fproxy.shell import silence_watch, upstream_asking
from fproxy.shell.tls import UpstreamTls
from fproxy.shell.upstream import UpstreamConnection, UpstreamOptions
from fproxy.shell.upstream_answers import UpstreamAnswers
from fproxy.shell.upstream_link import UpstreamLink

KEY = "kEy-5e83a"
PATIENCE = 20.0
"""How long a test waits for what must come, in seconds; only a failing test waits that long."""

QUICK = UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02, close_timeout=0.1)
GREETING = '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
AUTHENTICATED = '[{"ev":"status","status":"auth_success","message":"authenticated"}]'
DENIED = {"ev": "status", "status": "error", "message": "not authorized"}


class Listener:
    """A role for tests: keeps what comes, and lets a test wait for it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.calls: list[str] = []
        self.refusals: list[tuple[tuple[str, ...], str]] = []
        self.unsound_reasons: list[str] = []
        self.streams: list[str] = []
        self.acknowledged: list[str] = []
        self.noticed = 0
        self.flushed = 0
        self.raises: Exception | None = None
        self.changed = asyncio.Event()

    timer = None

    def take(self, payload: memoryview) -> list[bytes] | None:
        self.messages.append(bytes(payload))
        self.calls.append("take")
        self.changed.set()
        if self.raises is not None:
            raise self.raises
        with contextlib.suppress(ValueError):
            events = json.loads(bytes(payload))
            return [json.dumps(event).encode() for event in events if event.get("ev") == "status"]
        return None

    def unsound(self, reason: str) -> None:
        self.unsound_reasons.append(reason)
        self.changed.set()

    def drained(self) -> None:
        self.flushed = len(self.messages)
        self.calls.append("drained")
        self.changed.set()

    def connected(self) -> None:
        self.calls.append("connected")
        self.changed.set()

    def whole(self, *, recovered: bool) -> None:
        self.streams.append("whole")
        self.changed.set()

    def interrupted(self, reason: str) -> None:
        self.streams.append(f"interrupted: {reason}")
        self.changed.set()

    def disconnected(self, reason: str) -> None:
        self.calls.append("disconnected")
        self.streams.append(f"disconnected: {reason}")
        self.changed.set()

    def unreachable(self, reason: str) -> None:
        self.streams.append(f"unreachable: {reason}")
        self.changed.set()

    def messages_came(self) -> None:
        self.noticed = len(self.messages)
        self.changed.set()

    def recovering(self, recovering: Recovering) -> None:
        self.streams.append("recovering")

    def recovered(self) -> None:
        self.streams.append("recovered")

    def unrecoverable(self) -> None:
        self.streams.append("unrecoverable")

    def given_up(self, topics: Sequence[str]) -> None:
        self.calls.append("given up")

    def confirmed(self, topics: Sequence[str]) -> None:
        self.acknowledged += topics
        self.changed.set()

    def refused(self, topics: Sequence[str], message: str) -> None:
        self.refusals.append((tuple(topics), message))
        self.changed.set()

    @property
    def data(self) -> list[bytes]:
        return [message for message in self.messages if b'"status"' not in message]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class LogWatch(logging.Handler):
    """Keeps the log of upstreams as lines, and lets a test wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.changed = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")
        if record.exc_info:
            self.lines.append("TRACEBACK")
        self.changed.set()

    async def line(self, pattern: str, *, times: int = 1) -> str:
        """Wait until ``times`` lines match all of ``pattern``; return the last of them."""
        async with asyncio.timeout(PATIENCE):
            while len(found := [line for line in self.lines if re.fullmatch(pattern, line)]) < times:
                self.changed.clear()
                await self.changed.wait()
        return found[times - 1]


@pytest.fixture
async def log() -> AsyncIterator[LogWatch]:
    watch = LogWatch()
    logger = logging.getLogger("fproxy.upstream")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(watch)
    yield watch
    logger.removeHandler(watch)
    logger.setLevel(level)


class Harness:
    """A connection with all that it needs, on its own metrics."""

    def __init__(
        self,
        url: str,
        *topics: str,
        options: UpstreamOptions = QUICK,
        linger: float = 30.0,
        ssl_context: ssl.SSLContext | None = None,
        api_key: str = KEY,
        name: str = "firehose",
    ) -> None:
        self.url = url
        self.listener = Listener()
        self.demand = Demand(linger=linger)
        for topic in topics:
            self.demand.acquire(topic)
        self.metrics = Metrics()
        self.connection = UpstreamConnection(
            name=name,
            url=url,
            api_key=api_key,
            demand=self.demand,
            listener=self.listener,
            metrics=self.metrics.of("stocks"),
            options=options,
            ssl_context=ssl_context,
        )

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            f"fproxy_{name}", {"upstream": self.connection.name, "market": "stocks", **labels}
        )

    def failures(self, reason: str) -> float:
        return self.metric("upstream_failures_total", reason=reason) or 0.0

    async def __aenter__(self) -> "Harness":
        self.connection.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.connection.stop()


Script = Callable[["Upstream", ServerConnection], Awaitable[None]]


class Upstream:
    """An upstream that greets, authenticates and acknowledges; a script says what it does after auth."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        greets: bool = True,
        answers_auth: bool = True,
        denies: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        sock: socket.socket | None = None,
    ) -> None:
        self.script = script
        self.greets = greets
        self.answers_auth = answers_auth
        self.denies = denies
        self.tls = tls
        self.sock = sock
        self.requests: list[tuple[str, str]] = []
        self.paths: list[str] = []
        self.hosts: list[str] = []
        self.closes: list[tuple[int | None, str | None]] = []
        self.connections: list[ServerConnection] = []
        self.changed = asyncio.Event()
        self.server: Server

    @property
    def port(self) -> int:
        return int(self.server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'ws' if self.tls is None else 'wss'}://localhost:{self.port}"

    @property
    def subscribed(self) -> list[str]:
        """Every topic asked for, in order."""
        return [
            topic for action, params in self.requests if action == "subscribe" for topic in params.split(",")
        ]

    async def __aenter__(self) -> "Upstream":
        where = {"sock": self.sock} if self.sock is not None else {"host": "127.0.0.1", "port": 0}
        self.server = await serve(
            self.serve_one, **where, ssl=self.tls, compression=None, ping_interval=None, close_timeout=1
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        self.server.close()
        await self.server.wait_closed()

    def kill(self) -> None:
        """Die without a word: reset every connection."""
        for connection in self.connections:
            connection.transport.abort()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def serve_one(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self.hosts.append(connection.request.headers["Host"])
        running: asyncio.Task[None] | None = None
        try:
            if self.greets:
                await connection.send(GREETING)
            async for message in connection:
                request = json.loads(message)
                action, params = request["action"], request["params"]
                self.requests.append((action, params))
                self.changed.set()
                if action == "auth":
                    if self.answers_auth:
                        await connection.send(AUTHENTICATED)
                    if self.script is not None:
                        running = asyncio.create_task(self.run_script(self.script, connection))
                else:
                    await self.acknowledge(connection, action, params.split(","))
        except ConnectionClosed:
            pass
        finally:
            self.closes.append((connection.close_code, connection.close_reason))
            self.changed.set()
            if running is not None:
                await running

    async def run_script(self, script: Script, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await script(self, connection)

    async def acknowledge(self, connection: ServerConnection, action: str, topics: list[str]) -> None:
        await connection.send(
            json.dumps(
                [
                    DENIED
                    if topic in self.denies
                    else {"ev": "status", "status": "success", "message": f"{action}d to: {topic}"}
                    for topic in topics
                ]
            )
        )


def saying(*messages: object) -> Script:
    """Return a script that sends these messages."""

    async def script(_upstream: Upstream, connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)  # type: ignore[arg-type]

    return script


@contextlib.contextmanager
def closed_port() -> Iterator[socket.socket]:
    """A socket with a port where nobody listens, and that nobody else can take."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


@contextlib.asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server below the level of WebSocket; yields its URL."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                await talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    match = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert match is not None
    accept = base64.b64encode(hashlib.sha1(match[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    first = (0x80 if fin else 0) | opcode
    if len(payload) < 126:
        return struct.pack(">BB", first, len(payload)) + payload
    if len(payload) < 1 << 16:
        return struct.pack(">BBH", first, 126, len(payload)) + payload
    return struct.pack(">BBQ", first, 127, len(payload)) + payload


CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def speaking(*writes: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A raw server that shakes hands, writes these bytes, and waits for the other side to go."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        for data in writes:
            writer.write(data)
            await writer.drain()
        await reader.read()

    return talk


SMALL = b'[{"ev":"T","sym":"AAPL"}]'
LARGE = b'[{"ev":"T","sym":"AAPL","x":"' + b"x" * 70_000 + b'"}]'
MIDDLE = b'[{"ev":"T","sym":"AAPL","x":"' + b"x" * 200 + b'"}]'


class TestSession:
    async def test_it_connects_authenticates_and_subscribes(self, log: LogWatch) -> None:
        async with Upstream(saying(SMALL.decode())) as upstream:
            async with Harness(upstream.url, "T.AAPL", "Q.*") as harness:
                await harness.listener.until(lambda: harness.listener.data)
                await upstream.until(lambda: len(upstream.requests) == 2)
                assert upstream.requests == [("auth", KEY), ("subscribe", "Q.*,T.AAPL")]
                assert harness.listener.data == [SMALL]
                assert harness.connection.ready
                assert harness.metric("upstream_up") == 1
                assert harness.metric("upstream_connects_total") == 1
            assert log.lines == [
                f"INFO Connecting to firehose at {upstream.url}",
                "INFO stocks connected to firehose proxy",
            ]
        assert harness.metric("upstream_up") == 0
        assert not harness.connection.ready

    async def test_the_listener_hears_of_the_connection_in_order(self) -> None:
        async with Upstream() as upstream, Harness(upstream.url, "T.A") as harness:
            await harness.listener.until(lambda: "connected" in harness.listener.calls)
            await upstream.until(lambda: upstream.subscribed)
        calls = [call for call in harness.listener.calls if call not in ("take", "drained")]
        assert calls == ["connected", "disconnected"]

    async def test_auth_does_not_wait_for_a_greeting(self) -> None:
        async with Upstream(greets=False) as upstream, Harness(upstream.url, "T.A"):
            await upstream.until(lambda: upstream.subscribed == ["T.A"])

    async def test_an_upstream_that_does_not_answer_auth(self, log: LogWatch) -> None:
        options = replace(QUICK, auth_wait=0.05)
        async with (
            Upstream(greets=False, answers_auth=False) as upstream,
            Harness(upstream.url, "100Ms.A", name="ms-aggregator", options=options),
        ):
            await upstream.until(lambda: upstream.subscribed == ["100Ms.A"])
            await log.line("INFO stocks connected to ms-aggregator proxy")

    async def test_every_message_is_counted(self) -> None:
        async with Upstream(saying(*[SMALL.decode()] * 10)) as upstream, Harness(upstream.url) as harness:
            await harness.listener.until(lambda: len(harness.listener.data) == 10)
        assert harness.connection.messages == len(harness.listener.messages) == 12
        assert harness.metric("frames_total") == 12

    async def test_statuses_beside_data_reach_listener_and_session(self) -> None:
        both = json.dumps([{"ev": "T", "sym": "A"}, json.loads(AUTHENTICATED)[0], {"ev": "Q", "sym": "A"}])
        async with (
            Upstream(saying(both), answers_auth=False) as upstream,
            Harness(upstream.url, "T.A") as harness,
        ):
            await upstream.until(lambda: upstream.subscribed == ["T.A"])
            assert (
                harness.listener.messages[-1] == both.encode() or both.encode() in harness.listener.messages
            )

    async def test_on_uvloop(self) -> None:
        # The loop that the program runs on, in a thread of its own beside the test's loop.
        async def session() -> list[bytes]:
            async with (
                Upstream(saying(MIDDLE.decode(), SMALL.decode())) as upstream,
                Harness(upstream.url, "T.A") as harness,
            ):
                await harness.listener.until(lambda: len(harness.listener.data) == 2)
                await upstream.until(lambda: upstream.subscribed == ["T.A"])
                upstream.kill()
                await upstream.until(lambda: upstream.subscribed == ["T.A", "T.A"])
                return harness.listener.data[:2]

        def run() -> list[bytes]:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(session())

        assert await asyncio.to_thread(run) == [MIDDLE, SMALL]


class TestDemandOverTheWire:
    async def test_changes_of_one_turn_go_in_one_message(self) -> None:
        async with Upstream() as upstream, Harness(upstream.url) as harness:
            await harness.listener.until(lambda: harness.connection.ready)
            for topic in ("T.A", "T.B", "T.C"):
                harness.demand.acquire(topic)
                harness.connection.poke()
            await upstream.until(lambda: len(upstream.requests) == 2)
            assert upstream.requests[1:] == [("subscribe", "T.A,T.B,T.C")]

    async def test_a_topic_that_nobody_wants_goes_after_the_linger(self) -> None:
        async with Upstream() as upstream, Harness(upstream.url, "T.A", "T.B", linger=0.05) as harness:
            await upstream.until(lambda: upstream.subscribed)
            harness.demand.release("T.A", time.monotonic())
            harness.demand.release("T.B", time.monotonic())
            harness.demand.acquire("T.B")
            harness.connection.poke()
            await upstream.until(lambda: len(upstream.requests) == 3)
            assert upstream.requests[2:] == [("unsubscribe", "T.A")]
            # And once more, for the timer must be set again.
            harness.demand.release("T.B", time.monotonic())
            harness.connection.poke()
            await upstream.until(lambda: len(upstream.requests) == 4)
            assert upstream.requests[3:] == [("unsubscribe", "T.B")]

    async def test_thousands_of_topics_go_some_at_a_time_as_all_their_answers_take_a_while_to_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upstream_asking, "DROP_INTERVAL", 3600.0)
        topics = [f"T.S{number}" for number in range(3 * MAX_DROPS)]
        async with Upstream() as upstream, Harness(upstream.url, *topics, linger=0.0) as harness:
            await upstream.until(lambda: len(upstream.subscribed) == len(topics))
            for topic in topics:
                harness.demand.release(topic, time.monotonic())
            harness.connection.poke()
            dropped = f"T.S{MAX_DROPS - 1}"
            await upstream.until(lambda: any(dropped in text.split(",") for _, text in upstream.requests))
            for _ in range(20):  # turns of the loop
                await asyncio.sleep(0)
            gone = [text for action, text in upstream.requests if action == "unsubscribe"]
            assert ",".join(gone).split(",") == topics[:MAX_DROPS]

    async def test_a_wildcard_goes_after_what_it_covered_has_come(self) -> None:
        async with Upstream() as upstream, Harness(upstream.url, "T.*", "T.A", linger=0.0) as harness:
            await upstream.until(lambda: upstream.subscribed)
            harness.demand.release("T.*", time.monotonic())
            harness.connection.poke()
            await upstream.until(lambda: len(upstream.requests) == 4)
            assert upstream.requests[1:] == [
                ("subscribe", "T.*"),
                ("subscribe", "T.A"),
                ("unsubscribe", "T.*"),
            ]

    async def test_a_large_set_goes_in_several_messages(self) -> None:
        topics = [f"T.S{number}" for number in range(3_456)]
        async with Upstream() as upstream, Harness(upstream.url, *topics) as harness:
            await upstream.until(lambda: len(upstream.subscribed) == len(topics))
            assert upstream.subscribed == topics
            assert len(upstream.requests) > 10
            assert not harness.listener.refusals

    async def test_what_is_wanted_while_the_upstream_is_away_is_asked_for_when_it_comes(self) -> None:
        with closed_port() as sock:
            port = sock.getsockname()[1]
            async with Harness(f"ws://127.0.0.1:{port}", "T.A") as harness:
                harness.connection.poke()
                harness.demand.acquire("T.B")
                harness.connection.poke()
                async with Upstream(sock=sock) as upstream:
                    await upstream.until(lambda: upstream.subscribed == ["T.A", "T.B"])


class TestRefusals:
    async def test_the_listener_is_told(self, log: LogWatch) -> None:
        async with (
            Upstream(denies=["NOI.A", "NOI.B"]) as upstream,
            Harness(upstream.url, "T.A", "NOI.A", "NOI.B") as harness,
        ):
            await harness.listener.until(lambda: harness.listener.refusals)
            assert harness.listener.refusals == [(("NOI.A", "NOI.B"), "not authorized")]
            assert harness.connection.refusal("NOI.A") == "not authorized"
            assert harness.connection.refusal("T.A") is None
            assert harness.metric("refused_topics_total") == 2
            await log.line("WARNING firehose refused NOI.A, NOI.B: not authorized")

    async def test_what_a_refused_wildcard_was_to_cover_is_asked_for(self) -> None:
        async with Upstream(denies=["T.*"]) as upstream, Harness(upstream.url, "T.*", "T.A") as harness:
            await upstream.until(lambda: upstream.subscribed == ["T.*", "T.A"])
            assert harness.listener.refusals == [(("T.*",), "not authorized")]

    async def test_after_a_reconnect_it_is_asked_for_again(self) -> None:
        async with Upstream(denies=["NOI.A"]) as upstream, Harness(upstream.url, "NOI.A") as harness:
            await harness.listener.until(lambda: harness.listener.refusals)
            upstream.kill()
            await harness.listener.until(lambda: len(harness.listener.refusals) == 2)
            assert upstream.subscribed == ["NOI.A", "NOI.A"]


class TestFrames:
    @pytest.mark.parametrize("message", [SMALL, MIDDLE, LARGE], ids=["small", "middle", "large"])
    async def test_text_and_binary(self, message: bytes) -> None:
        async with (
            Upstream(saying(message.decode(), message)) as upstream,
            Harness(upstream.url) as harness,
        ):
            await harness.listener.until(lambda: len(harness.listener.data) == 2)
            assert harness.listener.data == [message, message]

    @pytest.mark.parametrize("message", [SMALL, MIDDLE, LARGE], ids=["small", "middle", "large"])
    async def test_fragments_are_put_together(self, message: bytes) -> None:
        def pieces(count: int) -> list[str]:
            size = -(-len(message) // count)
            return [message[start : start + size].decode() for start in range(0, len(message), size)]

        script = saying(pieces(2), SMALL.decode(), pieces(7), MIDDLE.decode())
        async with Upstream(script) as upstream, Harness(upstream.url) as harness:
            await harness.listener.until(lambda: len(harness.listener.data) == 4)
            assert harness.listener.data == [message, SMALL, message, MIDDLE]

    async def test_control_frames_between_fragments(self) -> None:
        talk = speaking(
            frame(TEXT, MIDDLE[:10], fin=False),
            frame(PING, b"now?") + frame(CONTINUATION, MIDDLE[10:20], fin=False) + frame(PONG, b"why not"),
            frame(CONTINUATION, MIDDLE[20:] + b" " * 200),
        )
        async with raw_server(talk) as url, Harness(url) as harness:
            await harness.listener.until(lambda: harness.listener.messages)
            assert harness.listener.messages == [MIDDLE + b" " * 200]

    @pytest.mark.parametrize("last", [frame(PING, b"?"), frame(PONG)], ids=["ping", "pong"])
    async def test_a_burst_that_ends_in_a_control_frame_is_flushed(self, last: bytes) -> None:
        async with (
            raw_server(speaking(frame(TEXT, MIDDLE) + frame(TEXT, SMALL) + last)) as url,
            Harness(url) as harness,
        ):
            await harness.listener.until(lambda: harness.listener.flushed == 2)

    async def test_a_burst_that_ends_in_the_middle_of_a_frame_is_flushed(self) -> None:
        part = frame(TEXT, LARGE)[:5000]
        async with raw_server(speaking(frame(TEXT, MIDDLE) + part)) as url, Harness(url) as harness:
            await harness.listener.until(lambda: harness.listener.flushed == 1)

    async def test_messages_before_a_close_are_flushed(self, log: LogWatch) -> None:
        talk = speaking(frame(TEXT, MIDDLE) + frame(CLOSE, struct.pack(">H", 1001) + b"going away"))
        async with raw_server(talk) as url, Harness(url) as harness:
            await log.line(
                r"WARNING .*closed by the upstream with code 1001 \(going away\); next try in .* s"
            )
            assert harness.listener.flushed >= 1
            assert harness.listener.messages[0] == MIDDLE

    async def test_pings_are_answered(self) -> None:
        async with Upstream() as upstream, Harness(upstream.url) as harness:
            await harness.listener.until(lambda: harness.connection.ready)
            async with asyncio.timeout(PATIENCE):
                await (await upstream.connections[0].ping(b"are you there"))

    @pytest.mark.parametrize(
        ("frames", "reason", "text"),
        [
            (frame(TEXT, b"x" * 1001), "too_big", "a message longer than the limit of 1000 bytes"),
            (
                frame(TEXT, b"x" * 600, fin=False) + frame(CONTINUATION, b"x" * 401),
                "too_big",
                "a message longer than the limit of 1000 bytes",
            ),
            (
                frame(CONTINUATION, b"x"),
                "protocol",
                "the upstream broke the protocol: a fragment out of place",
            ),
            (
                frame(CONTINUATION, MIDDLE),  # long, and sound JSON
                "protocol",
                "the upstream broke the protocol: a fragment out of place",
            ),
            (
                frame(TEXT, b"x", fin=False) + frame(TEXT, b"x" * 200),
                "protocol",
                "the upstream broke the protocol: a fragment out of place",
            ),
            (
                frame(3, b"x"),
                "protocol",
                "the upstream broke the protocol: Received frame with invalid opcode.*",
            ),
        ],
        ids=[
            "too big",
            "too big in all",
            "continuation of nothing",
            "long continuation of nothing",
            "message in a message",
            "opcode",
        ],
    )
    async def test_what_may_not_be_drops_the_connection(
        self, log: LogWatch, frames: bytes, reason: str, text: str
    ) -> None:
        options = replace(QUICK, max_message_size=1000, reconnect_min=1.0)
        async with raw_server(speaking(frames)) as url, Harness(url, options=options) as harness:
            await log.line(rf"WARNING Failed to connect to firehose at {url}: {text}; next try in 1\.0 s")
            assert harness.failures(reason) == 1
            assert harness.listener.messages == []

    async def test_a_message_of_just_the_limit_passes(self) -> None:
        message = b"[" + b" " * 998 + b"]"
        talk = speaking(
            frame(TEXT, message) + frame(TEXT, message[:500], fin=False) + frame(CONTINUATION, message[500:])
        )
        options = replace(QUICK, max_message_size=1000)
        async with raw_server(talk) as url, Harness(url, options=options) as harness:
            await harness.listener.until(lambda: harness.listener.messages == [message, message])


class TestReconnecting:
    async def test_an_upstream_that_is_not_there_at_first(self, log: LogWatch) -> None:
        with closed_port() as sock:
            url = f"ws://127.0.0.1:{sock.getsockname()[1]}"
            async with Harness(url, "T.A") as harness:
                await log.line(
                    rf"WARNING Failed to connect to firehose at {url}: connection refused; next try in .* s"
                )
                async with Upstream(sock=sock) as upstream:
                    await upstream.until(lambda: upstream.subscribed == ["T.A"])
                    await log.line("INFO stocks connected to firehose proxy")
                assert harness.failures("refused") >= 1
        assert "TRACEBACK" not in log.lines

    async def test_the_first_try_comes_again_after_one_second(self, log: LogWatch) -> None:
        with closed_port() as sock:
            url = f"ws://localhost:{sock.getsockname()[1]}"
            async with Harness(url, options=UpstreamOptions()):
                await log.line(
                    rf"WARNING Failed to connect to firehose at {url}: connection refused; next try in 1\.0 s"
                )

    async def test_a_lost_connection_leaves_nothing_behind_for_the_garbage_collector(self) -> None:
        def links() -> int:
            kinds = UpstreamLink | UpstreamSession | UpstreamAnswers
            return sum(isinstance(each, kinds) for each in gc.get_objects())

        async with Upstream() as upstream, Harness(f"ws://127.0.0.1:{upstream.port}", "T.A") as harness:
            await harness.listener.until(lambda: harness.listener.acknowledged == ["T.A"])
            gc.collect()
            before = links()
            gc.disable()
            try:
                for number in range(2, 5):
                    upstream.kill()
                    await harness.listener.until(
                        lambda count=number: len(harness.listener.acknowledged) == count
                    )
                assert links() == before
            finally:
                gc.enable()

    async def test_killed_and_restarted_in_mid_stream(self, log: LogWatch) -> None:
        async def stream(upstream: Upstream, connection: ServerConnection) -> None:
            await upstream.until(lambda: upstream.subscribed)
            for number in range(1_000_000):
                await connection.send(json.dumps([{"ev": "T", "sym": "A", "n": number}]))
                await asyncio.sleep(0)  # a send that need not wait does not let others run

        with closed_port() as sock:
            sock.listen()
            port = sock.getsockname()[1]
            async with Harness(f"ws://127.0.0.1:{port}", "T.A", "Q.A") as harness:
                async with Upstream(stream, sock=sock.dup()) as first:
                    await harness.listener.until(lambda: len(harness.listener.data) > 100)
                    first.kill()
                    await harness.listener.until(lambda: "disconnected" in harness.listener.calls)
                    harness.demand.release("Q.A", time.monotonic())
                    harness.demand.acquire("A.A")
                    assert not harness.connection.ready
                before = [json.loads(message)[0]["n"] for message in harness.listener.data]
                assert before == list(range(len(before)))
                harness.listener.messages.clear()
                async with Upstream(stream, sock=sock) as second:
                    await harness.listener.until(lambda: len(harness.listener.data) > 100)
                    assert second.requests[0] == ("auth", KEY)
                    assert sorted(second.subscribed) == ["A.A", "T.A"]
                    after = [json.loads(message)[0]["n"] for message in harness.listener.data]
                    assert after == list(range(len(after)))
        calls = [call for call in harness.listener.calls if call not in ("take", "drained")]
        assert calls == ["connected", "disconnected"] * (len(calls) // 2)
        assert (harness.metric("upstream_connects_total") or 0) >= 2
        await log.line(r"WARNING Lost connection to firehose at .*: .*; next try in 0\.0 s")

    async def test_the_upstream_says_why_it_closes(self, log: LogWatch) -> None:
        async def close(_upstream: Upstream, connection: ServerConnection) -> None:
            await connection.close(4321, "see\nyou")

        async with Upstream(close) as upstream, Harness(upstream.url) as harness:
            await log.line(
                rf"WARNING Lost connection to firehose at {upstream.url}: closed by the upstream with code 4321"
                r" \(see you\); next try in 0\.0 s"
            )
            await upstream.until(lambda: len(upstream.connections) > 1)
            assert harness.failures("closed") >= 1

    async def test_a_connection_that_breaks_off(self, log: LogWatch) -> None:
        async with Upstream() as upstream, Harness(upstream.url) as harness:
            await harness.listener.until(lambda: harness.connection.ready)
            upstream.kill()
            await log.line(
                rf"WARNING Lost connection to firehose at {upstream.url}: the connection broke off; .*"
            )
            assert harness.failures("lost") == 1

    @pytest.mark.parametrize(
        ("status", "message", "reason", "text"),
        [
            (
                "max_connections",
                "Maximum number of websocket connections exceeded. You have reached the limit.",
                "max_connections",
                "too many connections: an account may have one for each market, and another program has it",
            ),
            ("auth_failed", "authentication failed", "auth_failed", "authentication failed"),
            (
                "auth_failed",
                f"no plan for {KEY}",
                "auth_failed",
                r"authentication failed \(it says: no plan for \*\*\*\)",
            ),
        ],
    )
    async def test_an_upstream_that_turns_away_is_left_alone_for_long(
        self, log: LogWatch, status: str, message: str, reason: str, text: str
    ) -> None:
        script = saying(json.dumps([{"ev": "status", "status": status, "message": message}]))
        async with Upstream(script, answers_auth=False) as upstream, Harness(upstream.url) as harness:
            line = await log.line(
                rf"WARNING Failed to connect to firehose at {upstream.url}: {text}.*; next try in .* s"
            )
            assert 60.0 <= float(line.split()[-2]) <= 120.0
            assert harness.failures(reason) == 1
        assert KEY not in "\n".join(log.lines)

    async def test_too_many_connections_said_by_the_close_alone(self, log: LogWatch) -> None:
        async def close(_upstream: Upstream, connection: ServerConnection) -> None:
            await connection.close(1008, "Maximum number of websocket connections exceeded")

        async with Upstream(close) as upstream, Harness(upstream.url) as harness:
            line = await log.line(r"WARNING Lost connection to .* next try in .* s")
            assert float(line.split()[-2]) >= 60.0
            assert harness.failures("max_connections") == 1

    async def test_auth_timeout_is_an_ordinary_failure(self, log: LogWatch) -> None:
        script = saying(
            '[{"ev":"status","status":"auth_timeout","message":"No authentication request received."}]'
        )
        async with Upstream(script, answers_auth=False) as upstream, Harness(upstream.url) as harness:
            await upstream.until(lambda: len(upstream.connections) > 2)
            assert harness.failures("auth_timeout") >= 2


class TestSilence:
    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wait long for the answer to a ping, as a busy machine may need that; what is asked is asked soon."""
        monkeypatch.setattr(silence_watch, "ANSWER_WITHIN", 20.0)

    @pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
    async def test_the_system_gives_up_an_upstream_that_is_gone(self) -> None:
        async with (
            Upstream() as upstream,
            Harness(upstream.url, options=replace(QUICK, silence=8.0)) as harness,
        ):
            await harness.listener.until(lambda: "connected" in harness.listener.calls)
            link = harness.connection._link
            assert link is not None
            sock = link._transport.underlying_transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 8_000

    async def test_a_program_that_was_held_up_asks_before_it_gives_up(self) -> None:
        """The other end was not asked for a sign of life, so its silence means nothing."""
        pings: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await shake_hands(reader, writer)
            await read_pings(reader, lambda: writer.write(frame(PONG)), pings)

        options = replace(QUICK, silence=0.3)
        async with raw_server(talk) as url, Harness(url, options=options) as harness:
            await harness.listener.until(lambda: "connected" in harness.listener.calls)
            time.sleep(0.6)  # noqa: ASYNC251 (this is what it is about)
            await wait_until(lambda: len(pings) >= 2)
            assert harness.failures("silent") == 0
            assert harness.metric("upstream_connects_total") == 1

    async def test_half_a_message_is_a_sign_of_life(self) -> None:
        """Silence counts from the last byte: a long message on a slow line is not silence."""

        rest = list(frame(TEXT, MIDDLE))
        pings: list[bytes] = []

        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            def send_a_byte_or_all() -> None:
                count = 1 if len(pings) < 3 else len(rest)
                writer.write(bytes(rest[:count]))
                del rest[:count]

            await shake_hands(reader, writer)
            await read_pings(reader, send_a_byte_or_all, pings)

        async with raw_server(drip) as url, Harness(url, options=replace(QUICK, silence=0.2)) as harness:
            # The second ping only comes because a byte after the first one broke the silence.
            await harness.listener.until(lambda: harness.listener.data)
            assert len(pings) >= 3
            assert harness.metric("upstream_connects_total") == 1

    async def test_a_silent_upstream_is_dropped(self, log: LogWatch, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await shake_hands(reader, writer)
            await gone.wait()

        gone = asyncio.Event()
        options = replace(QUICK, silence=0.05, reconnect_min=60.0, peer_reconnect_min=60.0)
        async with raw_server(hang) as url, Harness(url, options=options) as harness:
            await log.line(r"WARNING .*: silent: not a byte, .* within 0\.05 s; next try in 60\.0 s")
            assert harness.failures("silent") == 1
            gone.set()

    async def test_a_quiet_upstream_that_answers_pings_is_kept(self) -> None:
        options = replace(QUICK, silence=0.2)
        pings: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await shake_hands(reader, writer)
            await read_pings(reader, lambda: writer.write(frame(PONG)), pings)

        async with raw_server(talk) as url, Harness(url, options=options) as harness:
            await wait_until(lambda: len(pings) >= 3)
            assert harness.failures("silent") == 0
            assert harness.metric("upstream_connects_total") == 1

    async def test_data_is_a_sign_of_life_too(self) -> None:
        options = replace(QUICK, silence=0.2)
        pings: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await shake_hands(reader, writer)
            await read_pings(reader, lambda: writer.write(frame(TEXT, MIDDLE)), pings)

        async with raw_server(talk) as url, Harness(url, options=options) as harness:
            # The second ping only comes because the data after the first one broke the silence.
            await wait_until(lambda: len(pings) >= 2)
            assert harness.metric("upstream_connects_total") == 1

    async def test_pings_can_be_turned_off(self) -> None:
        options = replace(QUICK, silence=0.0)
        async with (
            Upstream(saying(SMALL.decode())) as upstream,
            Harness(upstream.url, options=options) as harness,
        ):
            await harness.listener.until(lambda: harness.listener.data)
            assert harness.failures("silent") == 0


async def read_pings(reader: asyncio.StreamReader, answer: Callable[[], None], pings: list[bytes]) -> None:
    """Read masked client frames until the connection ends; call ``answer`` for each ping."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            first, length = await reader.readexactly(2)
            payload = await reader.readexactly((length & 0x7F) + 4)
            if first & 0x0F == PING:
                pings.append(payload)
                answer()


async def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what gives no signal."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 (nothing to wait on)
            await asyncio.sleep(0.005)


class TestFailuresToConnect:
    async def expect(
        self, log: LogWatch, harness: Harness, text: str, reason: str, shown_url: str | None = None
    ) -> None:
        async with harness:
            url = re.escape(shown_url or harness.url)
            await log.line(rf"WARNING Failed to connect to firehose at {url}: {text}; next try in .* s")
            assert harness.failures(reason) >= 1
        assert "TRACEBACK" not in log.lines

    @pytest.mark.parametrize("host", ["nosuch.invalid", "x" * 64 + ".invalid"])
    async def test_a_host_without_an_address(self, log: LogWatch, host: str) -> None:
        await self.expect(log, Harness(f"ws://{host}:1"), f"cannot resolve host '{host}': .*", "unresolvable")

    @pytest.mark.parametrize(
        ("response", "text", "reason"),
        [
            (b"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP status 404 Not Found", "http_status"),
            (
                b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
                "HTTP status 503 Service Unavailable",
                "http_status",
            ),
            (
                b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n",
                "HTTP status 302 Found",
                "http_status",
            ),
            (b"HTTP/1.1 200 OK\r\n\r\n", "HTTP status 200 OK", "http_status"),
            (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not a WebSocket server: .*", "handshake"),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "not a WebSocket server: .*", "handshake"),
            (
                b"HTTP/1.1 101 Switching Protocols\r\n\x00\xff\n\x1b[31m\r\n\r\n",
                "not a WebSocket server: .*",
                "handshake",
            ),
            (b"", "connection closed during the handshake", "handshake"),
            (b"HTTP/1.1 1", "connection closed during the handshake", "handshake"),
        ],
    )
    async def test_a_server_that_speaks_something_else(
        self, log: LogWatch, response: bytes, text: str, reason: str
    ) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)

        async with raw_server(talk) as url:
            await self.expect(log, Harness(url), text, reason)
        assert all(line.isprintable() for line in log.lines)

    async def test_a_server_that_never_answers(self, log: LogWatch) -> None:
        ended: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            ended.append(await reader.read())

        options = replace(QUICK, connect_timeout=0.05)
        async with raw_server(talk) as url:
            await self.expect(log, Harness(url, options=options), r"no connection within 0\.05 s", "timeout")
            await wait_until(lambda: ended == [b""])

    async def test_secrets_in_the_url_are_not_shown(self, log: LogWatch) -> None:
        async with Upstream() as upstream:
            url = f"ws://me:hunter2@localhost:{upstream.port}/stocks?apiKey=s3cret"
            async with Harness(url):
                await log.line("INFO stocks connected to firehose proxy")
            assert upstream.paths == ["/stocks?apiKey=s3cret"]
            assert upstream.hosts == [f"localhost:{upstream.port}"]
            shown_url = f"ws://***@localhost:{upstream.port}/stocks?***"
        text = "\n".join(log.lines)
        assert "hunter2" not in text
        assert "s3cret" not in text
        assert shown_url in text

    async def test_secrets_that_an_upstream_repeats_are_not_shown(self, log: LogWatch) -> None:
        async def close(_upstream: Upstream, connection: ServerConnection) -> None:
            await connection.close(4001, f"{KEY} has no plan; nor has s3cret, of hunter2")

        async with Upstream(close) as upstream:
            url = f"ws://me:hunter2@localhost:{upstream.port}/stocks?apiKey=s3cret"
            async with Harness(url):
                await log.line(r".*\(\*\*\* has no plan; nor has \*\*\*, of \*\*\*\); next try in .* s")

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
            writer.write(f"WHAT IS {KEY} /stocks?apiKey=s3cret\r\n\r\n".encode())

        async with raw_server(refuse) as raw_url, Harness(raw_url + "/stocks?apiKey=s3cret"):
            await log.line(
                r".*: not a WebSocket server: .*what is \*\*\* /stocks\?apikey=\*\*\*.*; next try in .* s"
            )
        text = "\n".join(log.lines)
        assert not any(secret in text.lower() for secret in (KEY.lower(), "hunter2", "s3cret"))

    async def test_secrets_in_a_message_that_is_refused_are_not_shown(self) -> None:
        async with Upstream() as upstream, Harness(upstream.url) as harness:
            await harness.listener.until(lambda: harness.connection.ready)
            harness.listener.raises = FrameError(f"not sound JSON at byte 0: ...b'{KEY[2:]}? ab'...")
            await upstream.connections[0].send(SMALL)
            await harness.listener.until(lambda: harness.listener.unsound_reasons)
        assert harness.listener.unsound_reasons == ["not sound JSON at byte 0: ...b'***? ab'..."]

    def test_a_url_that_is_none(self) -> None:
        with pytest.raises(UrlError):
            Harness("http://localhost:8767")


class TestTls:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    def server_context(self, authority: trustme.CA, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(context)
        return context

    def client_context(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    async def test_a_trusted_server(self, authority: trustme.CA) -> None:
        messages = [SMALL, MIDDLE, LARGE] * 5
        script = saying(*(message.decode() for message in messages))
        async with (
            Upstream(script, tls=self.server_context(authority, "localhost")) as upstream,
            Harness(upstream.url, "T.A", ssl_context=self.client_context(authority)) as harness,
        ):
            assert upstream.url.startswith("wss:")
            await upstream.until(lambda: upstream.subscribed == ["T.A"])
            await harness.listener.until(lambda: len(harness.listener.data) == len(messages))
            assert harness.listener.data == messages

    async def test_an_unknown_authority_is_not_trusted(self, log: LogWatch, authority: trustme.CA) -> None:
        async with (
            Upstream(tls=self.server_context(authority, "localhost")) as upstream,
            Harness(upstream.url) as harness,
        ):
            await log.line(
                rf"WARNING Failed to connect to firehose at {upstream.url}: certificate not accepted: .*"
            )
            assert harness.failures("tls") >= 1
            assert upstream.requests == []

    async def test_a_certificate_for_another_host_is_not_accepted(
        self, log: LogWatch, authority: trustme.CA
    ) -> None:
        async with (
            Upstream(tls=self.server_context(authority, "example.org")) as upstream,
            Harness(upstream.url, ssl_context=self.client_context(authority)),
        ):
            await log.line(
                r"WARNING Failed to connect to firehose at .*: certificate not accepted: hostname mismatch; .*"
            )
            assert upstream.requests == []

    async def test_a_server_that_asks_for_a_certificate_is_shown_one(
        self, log: LogWatch, authority: trustme.CA, tmp_path: Path
    ) -> None:
        clients = trustme.CA()
        context = self.server_context(authority, "localhost")
        context.verify_mode = ssl.CERT_REQUIRED
        clients.configure_trust(context)
        own = clients.issue_cert("desk")
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        own.private_key_pem.write_to_path(tmp_path / "key.pem")
        own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        trust = UpstreamTls(upstream_ca=str(tmp_path / "ca.pem"))
        shown = replace(
            trust, upstream_cert=str(tmp_path / "cert.pem"), upstream_key=str(tmp_path / "key.pem")
        )
        async with Upstream(tls=context) as upstream:
            async with Harness(upstream.url, "T.A", options=replace(QUICK, tls=shown)):
                await upstream.until(lambda: upstream.subscribed == ["T.A"])
            async with Harness(upstream.url, "T.A", options=replace(QUICK, tls=trust)):
                await log.line(r"WARNING .* firehose at wss:.*; next try .*")
            broken = replace(shown, upstream_cert=str(tmp_path / "missing.pem"))
            async with Harness(upstream.url, "T.A", options=replace(QUICK, tls=broken)):
                await log.line(r"WARNING .* firehose at wss:.*: cannot read .*missing.pem: No such file.*")

    async def test_a_server_without_tls(self, log: LogWatch) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with raw_server(talk) as url, Harness(url.replace("ws:", "wss:")) as harness:
            await log.line(
                r"WARNING Failed to connect to firehose at wss:.*: TLS handshake failed: .*; next try .*"
            )
            assert harness.failures("tls") >= 1
        assert "TRACEBACK" not in log.lines

    async def test_it_can_be_stopped_within_the_handshake(self) -> None:
        came = asyncio.Event()
        ended = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            came.set()
            while await reader.read(1000):
                pass
            ended.set()

        async with raw_server(talk) as url:
            async with asyncio.timeout(PATIENCE):
                async with Harness(url.replace("ws:", "wss:")):
                    await came.wait()
                await ended.wait()


class TestListenersThatRaise:
    async def test_the_connection_goes_on(self, log: LogWatch) -> None:
        async with Upstream() as upstream, Harness(upstream.url) as harness:
            await harness.listener.until(lambda: harness.connection.ready)
            harness.listener.raises = RuntimeError("oh no")
            for message in (SMALL, MIDDLE, LARGE):
                await upstream.connections[0].send(message)
            await harness.listener.until(lambda: len(harness.listener.data) == 3)
            harness.listener.raises = None
            await upstream.connections[0].send(MIDDLE)
            await harness.listener.until(lambda: len(harness.listener.data) == 4)
            assert harness.listener.flushed >= 5
            assert len(upstream.connections) == 1
        errors = [line for line in log.lines if line.startswith("ERROR")]
        assert len(errors) == 1  # the others are held back
        assert "RuntimeError: oh no" in errors[0]

    @pytest.mark.parametrize("name", ["drained", "connected", "disconnected", "refused"])
    async def test_in_any_of_its_methods(self, log: LogWatch, name: str) -> None:
        harness_url = ""
        calls: list[str] = []

        def fail(*_: object) -> None:
            calls.append(name)
            raise RuntimeError("oh no")

        async with Upstream(saying(MIDDLE.decode()), denies=["NOI.A"]) as upstream:
            harness_url = upstream.url
            harness = Harness(harness_url, "T.A", "NOI.A")
            setattr(harness.listener, name, fail)
            async with harness:
                await harness.listener.until(lambda: harness.listener.data)
                await wait_until(lambda: harness.connection.refusal("NOI.A"))
                upstream.kill()
                await upstream.until(lambda: sorted(upstream.subscribed) == ["NOI.A"] * 2 + ["T.A"] * 2)
                assert calls
        assert any("RuntimeError: oh no" in line for line in log.lines)


class TestStopping:
    async def test_it_closes_in_order_and_leaves_nothing_running(self) -> None:
        before = asyncio.all_tasks()
        async with Upstream() as upstream:
            serving = asyncio.all_tasks()
            async with Harness(upstream.url, "T.A") as harness:
                await upstream.until(lambda: upstream.subscribed)
            await upstream.until(lambda: upstream.closes)
            assert upstream.closes == [(1001, "")]
            assert {task for task in asyncio.all_tasks() - serving if "upstream" in task.get_name()} == set()
            calls = len(harness.listener.calls)
            assert harness.listener.calls[-1] == "disconnected"
        assert asyncio.all_tasks() == before
        assert len(harness.listener.calls) == calls

    async def test_an_upstream_that_does_not_close_is_not_waited_for_long(self) -> None:
        gone = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await shake_hands(reader, writer)
            came.set()
            await gone.wait()

        came = asyncio.Event()
        options = replace(QUICK, close_timeout=0.02)
        async with raw_server(hang) as url:
            async with Harness(url, options=options):
                await came.wait()
            gone.set()

    async def test_while_it_waits_to_reconnect(self, log: LogWatch) -> None:
        with closed_port() as sock:
            url = f"ws://127.0.0.1:{sock.getsockname()[1]}"
            async with Harness(url, options=replace(QUICK, reconnect_min=3600.0)):
                await log.line("WARNING .* next try in 3600.0 s")

    async def test_while_it_connects(self) -> None:
        ended = asyncio.Event()
        came = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            came.set()
            assert await reader.read() == b""
            ended.set()

        async with raw_server(talk) as url:
            async with asyncio.timeout(PATIENCE):
                async with Harness(url) as harness:
                    await came.wait()
                await ended.wait()
        assert harness.listener.calls == []

    async def test_at_once(self) -> None:
        async with Upstream() as upstream:
            async with Harness(upstream.url):
                pass
            await asyncio.sleep(0)
            assert upstream.requests == []

    async def test_twice_or_without_a_start(self) -> None:
        harness = Harness("ws://localhost:1")
        await harness.connection.stop()
        async with Upstream() as upstream, Harness(upstream.url) as harness:
            await harness.listener.until(lambda: harness.connection.ready)
            await harness.connection.stop()
            harness.connection.poke()

    async def test_it_starts_only_once(self) -> None:
        with closed_port() as sock:
            async with Harness(f"ws://127.0.0.1:{sock.getsockname()[1]}") as harness:
                with pytest.raises(RuntimeError, match="firehose"):
                    harness.connection.start()
