"""The filtered proxy as its users meet it: real upstreams, real clients, real sockets."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from market_data import split_events
from massive import WebSocketClient
from massive.websocket.models import EquityAgg, EquityTrade
from scripted_upstream import PATIENCE, ScriptedUpstream, is_notice, until_up
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from fproxy.core.slow_client_policy import SlowClientPolicy
from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.settings import FilteredProxySettings, ServerSettings
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.upstream import UpstreamOptions

KEY = "kEy-1f07"


class Chain:
    """A filtered proxy between two scripted upstreams."""

    def __init__(self, firehose: ScriptedUpstream, aggregator: ScriptedUpstream, **settings: Any) -> None:
        self.firehose = firehose
        self.aggregator = aggregator
        self.metrics = Metrics()
        limits = settings.pop("limits", ClientLimits())
        options = {"unsubscribe_linger": 0.0, **settings}
        self.proxy = FilteredProxy(
            FilteredProxySettings(
                server=ServerSettings(port=0, client_keys=(KEY,), limits=limits),
                upstream=UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02, auth_wait=0.05),
                firehose_url=firehose.url,
                aggregator_url=aggregator.url,
                polygon_api_key="upstream-key",
                **options,
            ),
            self.metrics,
        )

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"fproxy_{name}", {"market": "stocks", **labels}) or 0.0

    async def client(self, *topics: str, path: str = "/stocks") -> "Client":
        client = Client(await connect(f"ws://127.0.0.1:{self.proxy.port}{path}", max_size=None))
        if path == "/stocks":
            assert (await client.status())[0]["status"] == "connected"
        await client.send("auth", KEY)
        assert (await client.status())[0]["status"] == "auth_success"
        if topics:
            await client.subscribe(*topics)
        return client


class Client:
    """A client that keeps everything: statuses, notices of streams, and data, which it keeps byte for byte."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: list[bytes] = []
        self.notices: list[dict[str, Any]] = []

    async def send(self, action: str, params: Any) -> None:
        await self.connection.send(json.dumps({"action": action, "params": params}))

    async def status(self) -> list[dict[str, str]]:
        """Return the next status message; data before it is kept."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = (await self.connection.recv(decode=False)) or b""
                events = split_events(message)
                if b'"ev":"status"' in message:
                    assert all(b'"ev":"status"' in event for event in events), "control and data never mix"
                    statuses = [json.loads(event) for event in events]
                    if not is_notice(statuses[0]):
                        return statuses
                    self.notices += statuses
                else:
                    self.events += events

    async def notice(self) -> dict[str, Any]:
        """Return the next notice of a stream; data before it is kept."""
        async with asyncio.timeout(PATIENCE):
            while not self.notices:
                self._keep(await self.connection.recv(decode=False))
        return self.notices.pop(0)

    def _keep(self, message: bytes) -> None:
        for event in split_events(message):
            if b'"ev":"status"' in event and is_notice(notice := json.loads(event)):
                self.notices.append(notice)
            else:
                self.events.append(event)

    async def subscribe(self, *topics: str) -> None:
        await self.send("subscribe", ",".join(topics))
        expected = [("success", f"subscribed to: {topic}") for topic in topics]
        assert [(status["status"], status["message"]) for status in await self.status()] == expected

    async def unsubscribe(self, *topics: str) -> None:
        await self.send("unsubscribe", ",".join(topics))
        expected = [("success", f"unsubscribed to: {topic}") for topic in topics]
        assert [(status["status"], status["message"]) for status in await self.status()] == expected

    async def take(self, count: int) -> list[bytes]:
        """Return the next events, exactly as many."""
        async with asyncio.timeout(PATIENCE):
            while len(self.events) < count:
                self._keep(await self.connection.recv(decode=False))
        assert len(self.events) == count
        taken, self.events = self.events, []
        return taken


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Chain]:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        chain = Chain(firehose, aggregator, **settings)
        await chain.proxy.start()
        try:
            await until_up(*chain.proxy.markets["stocks"].streams.values())
            yield chain
        finally:
            await chain.proxy.stop()


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    async with running() as chain:
        yield chain


def event(event_type: str, symbol: str, number: int = 0) -> bytes:
    key = {"LULD": "T"}.get(event_type, "sym")
    return json.dumps({"ev": event_type, key: symbol, "n": number}, separators=(",", ":")).encode()


def array(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


async def test_one_stream_from_two_upstreams(chain: Chain) -> None:
    client = await chain.client("T.AAPL", "A.AAPL", "100Ms.AAPL", "LULD.*")
    await chain.firehose.until_subscribed("T.AAPL", "LULD.*")
    await chain.aggregator.until_subscribed("A.AAPL", "100Ms.AAPL")
    assert chain.firehose.topics == {"T.AAPL", "LULD.*"}
    assert chain.aggregator.topics == {"A.AAPL", "100Ms.AAPL"}
    await chain.firehose.send(array(event("T", "AAPL", 1), event("T", "MSFT"), event("LULD", "F", 2)))
    assert await client.take(2) == [event("T", "AAPL", 1), event("LULD", "F", 2)]
    await chain.aggregator.send(
        array(event("A", "AAPL", 3), event("100Ms", "AAPL", 4), event("250Ms", "AAPL"))
    )
    assert await client.take(2) == [event("A", "AAPL", 3), event("100Ms", "AAPL", 4)]


async def test_everything_comes_once_from_where_it_is_served(chain: Chain) -> None:
    """A firehose that sends everything, bars included, beside the aggregator that forwards them."""
    client = await chain.client("*", "T.AAPL", "A.*")
    await chain.firehose.until_subscribed("T.*", "Q.*", "LULD.*", "FMV.*")
    await chain.aggregator.until_subscribed("A.*", "AM.*")
    await chain.firehose.send(
        array(event("A", "X"), event("T", "AAPL"), event("NOI", "Y"), event("BRANDNEW", "Z"))
    )
    assert await client.take(3) == [event("T", "AAPL"), event("NOI", "Y"), event("BRANDNEW", "Z")]
    await chain.aggregator.send(
        array(event("A", "X"), event("T", "AAPL"), event("100Ms", "X"), event("AM", "X"))
    )
    assert await client.take(2) == [event("A", "X"), event("AM", "X")]


@pytest.mark.parametrize("path", ["/", "/stocks"])
async def test_upstreams_need_not_be_there(path: str) -> None:
    """Clients are served all the same, and get data as soon as there is some."""
    firehose, aggregator = ScriptedUpstream(), ScriptedUpstream(answers=False)
    async with firehose, aggregator:
        pass
    chain = Chain(firehose, aggregator)
    await chain.proxy.start()
    client = await chain.client("T.AAPL", "A.AAPL", path=path)
    async with firehose, aggregator:
        await firehose.until_subscribed("T.AAPL")
        await aggregator.until_subscribed("A.AAPL")
        await aggregator.send(array(event("A", "AAPL")))
        assert await client.take(1) == [event("A", "AAPL")]
        await chain.proxy.stop()
    with pytest.raises(ConnectionClosed) as closed:
        await client.take(1)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_an_upstream_is_killed_and_restarted_in_mid_stream(chain: Chain) -> None:
    client = await chain.client("T.*", "A.AAPL")
    await chain.firehose.until_subscribed("T.*")
    await chain.aggregator.until_subscribed("A.AAPL")
    for restart in range(3):
        await chain.firehose.send(array(event("T", "AAPL", restart)))
        assert await client.take(1) == [event("T", "AAPL", restart)]
        # In the middle of a message, which must be lost whole.
        await chain.firehose.write(Frame(Opcode.TEXT, array(event("T", "CUT"))).serialize(mask=False)[:-5])
        await chain.firehose.stop()
        await chain.aggregator.send(array(event("A", "AAPL", restart)))
        assert await client.take(1) == [event("A", "AAPL", restart)]
        await client.subscribe(f"Q.S{restart}")
        await chain.firehose.start()
        await chain.firehose.until_subscribed("T.*", *(f"Q.S{i}" for i in range(restart + 1)))
    assert chain.firehose.connections == 4
    assert [m["params"] for m in chain.firehose.messages if m["action"] == "auth"] == ["upstream-key"] * 4


async def test_subscriptions_are_counted(chain: Chain) -> None:
    one, other = await chain.client("T.AAPL"), await chain.client("T.AAPL", "Q.F")
    await chain.firehose.until_subscribed("T.AAPL", "Q.F")
    await one.unsubscribe("T.AAPL", "T.NEVER")
    await other.unsubscribe("Q.F")
    await chain.firehose.until(lambda: "Q.F" not in chain.firehose.topics)
    assert chain.firehose.topics == {"T.AAPL"}
    await other.connection.close()
    await chain.firehose.until(lambda: not chain.firehose.topics)
    asked = [m["params"] for m in chain.firehose.messages if m["action"] == "subscribe"]
    assert sorted(",".join(asked).split(",")) == ["Q.F", "T.AAPL"]


async def test_nothing_after_unsubscribing_and_everything_after_subscribing(chain: Chain) -> None:
    """The acknowledgement is the border, to the event, while data flows without a pause."""
    client = await chain.client("T.KEPT")
    await chain.firehose.until_subscribed("T.KEPT")
    sent = 0
    stopping = False

    async def flow() -> None:
        nonlocal sent
        while not stopping:
            await chain.firehose.send(array(event("T", "AAPL", sent), event("T", "KEPT", sent)))
            sent += 1
            await asyncio.sleep(0)

    flowing = asyncio.create_task(flow())
    borders: list[tuple[int, bool]] = []
    for turn in range(40):
        await (client.unsubscribe if turn % 2 else client.subscribe)("T.AAPL")
        borders.append((len(client.events), turn % 2 == 0))
    stopping = True
    await flowing
    async with asyncio.timeout(PATIENCE):
        while not client.events or json.loads(client.events[-1]) != {"ev": "T", "sym": "KEPT", "n": sent - 1}:
            client.events += split_events(await client.connection.recv(decode=False))
    for (begin, subscribed), (end, _) in zip(
        borders, [*borders[1:], (len(client.events), False)], strict=True
    ):
        if not subscribed:
            # What stands behind the acknowledgement belongs to the time without the subscription.
            assert all(json.loads(e)["sym"] == "KEPT" for e in client.events[begin:end])
    kept = [json.loads(e)["n"] for e in client.events if json.loads(e)["sym"] == "KEPT"]
    assert kept == list(range(sent))
    between = [json.loads(e)["n"] for e in client.events if json.loads(e)["sym"] == "AAPL"]
    for begin, end in zip(borders[::2], borders[1::2], strict=True):
        numbers = [
            json.loads(e)["n"] for e in client.events[begin[0] : end[0]] if json.loads(e)["sym"] == "AAPL"
        ]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
    assert between == sorted(set(between))


async def test_subscription_storms_while_data_flows(chain: Chain) -> None:
    """Many clients change their minds at random; between settled points each gets exactly what it asked for."""
    pick = random.Random(7)
    symbols = [f"S{i}" for i in range(12)]
    wanted: list[set[str]] = [set() for _ in range(12)]
    clients = [await chain.client("Q.END") for _ in wanted]
    await chain.firehose.until_subscribed("Q.END")
    choices = [*(f"T.{symbol}" for symbol in symbols), "T.*", "*"]
    for number in range(6):

        async def storm(client: Client, topics: set[str]) -> None:
            for _ in range(15):
                topic = pick.choice(choices)
                if topic in topics and pick.random() < 0.7:
                    await client.unsubscribe(topic)
                    topics.discard(topic)
                else:
                    await client.subscribe(topic)
                    topics.add(topic)

        async def noise() -> None:
            for i in range(60):
                await chain.firehose.send(array(*(event("T", pick.choice(symbols), -i) for _ in range(5))))
                await asyncio.sleep(0)

        await asyncio.gather(noise(), *(storm(c, t) for c, t in zip(clients, wanted, strict=True)))
        await chain.firehose.send(array(event("Q", "END", number)))
        for client in clients:
            await until_event(client, event("Q", "END", number))
        frame = [event("T", pick.choice(symbols), i) for i in range(100)]
        await chain.firehose.send(array(*frame, event("Q", "END", number)))
        for client, topics in zip(clients, wanted, strict=True):
            got = await until_event(client, event("Q", "END", number))
            assert got == [e for e in frame if topics & {"*", "T.*", f"T.{json.loads(e)['sym']}"}]


async def until_event(client: Client, last: bytes) -> list[bytes]:
    """Return the events before the one that ends them, which is the last sent."""
    async with asyncio.timeout(PATIENCE):
        while not client.events or client.events[-1] != last:
            client.events += split_events(await client.connection.recv(decode=False))
    taken, client.events = client.events[:-1], []
    return taken


@pytest.mark.parametrize("seed", range(5))
async def test_messages_arrive_in_any_chunks_and_fragments(chain: Chain, seed: int) -> None:
    pick = random.Random(seed)
    client = await chain.client("T.*")
    await chain.firehose.until_subscribed("T.*")
    expected: list[bytes] = []
    stream = b""
    for number in range(60):
        events = [event("T", "AAPL", number * 1000 + i) for i in range(pick.choice([1, 1, 2, 50, 900]))]
        expected += events
        payload = pick.choice([array(*events), b" [" + b" ,\n".join(events) + b"] "])
        opcode = pick.choice([Opcode.TEXT, Opcode.BINARY])
        while True:
            cut = pick.randint(0, len(payload)) if pick.random() < 0.6 else len(payload)
            piece, payload = payload[:cut], payload[cut:]
            stream += Frame(opcode, piece, fin=not payload).serialize(mask=False)
            if pick.random() < 0.2:
                stream += Frame(Opcode.PING, b"ping").serialize(mask=False)
            opcode = Opcode.CONT
            if not payload:
                break
    while stream:
        size = pick.choice([1, 2, 7, 100, 5000, 70_000])
        await chain.firehose.write(stream[:size])
        stream = stream[size:]
        await asyncio.sleep(0)
    assert await client.take(len(expected)) == expected


async def test_unsound_messages_are_refused_whole_counted_and_logged(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    client = await chain.client("T.*")
    await chain.firehose.until_subscribed("T.*")
    for _ in range(50):
        await chain.firehose.send(array(event("T", "A")) + b"]")
        await chain.firehose.send(b'[{"ev":"T","sym":"A"},{"ev":"T","sym":"B"')
    await chain.firehose.send(array(event("T", "SOUND")))
    assert await client.take(1) == [event("T", "SOUND")]
    assert chain.count("refused_frames_total", upstream="firehose") == 100
    lines = [record.getMessage() for record in caplog.records if "was refused" in record.getMessage()]
    assert len(lines) == 1, "logged without flooding"
    assert "firehose" in lines[0]
    assert "byte" in lines[0]


async def test_a_key_in_an_unsound_message_is_not_logged(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    client = await chain.client("T.*")
    await chain.firehose.until_subscribed("T.*")
    await chain.firehose.send(b"is upstream-key the key of a plan?")
    await chain.firehose.send(array(event("T", "SOUND")))
    assert await client.take(1) == [event("T", "SOUND")]
    [line] = [record.getMessage() for record in caplog.records if "was refused" in record.getMessage()]
    assert "is ***" in line
    assert "upstr" not in line


async def test_odd_but_sound_messages(chain: Chain) -> None:
    client = await chain.client("T.*", "100Ms.AAPL")
    await chain.firehose.until_subscribed("T.*")
    await chain.aggregator.until_subscribed("100Ms.AAPL")
    for message in (
        b"[]",
        b" [ ] ",
        b'{"ev":"T","sym":"ONE"}',
        b'[1,null,{"ev":"T","sym":"TW\\u004f"}]',
        b"{}",
    ):
        await chain.firehose.send(message)
    await chain.firehose.send(array(event("T", "END")), opcode=Opcode.BINARY)
    assert await client.take(3) == [
        b'{"ev":"T","sym":"ONE"}',
        b'{"ev":"T","sym":"TW\\u004f"}',
        event("T", "END"),
    ]
    forms = [
        b'{"T":"b","S":"AAPL","o":150.20,"interval":100}',
        b'{"ev":"MB","sym":"AAPL","s":1000,"e":1100}',
        b'{"T":"b","S":"AAPL","o":150.20}',
        event("100Ms", "AAPL"),
    ]
    others = [b'{"T":"b","S":"AAPL","interval":250}', b'{"T":"b","S":"MSFT","interval":100}']
    await chain.aggregator.send(array(*others, *forms))
    assert await client.take(4) == forms


async def test_status_events_of_an_upstream_are_not_data(chain: Chain) -> None:
    client = await chain.client("*")
    await chain.firehose.until_subscribed("T.*")
    await chain.firehose.send(array(b'{"ev":"status","status":"success","message":"hello"}', event("T", "A")))
    assert await client.take(1) == [event("T", "A")]


async def test_refusals_reach_the_clients_whose_subscriptions_they_answer() -> None:
    async with ScriptedUpstream(refuses=["NOI.AAPL", "FMV.*"]) as firehose, ScriptedUpstream() as aggregator:
        chain = Chain(firehose, aggregator)
        await chain.proxy.start()
        asking, everything = await chain.client("T.AAPL", "NOI.AAPL"), await chain.client("*")
        unconcerned = await chain.client("T.AAPL")
        assert await asking.status() == [
            {"ev": "status", "status": "error", "message": "not authorized: NOI.AAPL"}
        ]
        assert await everything.status() == [
            {"ev": "status", "status": "error", "message": "not authorized: FMV.*"}
        ]
        late = await chain.client("NOI.AAPL")
        assert await late.status() == [
            {"ev": "status", "status": "error", "message": "not authorized: NOI.AAPL"}
        ]
        await firehose.send(array(event("T", "AAPL")))
        for client in (asking, everything, unconcerned):
            assert await client.take(1) == [event("T", "AAPL")]
        assert chain.count("refused_topics_total", upstream="firehose") == 2
        await chain.proxy.stop()


async def test_a_refusal_comes_behind_the_acknowledgement_of_many_topics() -> None:
    """So many that they are taken in steps, between which other work is done."""
    async with ScriptedUpstream(refuses=["NOI.AAPL"]) as firehose, ScriptedUpstream() as aggregator:
        chain = Chain(firehose, aggregator)
        await chain.proxy.start()
        asking = await chain.client("NOI.AAPL")
        assert (await asking.status())[0]["message"] == "not authorized: NOI.AAPL"
        late = await chain.client()
        await late.subscribe("NOI.AAPL", *(f"T.S{i}" for i in range(2000)))
        assert (await late.status())[0]["message"] == "not authorized: NOI.AAPL"
        await chain.proxy.stop()


async def test_a_client_may_have_so_many_topics() -> None:
    async with running(limits=ClientLimits(max_topics=2)) as chain:
        client, other = await chain.client("T.A", "T.B"), await chain.client("T.C")
        await client.send("subscribe", "T.C,T.A")
        assert [status["message"] for status in await client.status()] == [
            "too many topics, a client may have 2: T.C",
            "subscribed to: T.A",
        ]
        await chain.firehose.until_subscribed("T.A", "T.B", "T.C")
        await chain.firehose.send(array(*(event("T", symbol) for symbol in "ABC")))
        assert await client.take(2) == [event("T", "A"), event("T", "B")]
        assert await other.take(1) == [event("T", "C")]
        await client.unsubscribe("T.A")
        await client.subscribe("T.C")
        await chain.firehose.send(array(*(event("T", symbol) for symbol in "ABC")))
        assert await client.take(2) == [event("T", "B"), event("T", "C")]
        assert chain.count("control_errors_total") == 1


async def test_a_slow_consumer_is_told_and_harms_no_one() -> None:
    async with running(limits=ClientLimits(max_unsent_bytes=256 * 1024)) as chain:
        slow, quick = await chain.client("T.*"), await chain.client("T.*")
        await chain.firehose.until_subscribed("T.*")
        slow.connection.transport.pause_reading()
        frame = array(*(event("T", "AAPL", i) for i in range(2000)))
        sent = 0
        while not chain.count("slow_consumers_total", reason="bytes"):
            await chain.firehose.send(frame)
            sent += 1
            assert len(await quick.take(2000)) == 2000
        slow.connection.transport.resume_reading()
        with pytest.raises(ConnectionClosed) as closed:
            await slow.take(2000 * (sent + 1))
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "slow consumer")
        await chain.firehose.send(array(event("T", "END")))
        assert await quick.take(1) == [event("T", "END")]
        await chain.firehose.until(lambda: True)
        assert chain.count("clients") == 1


async def test_a_client_that_blocks_gets_everything_however_slowly_it_reads() -> None:
    limits = ClientLimits(slow_client=SlowClientPolicy.BLOCK, max_unsent_bytes=1 << 20, max_lag=0.05)
    async with running(limits=limits) as chain:
        client = await chain.client("T.*")
        await chain.firehose.until_subscribed("T.*")
        client.connection.transport.pause_reading()
        padded = event("T", "AAPL").replace(b"}", b',"padding":"%s"}' % (b"x" * 10_000))
        sent = [b"%s%d}" % (padded[:-1] + b',"n":', number) for number in range(6_000)]

        async def send() -> None:
            for at in range(0, len(sent), 20):
                await chain.firehose.send(array(*sent[at : at + 20]))

        sending = asyncio.create_task(send())
        # 60 MB are more than the kernels' buffers take, and more than may wait for the client.
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
        client.connection.transport.resume_reading()
        assert await client.take(len(sent)) == sent
        await sending
        assert chain.count("slow_consumers_total", reason="bytes") == 0


async def test_a_coalescing_window_makes_fewer_messages_and_loses_none() -> None:
    async with running(coalesce_ms=50.0) as chain:
        client = await chain.client("T.*")
        await chain.firehose.until_subscribed("T.*")
        for number in range(20):
            await chain.firehose.send(array(event("T", "A", number)))
        messages = []
        async with asyncio.timeout(PATIENCE):
            while sum(len(split_events(message)) for message in messages) < 20:
                messages.append(await client.connection.recv(decode=False))
        assert [e for message in messages for e in split_events(message)] == [
            event("T", "A", i) for i in range(20)
        ]
        assert len(messages) < 20


async def test_the_design_documents_client(chain: Chain) -> None:
    """A client that speaks first, and takes the first message it gets as the answer to its key."""
    async with connect(f"ws://127.0.0.1:{chain.proxy.port}") as ws:
        await ws.send(json.dumps({"action": "auth", "params": KEY}))
        response = json.loads(await ws.recv())
        assert response[0]["status"] == "auth_success"
        await ws.send(json.dumps({"action": "subscribe", "params": "T.AAPL,A.AAPL,100Ms.AAPL"}))
        acknowledged = json.loads(await ws.recv())
        assert [a["message"] for a in acknowledged] == [
            f"subscribed to: {t}.AAPL" for t in ("T", "A", "100Ms")
        ]
        await chain.firehose.until_subscribed("T.AAPL")
        await chain.firehose.send(array(event("T", "AAPL")))
        async for message in ws:
            assert json.loads(message) == [{"ev": "T", "sym": "AAPL", "n": 0}]
            break


class OfficialClient:
    """The vendor's own Python client, unmodified but for where it connects."""

    def __init__(self, port: int, *topics: str) -> None:
        self.messages: list[Any] = []
        self.client = WebSocketClient(
            api_key=KEY, feed=f"127.0.0.1:{port}", market="stocks", secure=False, subscriptions=list(topics)
        )
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self.client.connect(self._take))

    async def _take(self, messages: list[Any]) -> None:
        self.messages += messages
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                assert not self._task.done(), self._task
                self._changed.clear()
                await self._changed.wait()

    async def close(self) -> None:
        await self.client.close()
        await self._task


async def test_the_official_client(chain: Chain) -> None:
    official = OfficialClient(chain.proxy.port, "T.AAPL", "A.AAPL")
    await chain.firehose.until_subscribed("T.AAPL")
    await chain.aggregator.until_subscribed("A.AAPL")
    await chain.firehose.send(
        array(b'{"ev":"T","sym":"AAPL","p":297.845,"s":40,"t":1781622376036}', event("T", "X"))
    )
    await official.until(lambda: len(official.messages) == 1)
    await chain.aggregator.send(array(b'{"ev":"A","sym":"AAPL","o":1.5,"c":2.5}'))
    await official.until(lambda: len(official.messages) == 2)
    trade, bar = official.messages
    assert isinstance(trade, EquityTrade)
    assert (trade.symbol, trade.price, trade.size) == ("AAPL", 297.845, 40)
    assert isinstance(bar, EquityAgg)
    assert (bar.symbol, bar.open, bar.close) == ("AAPL", 1.5, 2.5)

    official.client.subscribe("T.MSFT")
    official.client.unsubscribe("T.AAPL")
    await chain.firehose.until(lambda: chain.firehose.topics == {"T.MSFT"})
    await chain.firehose.send(array(event("T", "AAPL"), event("T", "MSFT")))
    await official.until(lambda: len(official.messages) == 3)
    assert official.messages[2].symbol == "MSFT"
    await official.close()
    await chain.firehose.until(lambda: not chain.firehose.topics)


async def test_the_official_client_reconnects(chain: Chain) -> None:
    """Its connection is cut, not closed: it comes back by itself, with its subscriptions."""
    official = OfficialClient(chain.proxy.port, "T.AAPL")
    await chain.firehose.until_subscribed("T.AAPL")
    for number in range(2):
        await chain.firehose.send(array(event("T", "AAPL", number)))
        await official.until(lambda: len(official.messages) == number + 1)  # noqa: B023
        if number == 0:
            assert official.client.websocket is not None
            official.client.websocket.transport.abort()
            await chain.firehose.until(lambda: not chain.firehose.topics)
            await chain.firehose.until_subscribed("T.AAPL")
    await official.close()
