"""The admin pages of one role, over real sockets: what they tell of streams, clients and topics; what they refuse."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from own_ports import own_port
from prometheus_client.parser import text_string_to_metric_families
from scripted_upstream import PATIENCE, ScriptedUpstream, until_up
from websockets.asyncio.client import ClientConnection, connect

from fproxy.face.admin import AdminSettings
from fproxy.face.admin_local import with_local_admin
from fproxy.face.admin_pages import MAX_WATCHERS
from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.settings import FilteredProxySettings, ServerSettings
from fproxy.shell import admin_server
from fproxy.shell.upstream import UpstreamOptions

KEY = "kEy-1f07"
TRADE = b'{"ev":"T","sym":"AAPL","p":%d}'


@dataclass
class Operated:
    """A filtered proxy between two upstreams, and a reader of its admin pages."""

    firehose: ScriptedUpstream
    aggregator: ScriptedUpstream
    proxy: FilteredProxy
    url: str
    http: aiohttp.ClientSession

    async def get(self, path: str, status: int = 200, **headers: str) -> str:
        async with self.http.get(path, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text

    async def json(self, path: str) -> Any:
        return json.loads(await self.get(path))

    async def client(self, *topics: str) -> ClientConnection:
        client = await connect(f"ws://127.0.0.1:{self.proxy.port}/")
        for action, params in (("auth", KEY), ("subscribe", ",".join(topics))):
            await client.send(json.dumps({"action": action, "params": params}))
            await client.recv()
        return client

    async def until(self, path: str, wanted: str) -> str:
        """Ask for a page until it holds a text."""
        async with asyncio.timeout(PATIENCE):
            while True:
                async with self.http.get(path) as answer:
                    if wanted in (text := await answer.text()):
                        return text


@asynccontextmanager
async def operated(host: str = "127.0.0.1") -> AsyncIterator[Operated]:
    metrics, port = Metrics(), own_port()
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        proxy = FilteredProxy(
            FilteredProxySettings(
                server=ServerSettings(port=0, client_keys=(KEY,)),
                upstream=UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02, auth_wait=0.05),
                firehose_url=firehose.url,
                aggregator_url=aggregator.url,
            ),
            metrics,
        )
        settings = AdminSettings(host=host, port=port, socket=None, asked_for=True)
        role = with_local_admin(proxy, settings, kind="proxy", metrics=metrics)
        await role.start()
        url = f"http://127.0.0.1:{port}"
        try:
            await until_up(*proxy.markets["stocks"].streams.values())
            async with aiohttp.ClientSession(url) as http:
                yield Operated(firehose, aggregator, proxy, url, http)
        finally:
            await role.stop()


@pytest.fixture
async def role() -> AsyncIterator[Operated]:
    async with operated() as role:
        yield role


async def test_a_process_that_turns_is_alive(role: Operated) -> None:
    assert await role.get("/healthz") == "ok\n"


async def test_readiness_follows_the_streams_and_gives_the_reason(role: Operated) -> None:
    assert await role.get("/readyz") == "ready\n"
    await role.firehose.stop()
    text = await role.until("/readyz", "not ready")
    assert text.startswith("not ready: stocks firehose: down: ")
    await role.get("/readyz", status=503)
    await role.firehose.start()
    assert await role.until("/readyz", "ready\n")
    await role.until("/state", '"state":"up"')


async def test_streams_are_told_with_what_they_brought(role: Operated) -> None:
    client = await role.client("T.AAPL")
    await role.firehose.send(b"[" + TRADE % 1 + b"]")
    await client.recv()
    firehose, aggregator = (await role.json("/streams"))["streams"]
    assert (firehose["upstream"], firehose["market"], firehose["state"]) == ("firehose", "stocks", "up")
    assert firehose["messages"] > aggregator["messages"]
    assert (firehose["reason"], firehose["since"]) == ("", None)
    await client.close()


async def test_clients_are_told_without_their_keys(role: Operated) -> None:
    first, second = await role.client("T.AAPL", "T.MSFT"), await role.client("Q.*")
    page = await role.json("/clients?sort=topics&topics=1")
    assert page["total"] == 2
    assert [client["topic_list"] for client in page["clients"]] == [["T.AAPL", "T.MSFT"], ["Q.*"]]
    assert [client["address"] for client in page["clients"]] == [
        "{}:{}".format(*client.local_address[:2]) for client in (first, second)
    ]
    assert (await role.json("/clients?sort=topics&offset=1&limit=1"))["clients"][0]["topics"] == 1
    assert KEY not in json.dumps(page)
    for client in (first, second):
        await client.close()
    await role.until("/clients", '"total":0')


async def test_the_counts_are_what_clients_received(role: Operated) -> None:
    everything, trades = await role.client("*"), await role.client("T.AAPL")
    quote = b'{"ev":"Q","sym":"MSFT"}'
    for _ in range(3):
        await role.firehose.send(b"[" + TRADE % 1 + b"," + quote + b"]")
    received = {everything: 0, trades: 0}
    size = dict.fromkeys(received, 0)
    for client, wanted in ((everything, 6), (trades, 3)):
        while received[client] < wanted:
            message = await client.recv(decode=False)
            received[client] += len(json.loads(message))
            size[client] += len(message) + (2 if len(message) < 126 else 4)  # with its header
    page = await role.json("/clients?sort=connected")
    told = {client["address"]: client for client in page["clients"]}
    for client in received:
        report = told["{}:{}".format(*client.local_address[:2])]
        assert (report["events"], report["bytes"]) == (received[client], size[client])
    (process,) = (await role.json("/state"))["processes"]
    assert process["counts"]["deliveries"] == 9
    await role.firehose.stop()  # a notice is no event
    await role.until("/state", '"down"')
    (process,) = (await role.json("/state"))["processes"]
    assert process["counts"]["deliveries"] == 9
    assert [client["notices"] for client in (await role.json("/clients"))["clients"]] == [1, 1]
    for client in received:
        await client.close()


async def test_the_hottest_topics_are_counted_from_the_history(role: Operated) -> None:
    client = await role.client("T.AAPL")
    quote = b'{"ev":"Q","sym":"MSFT"}'
    await role.firehose.send(b"[" + TRADE % 1 + b"," + quote + b"," + TRADE % 2 + b"]")
    await client.recv()
    first, second = (await role.json("/topics"))["topics"]
    assert (first["topic"], first["events"], first["clients"]) == ("T.AAPL", 2, 1)
    assert (second["topic"], second["events"], second["clients"]) == ("Q.MSFT", 1, 0)
    await client.close()


async def test_prometheus_reads_the_metrics_and_they_count_what_came(role: Operated) -> None:
    client = await role.client("T.AAPL")
    for price in range(5):
        await role.firehose.send(b"[" + TRADE % price + b"]")
        await client.recv()
    text = await role.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    value = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.values()
        for sample in family.samples
    }
    market = ("market", "stocks")
    assert value["fproxy_events_matched_total", (market,)] == 5
    assert value["fproxy_clients", (market,)] == 1
    reads = value["fproxy_read_to_write_seconds_count", (market, ("upstream", "firehose"))]
    assert reads >= 5
    last = ("le", "+Inf")
    assert value["fproxy_read_to_write_seconds_bucket", (last, market, ("upstream", "firehose"))] == reads
    assert value["process_open_fds", ()] > 0
    openmetrics = await role.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics.endswith("# EOF\n")
    await client.close()


async def test_what_happens_is_told_as_it_happens(role: Operated) -> None:
    async with role.http.get("/events") as events:
        client = await role.client("T.AAPL")
        kinds: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while "client_left" not in kinds:
                line = await events.content.readline()
                if line.startswith(b"data: "):
                    record = json.loads(line[6:])
                    kinds.append(record["kind"])
                    if record["kind"] == "client_joined":
                        assert "joined on /" in record["text"]
                        await client.close()
    assert kinds.count("stream_restored") == 2
    assert kinds[-2:] == ["client_joined", "client_left"]


async def test_a_wrong_key_is_told_without_the_key(role: Operated) -> None:
    async with connect(f"ws://127.0.0.1:{role.proxy.port}/") as client:
        await client.send(json.dumps({"action": "auth", "params": "s3cret-wrong"}))
        await client.recv()
    async with role.http.get("/events") as events:
        async with asyncio.timeout(PATIENCE):
            while b"client_refused" not in (line := await events.content.readline()):
                pass
    assert b"authentication failed" in line
    assert b"s3cret" not in line


async def test_the_page_needs_nothing_from_elsewhere(role: Operated) -> None:
    async with role.http.get("/") as answer:
        page = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
    assert "<title>fproxy</title>" in page
    assert "default-src 'none'" in policy
    assert "//" not in re.sub(
        r"http://www\.w3\.org/2000/svg|^//.*|\s// .*|\$\{secure\}://", "", page, flags=re.MULTILINE
    )


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nothing", 404, "/clients"),
        ("/clients?sort=size", 400, "sort is one of"),
        ("/clients?limit=many", 400, "limit is a whole number from 0 to 1000, not 'many'"),
        ("/topics?limit=999999", 400, "limit is a whole number from 0 to 200"),
        ("/state?clients=-1", 400, "clients is a whole number"),
    ],
)
async def test_what_cannot_be_answered_says_why(role: Operated, path: str, status: int, words: str) -> None:
    assert words in await role.get(path, status)


async def test_a_web_site_that_takes_this_address_is_not_answered(role: Operated) -> None:
    assert "does not answer to the name" in await role.get("/clients", 403, Host="evil.example:8764")
    await role.get("/clients", Host="localhost:8764")
    await role.get("/clients", Host="[::1]:8764")


async def test_nothing_can_be_changed(role: Operated) -> None:
    async with role.http.post("/clients", data=b"x") as answer:
        assert answer.status == 405


async def test_few_may_follow_the_events_and_the_rest_are_told(role: Operated) -> None:
    streams = [await role.http.get("/events") for _ in range(MAX_WATCHERS)]
    assert "read these events already" in await role.get("/events", 503)
    for stream in streams:
        stream.close()


async def test_connections_that_ask_nothing_make_room_for_those_that_do(
    role: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(role.url.rsplit(":", 1)[1])
    silent = [
        await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * admin_server.MAX_CONNECTIONS)
    ]
    assert await role.get("/healthz") == "ok\n"
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionResetError):
            assert await silent[0][0].read() == b""  # the oldest had to go
    for _, writer in silent:
        writer.close()


async def test_a_connection_that_asks_nothing_is_dropped_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin_server, "REQUEST_TIMEOUT", 0.05)
    async with operated() as role:
        port = int(role.url.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: local")
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
