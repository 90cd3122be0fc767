"""What has passed, brought to clients that ask for it: each event once, in order, with no gap at the seam."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from scripted_upstream import PATIENCE, ScriptedUpstream, is_notice, until_up
from websockets.asyncio.client import ClientConnection, connect

from fproxy.core.market import Upstream
from fproxy.metrics import Metrics
from fproxy.roles.filtered_proxy import FilteredProxy
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import FilteredProxySettings, FirehoseSettings, HistorySettings, ServerSettings
from fproxy.shell.upstream import UpstreamOptions

TIME = 1_736_503_800_000


def trade(symbol: str, number: int) -> bytes:
    return b'{"ev":"T","sym":"%b","p":1.5,"t":%d,"q":%d}' % (symbol.encode(), TIME + number, number)


def array(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


class Client:
    """A client that keeps all that it gets, in order."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.received: list[dict[str, Any]] = []

    async def ask(self, action: str, params: str, **more: Any) -> None:
        await self.connection.send(json.dumps({"action": action, "params": params, **more}))

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.received += json.loads(await self.connection.recv())

    async def until_status(self, status: str) -> dict[str, Any]:
        await self.until(lambda: any(event.get("status") == status for event in self.received))
        return next(event for event in self.received if event.get("status") == status)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the events that came."""
        return [event["q"] for event in self.received if event["ev"] != "status"]

    @property
    def statuses(self) -> list[str]:
        return [event["status"] for event in self.received if event["ev"] == "status"]


@asynccontextmanager
async def proxy_of(
    firehose: ScriptedUpstream, aggregator: ScriptedUpstream, metrics: Metrics | None = None, **more: Any
) -> AsyncIterator[FilteredProxy]:
    more.setdefault("server", ServerSettings(port=0))
    settings = FilteredProxySettings(
        upstream=UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02),
        firehose_url=firehose.url,
        aggregator_url=aggregator.url,
        unsubscribe_linger=60.0,
        **more,
    )
    proxy = FilteredProxy(settings, metrics or Metrics())
    await proxy.start()
    try:
        await until_up(*proxy.markets["stocks"].streams.values())
        yield proxy
    finally:
        await proxy.stop()


@asynccontextmanager
async def client_of(proxy: FilteredProxy | Firehose, *topics: str, key: str = "any") -> AsyncIterator[Client]:
    async with connect(f"ws://127.0.0.1:{proxy.port}/", max_size=None, max_queue=None) as connection:
        client = Client(connection)
        await client.ask("auth", key)
        await client.until_status("auth_success")
        if topics:
            await client.ask("subscribe", ",".join(topics))
            await client.until_status("success")
        client.received.clear()
        yield client


System = tuple[FilteredProxy, ScriptedUpstream, ScriptedUpstream]


@asynccontextmanager
async def system(**more: Any) -> AsyncIterator[System]:
    async with ScriptedUpstream() as firehose, ScriptedUpstream() as aggregator:
        async with proxy_of(firehose, aggregator, **more) as proxy:
            yield proxy, firehose, aggregator


async def test_what_is_kept_comes_first_then_its_end_is_told_then_what_is_live() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        for number in range(10):
            await firehose.send(array(trade("A", number), trade("B", 100 + number)))
        await first.until(lambda: len(first.numbers) == 20)
        await client.ask("subscribe", "T.A", since=TIME + 4)
        replayed = await client.until_status("replayed")
        assert client.statuses == ["success", "replayed"]
        assert client.numbers == [4, 5, 6, 7, 8, 9]
        assert replayed["count"] == 6
        assert replayed["complete"] is False, "the history began when the stream did, which was after that"
        await firehose.send(array(trade("B", 110), trade("A", 10)))
        await client.until(lambda: len(client.numbers) == 7)
        assert client.numbers[-1] == 10


async def test_a_history_that_reaches_back_says_so() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        await firehose.send(array(trade("A", 1)))
        await first.until(lambda: first.numbers)
        await client.ask("subscribe", "T.A", since=2**50)
        assert (await client.until_status("replayed"))["complete"] is True
        assert client.numbers == []


async def test_a_topic_that_nobody_had_subscribed_to_is_not_complete_before_that() -> None:
    """The upstream sends only what is subscribed: what passed of the topic before that is nowhere."""
    async with system() as (proxy, firehose, _), client_of(proxy, "T.A") as first:
        await firehose.until_acknowledged("T.A")
        await firehose.send(array(trade("A", 1)))
        await first.until(lambda: first.numbers)
        asked = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == asked:  # noqa: ASYNC110 (the other topic begins after that)
            await asyncio.sleep(0)
        async with client_of(proxy) as known, client_of(proxy) as unknown:
            for client, topic in ((known, "T.A"), (unknown, "T.A,T.B")):
                await client.ask("subscribe", topic, since=asked)
            assert (await known.until_status("replayed"))["complete"] is True
            assert (await unknown.until_status("replayed"))["complete"] is False


async def test_a_history_with_a_gap_says_so() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        since = proxy.markets["stocks"]._feeds[Upstream.FIREHOSE].whole_since + 1
        await firehose.stop()
        await firehose.start()
        await first.until_status("upstream_reconnected")
        await client.ask("subscribe", "T.A", since=since)
        assert (await client.until_status("replayed"))["complete"] is False


async def test_a_history_that_has_forgotten_some_of_it_says_so() -> None:
    """The stream has no gap, and the topic has been subscribed to all the time: it is only too much."""
    async with (
        system(history=HistorySettings(history_bytes=36_000)) as (proxy, firehose, _),
        client_of(proxy, "T.A") as first,
        client_of(proxy) as client,
        client_of(proxy) as late,
    ):
        await firehose.until_acknowledged("T.A")
        since = time.time_ns() // 1_000_000 + 1
        while time.time_ns() // 1_000_000 < since:  # noqa: ASYNC110 (what is asked for begins after that)
            await asyncio.sleep(0)
        await firehose.send(array(trade("A", 1)))
        await first.until(lambda: first.numbers == [1])
        await client.ask("subscribe", "T.A", since=since)
        assert (await client.until_status("replayed"))["complete"] is True
        for number in range(2, 1_000):
            await firehose.send(array(trade("A", number)))
        await first.until(lambda: first.numbers[-1] == 999)
        await late.ask("subscribe", "T.A", since=since)
        assert (await late.until_status("replayed"))["complete"] is False


async def test_without_a_history_a_client_is_told_and_served_live() -> None:
    async with system(history=HistorySettings(history=0)) as (proxy, firehose, _), client_of(proxy) as client:
        await client.ask("subscribe", "T.A", since=TIME)
        await client.until_status("error")
        await firehose.until_subscribed("T.A")
        await firehose.send(array(trade("A", 1)))
        await client.until(lambda: client.numbers)


@pytest.mark.parametrize("seed", range(4))
async def test_no_event_is_missed_or_doubled_at_any_seam(seed: int) -> None:
    """Requests for what has passed, subscriptions and their ends, while data flows without a pause."""
    choices = random.Random(seed)
    symbols = ["A", "B", "C", "D"]
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        sent: list[tuple[str, int]] = []

        async def send_some() -> None:
            for _ in range(choices.randint(1, 40)):
                events = []
                for _ in range(choices.randint(1, 5)):
                    symbol = choices.choice(symbols)
                    events.append(trade(symbol, len(sent)))
                    sent.append((symbol, len(sent)))
                await firehose.send(array(*events))

        await send_some()
        await first.until(lambda: len(first.numbers) == len(sent))
        wanted = {"A"}
        since = choices.randrange(len(sent))
        await client.ask("subscribe", "T.A", since=TIME + since)
        replays = 1
        begins = {"A": since}
        for symbol in ("B", "C"):
            await send_some()
            if choices.random() < 0.5:
                await client.until(lambda replays=replays: client.statuses.count("replayed") == replays)
            begins[symbol] = choices.randrange(len(sent))
            await client.ask("subscribe", f"T.{symbol}", since=TIME + begins[symbol])
            wanted.add(symbol)
            replays += 1
            await send_some()
        await client.until(lambda: client.statuses.count("replayed") == replays)
        await send_some()
        last = [number for symbol, number in sent if symbol in wanted][-1]
        await client.until(lambda: client.numbers and max(client.numbers) == last)
        for symbol in wanted:
            expected = [number for at, number in sent if at == symbol and number >= begins[symbol]]
            got = [event["q"] for event in client.received if event.get("sym") == symbol]
            assert got == sorted(set(got)), "doubled, or out of order"
            # What had not come yet when the client asked is live, and not held against its time.
            assert [number for number in got if number >= begins[symbol]] == expected, symbol


async def test_a_topic_given_up_while_it_is_replayed_brings_no_more() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        for number in range(2_000):
            await firehose.send(array(*(trade("A", 10 * number + i) for i in range(10))))
        await first.until(lambda: len(first.numbers) == 20_000)
        await client.ask("subscribe", "T.A,T.B", since=0)
        await client.ask("unsubscribe", "T.A")
        await client.until_status("replayed")
        unsubscribed = next(
            index
            for index, event in enumerate(client.received)
            if event.get("message") == "unsubscribed to: T.A"
        )
        assert all(event["ev"] == "status" for event in client.received[unsubscribed:])
        await firehose.send(array(trade("A", 1), trade("B", 2)))
        await client.until(lambda: client.numbers and client.numbers[-1] == 2)


async def test_a_notice_keeps_its_place_among_what_is_replayed() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        for number in range(2_000):
            await firehose.send(array(*(trade("A", 10 * number + i) for i in range(10))))
        await first.until(lambda: len(first.numbers) == 20_000)
        await client.ask("subscribe", "T.A", since=0)
        await client.until_status("success")
        await firehose.send(array(trade("A", 20_000)))
        await firehose.stop()
        await client.until_status("upstream_disconnected")
        lost = next(index for index, event in enumerate(client.received) if is_notice(event))
        assert [event["q"] for event in client.received[:lost] if event["ev"] == "T"] == list(range(20_001))
        await firehose.start()
        await client.until_status("upstream_reconnected")


async def test_bars_that_nobody_has_are_asked_of_the_aggregator_since_then() -> None:
    async with (
        system() as (proxy, _, aggregator),
        client_of(proxy, "200Ms.A") as other,
        client_of(proxy) as client,
    ):
        await aggregator.until_subscribed("200Ms.A")
        await client.ask("subscribe", "100Ms.A,200Ms.A,A.A", since=TIME)
        await aggregator.until_subscribed("100Ms.A", "A.A")
        asked = {message["params"]: message.get("since") for message in aggregator.messages[1:]}
        assert asked == {"200Ms.A": None, "100Ms.A": TIME, "A.A": None}
        bar = b'{"ev":"100Ms","sym":"A","s":1,"e":2,"q":7}'
        await aggregator.send(array(bar))
        await client.until(lambda: client.numbers == [7])
        await aggregator.send(array(b'{"ev":"200Ms","sym":"A","s":1,"e":2,"q":8}'))
        await other.until(lambda: other.numbers == [8])


async def test_a_client_of_many_topics_catches_up_and_others_get_their_data_meanwhile() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        for number in range(50):
            await firehose.send(array(trade(f"S{number}", number)))
        await first.until(lambda: len(first.numbers) == 50)
        topics = ",".join(f"T.S{number}" for number in range(40_000))
        await client.ask("subscribe", topics, since=0)
        await firehose.send(array(trade("S7", 50)))
        await first.until(lambda: 50 in first.numbers)
        await client.until(lambda: 50 in client.numbers)
        assert client.numbers == list(range(51))


@asynccontextmanager
async def firehose_of(vendor: ScriptedUpstream, **more: Any) -> AsyncIterator[Firehose]:
    settings = FirehoseSettings(
        server=ServerSettings(port=0),
        upstream=UpstreamOptions(reconnect_min=0.01, reconnect_max=0.02),
        vendor_url=vendor.url,
        polygon_api_key="k",
        **more,
    )
    firehose = Firehose(settings, Metrics())
    await firehose.start()
    try:
        await until_up(firehose.markets["stocks"].stream)
        yield firehose
    finally:
        await firehose.stop()


async def test_a_firehose_brings_what_was_asked_for_and_then_everything() -> None:
    async with (
        ScriptedUpstream() as vendor,
        firehose_of(vendor) as firehose,
        client_of(firehose) as first,
        client_of(firehose) as client,
    ):
        for number in range(10):
            await vendor.send(array(trade("A", number), trade("B", 100 + number)))
        for each in (first, client):
            await each.until(lambda each=each: len(each.numbers) == 20)
        client.received.clear()
        await client.ask("subscribe", "T.A", since=TIME + 4)
        await client.ask("subscribe", "T.B", since=TIME + 108)
        await client.until(lambda: client.statuses.count("replayed") == 2)
        assert client.numbers == [4, 5, 6, 7, 8, 9, 108, 109]
        await vendor.send(array(trade("A", 10), trade("B", 110)))
        for each in (first, client):
            await each.until(lambda each=each: each.numbers[-2:] == [10, 110])
        assert len(client.numbers) == 10


async def test_a_firehose_misses_and_doubles_nothing_at_the_seam() -> None:
    async with (
        ScriptedUpstream() as vendor,
        firehose_of(vendor) as firehose,
        client_of(firehose) as first,
        client_of(firehose) as client,
    ):
        for number in range(0, 8_000, 10):
            await vendor.send(array(*(trade("A", number + i) for i in range(10))))
            if number == 4_000:
                await client.until(lambda: 2_000 in client.numbers)
                await client.ask("subscribe", "T.A", since=0)
        await vendor.send(array(trade("A", 8_000)))
        await first.until(lambda: first.numbers and first.numbers[-1] == 8_000)
        await client.until(lambda: "replayed" in client.statuses and client.numbers[-1] == 8_000)
        acknowledged = next(i for i, event in enumerate(client.received) if event["ev"] == "status")
        numbers = [event["q"] for event in client.received[acknowledged:] if event["ev"] == "T"]
        assert numbers == list(range(8_001)), "from the beginning of what is kept to the last, each once"


async def test_a_client_that_leaves_while_it_catches_up_is_forgotten() -> None:
    async with (
        ScriptedUpstream() as vendor,
        firehose_of(vendor) as firehose,
        client_of(firehose) as first,
    ):
        for number in range(2_000):
            await vendor.send(array(trade("A", number)))
        await first.until(lambda: len(first.numbers) == 2_000)
        for _ in range(5):
            async with client_of(firehose) as client:
                await client.ask("subscribe", "T.A", since=0)
                await client.until_status("success")
        await vendor.send(array(trade("A", 2_000)))
        await first.until(lambda: first.numbers[-1] == 2_000)
        async with asyncio.timeout(PATIENCE):
            while len(firehose.markets["stocks"]._clients) > 1:  # noqa: ASYNC110 (nothing to wait on)
                await asyncio.sleep(0.002)
        assert not firehose.markets["stocks"]._replays
