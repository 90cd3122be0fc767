"""Snapshots: the last event of each topic, before what comes of it from then on."""

import json
import random
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import test_since
from scripted_upstream import ScriptedUpstream
from test_since import TIME, Client, array, client_of, proxy_of, trade

from fproxy.metrics import Metrics
from fproxy.roles.aggregator import Aggregator
from fproxy.roles.firehose import Firehose
from fproxy.roles.settings import (
    AggregatorSettings,
    FirehoseSettings,
    HistorySettings,
    ServerSettings,
)


def system(**more: Any) -> AbstractAsyncContextManager[test_since.System]:
    """A proxy that keeps last events, between two upstreams."""
    return test_since.system(**{"snapshot_bytes": 1 << 20, **more})


def data(client: Client) -> list[bytes]:
    """The events that came, as compact JSON."""
    return [
        json.dumps(event, separators=(",", ":")).encode()
        for event in client.received
        if event["ev"] != "status"
    ]


async def snapshots(client: Client, number: int = 1) -> int:
    """Wait for a number of snapshots; return the count that the last one tells."""
    await client.until(lambda: client.statuses.count("snapshot") >= number)
    told = [event for event in client.received if event.get("status") == "snapshot"]
    return int(told[-1]["count"])


async def test_the_last_event_follows_the_acknowledgement_and_what_is_live_follows_it() -> None:
    async with (
        system() as (proxy, firehose, _),
        client_of(proxy, "T.*", "Q.*") as first,
        client_of(proxy) as client,
    ):
        await firehose.until_subscribed("T.*", "Q.*")
        quote = b'{"sym":"A","ev":"Q","bp":1.50,"ap":1.5e0,"q":4}'
        await firehose.send(array(trade("A", 1), trade("B", 2), trade("A", 3), quote))
        await first.until(lambda: len(first.numbers) == 4)
        await client.connection.send(
            json.dumps({"action": "subscribe", "params": "T.A,Q.A,T.NEVER", "snapshot": True})
        )
        acknowledgement = await client.connection.recv()
        assert isinstance(acknowledgement, str)
        assert [event["message"] for event in json.loads(acknowledgement)] == [
            "subscribed to: T.A",
            "subscribed to: Q.A",
            "subscribed to: T.NEVER",
        ]
        assert await client.connection.recv() == array(trade("A", 3), quote).decode(), (
            "the bytes as they came"
        )
        assert json.loads(await client.connection.recv()) == [
            {
                "ev": "status",
                "status": "snapshot",
                "message": "snapshot: the last events of 2 topics",
                "count": 2,
            }
        ]
        await firehose.send(array(trade("A", 5)))
        assert await client.connection.recv() == array(trade("A", 5)).decode()


async def test_a_wildcard_brings_one_event_of_each_symbol_and_those_asked_for_beside_it_once() -> None:
    async with system() as (proxy, firehose, aggregator), client_of(proxy, "T.*", "A.*", "100Ms.A") as first:
        await firehose.until_subscribed("T.*")
        await aggregator.until_subscribed("A.*", "100Ms.A")
        for number in range(0, 9_000, 3):
            await firehose.send(
                array(*(trade(f"S{each % 3_000}", each) for each in range(number, number + 3)))
            )
        bars = [b'{"ev":"A","sym":"S1","q":9001}', b'{"ev":"100Ms","sym":"A","s":1,"e":101,"q":9002}']
        await aggregator.send(array(*bars))
        await first.until(lambda: {8_999, 9_002} <= set(first.numbers))
        last = [trade(f"S{number % 3_000}", number) for number in range(6_000, 9_000)]
        for params, expected in (
            ("T.*,T.S1", last),
            ("T.S7,*,T.*", [*last, bars[0]]),
            ("100Ms.*,100Ms.A", [bars[1]]),
            ("AM.*", []),
        ):
            async with client_of(proxy) as client:
                await client.ask("subscribe", params, snapshot=True)
                assert await snapshots(client) == len(expected)
                assert sorted(data(client)) == sorted(expected)


async def test_last_events_outlive_the_subscriptions_that_brought_them() -> None:
    async with system() as (proxy, firehose, _):
        async with client_of(proxy, "T.A") as first:
            await firehose.until_subscribed("T.A")
            await firehose.send(array(trade("A", 1)))
            await first.until(lambda: first.numbers)
        async with client_of(proxy) as client:
            await client.ask("subscribe", "T.A", snapshot=True)
            assert await snapshots(client) == 1
            assert client.numbers == [1]


async def test_a_client_that_has_a_topic_gets_its_last_event_again_when_it_asks() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.A") as client:
        await firehose.until_subscribed("T.A")
        await firehose.send(array(trade("A", 1)))
        await client.until(lambda: client.numbers == [1])
        await client.ask("subscribe", "T.A", snapshot=True)
        assert await snapshots(client) == 1
        assert client.numbers == [1, 1]


async def test_without_being_asked_snapshots_are_of_what_is_new_and_can_be_declined() -> None:
    async with system(snapshot=True) as (proxy, firehose, _), client_of(proxy) as client:
        async with client_of(proxy, "T.*") as first:
            await firehose.until_subscribed("T.*")
            await firehose.send(array(trade("A", 1), trade("B", 2), trade("C", 3)))
            await first.until(lambda: len(first.numbers) == 3)
            await first.ask("subscribe", "T.A")
            await first.until(lambda: first.statuses.count("success") == 1)
            await client.ask("subscribe", "T.A")
            assert await snapshots(client) == 1
            await client.ask("subscribe", "T.A,T.B")
            assert await snapshots(client, 2) == 1
            before = client.statuses.count("success")
            await client.ask("subscribe", "T.C", snapshot=False)
            await client.until(lambda: client.statuses.count("success") > before)
            await firehose.send(array(trade("C", 4)))
            await client.until(lambda: client.numbers[-1] == 4)
            assert client.numbers == [1, 2, 4]
            await first.until(lambda: first.numbers[-1] == 4)
            assert first.numbers == [1, 2, 3, 4], "it had all of it already"


@pytest.mark.parametrize("seed", range(4))
async def test_no_event_comes_behind_a_newer_one_or_twice_while_data_flows(seed: int) -> None:
    choices = random.Random(seed)
    names = [f"S{number}" for number in range(5_000)]
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        last: dict[str, int] = {}
        sent = 0

        async def send_some(messages: int) -> None:
            nonlocal sent
            for _ in range(messages):
                events = []
                for _ in range(choices.randint(1, 50)):
                    sent += 1
                    name = choices.choice(names)
                    last[name] = sent
                    events.append(trade(name, sent))
                await firehose.send(array(*events))

        await send_some(200)
        await first.until(lambda: len(first.numbers) == sent)
        before = dict(last)
        some = choices.sample(names, 2_000)
        for params in (",".join(f"T.{name}" for name in some), "T.*"):
            await client.ask("subscribe", params, snapshot=True)
            await send_some(choices.randint(1, 60))
            if params != "T.*":
                await snapshots(client)
                got = {event["sym"] for event in client.received if event["ev"] == "T"}
                assert got >= {name for name in some if name in before}
                await client.ask("unsubscribe", params)
                await client.until(lambda: "unsubscribed to" in client.received[-1].get("message", ""))
                client.received.clear()
        await snapshots(client)
        await send_some(20)
        await client.until(lambda: sent in client.numbers)
        by_symbol: dict[str, list[int]] = {}
        for event in client.received:
            if event["ev"] == "T":
                by_symbol.setdefault(event["sym"], []).append(event["q"])
        assert all(numbers == sorted(set(numbers)) for numbers in by_symbol.values())
        assert {name: numbers[-1] for name, numbers in by_symbol.items()} == last


async def test_what_is_replayed_comes_first_and_the_snapshot_has_what_that_did_not_bring() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        await firehose.send(
            array(trade("OLD", 1), trade("A", 2), trade("A", 3), trade("A", 4), trade("OLDER", 0))
        )
        await first.until(lambda: len(first.numbers) == 5)
        await client.ask("subscribe", "T.A,T.OLD", snapshot=True, since=TIME + 3)
        assert await snapshots(client) == 1
        assert client.statuses == ["success", "success", "replayed", "snapshot"]
        assert client.numbers == [3, 4, 1]
        await client.ask("subscribe", "T.OLDER", since=TIME + 3)
        await client.ask("subscribe", "T.A,T.OLDER", snapshot=True)
        assert await snapshots(client, 2) == 2
        assert client.numbers == [3, 4, 1, 4, 0], "asked for once more, behind the second replay"


async def test_an_event_that_the_history_has_forgotten_is_in_the_snapshot_whatever_its_time() -> None:
    history = HistorySettings(history_bytes=64 * 1024)
    async with (
        system(history=history) as (proxy, firehose, _),
        client_of(proxy, "T.*") as first,
        client_of(proxy) as client,
    ):
        await firehose.until_subscribed("T.*")
        for number in range(2_000):
            await firehose.send(array(trade(f"S{number}", number)))
        await first.until(lambda: len(first.numbers) == 2_000)
        await client.ask("subscribe", "T.S0,T.S1,T.S1999", snapshot=True, since=TIME)
        replayed = await client.until_status("replayed")
        assert (replayed["count"], replayed["complete"]) == (1, False)
        assert await snapshots(client) == 2
        assert client.numbers == [1_999, 0, 1]


async def test_a_client_that_resumes_is_not_sent_twice_what_that_brings() -> None:
    async with system(resume=True, snapshot=True) as (proxy, firehose, _):
        async with client_of(proxy, "T.*") as watcher:
            await firehose.until_subscribed("T.*")
            await firehose.send(array(trade("B", 1)))
            async with client_of(proxy, "T.A", key="ours") as client:
                await firehose.send(array(trade("A", 2)))
                await client.until(lambda: client.numbers == [2])
            await firehose.send(array(trade("A", 3)))
            await watcher.until(lambda: 3 in watcher.numbers)
            async with client_of(proxy, key="ours") as client:
                await client.ask("subscribe", "T.A,T.B")
                assert await snapshots(client) == 1, "of the topic that it did not have"
                assert "replayed" in client.statuses
                assert client.numbers == [2, 3, 1]


async def test_a_topic_given_up_before_its_turn_brings_no_last_event() -> None:
    async with system() as (proxy, firehose, _), client_of(proxy, "T.*") as first, client_of(proxy) as client:
        await firehose.until_subscribed("T.*")
        for number in range(0, 9_000, 3):
            await firehose.send(array(*(trade(f"S{each}", each) for each in range(number, number + 3))))
        await first.until(lambda: len(first.numbers) == 9_000)
        await client.ask("subscribe", "T.*", snapshot=True)
        await client.ask("unsubscribe", "T.*")
        await snapshots(client)

        def places() -> list[int]:
            told = (event.get("message") for event in client.received)
            return [at for at, message in enumerate(told) if message == "unsubscribed to: T.*"]

        await client.until(places)
        [gone] = places()
        assert all(event["ev"] == "status" for event in client.received[gone:])


async def test_where_no_last_events_are_kept_a_client_is_told_and_served_live() -> None:
    async with system(snapshot_bytes=0) as (proxy, firehose, _), client_of(proxy) as client:
        await client.ask("subscribe", "T.A,T.B", snapshot=True)
        told = await client.until_status("error")
        assert told["message"].startswith("'snapshot' is not served here")
        await firehose.until_subscribed("T.A")
        await firehose.send(array(trade("A", 1)))
        await client.until(lambda: client.numbers)
        assert client.statuses == ["success", "success", "error"]


async def test_a_firehose_and_an_aggregator_answer_that_they_serve_none() -> None:
    async with ScriptedUpstream() as vendor:
        server = ServerSettings(port=0)
        firehose = Firehose(FirehoseSettings(server=server, vendor_url=vendor.url), Metrics())
        await firehose.start()
        aggregator = Aggregator(
            AggregatorSettings(server=server, firehose_url=f"ws://127.0.0.1:{firehose.port}"), Metrics()
        )
        await aggregator.start()
        try:
            for role, topic in ((firehose, "T.A"), (aggregator, "100Ms.A")):
                async with client_of(role) as client:
                    await client.ask("subscribe", topic, snapshot=True)
                    told = await client.until_status("error")
                    assert told["message"].startswith("'snapshot' is not served here")
                    assert "success" in client.statuses
        finally:
            await aggregator.stop()
            await firehose.stop()


async def test_the_metrics_tell_what_is_kept_and_sent() -> None:
    metrics = Metrics()
    async with ScriptedUpstream() as upstream, ScriptedUpstream() as bars:
        async with (
            proxy_of(upstream, bars, metrics, snapshot_bytes=40_000) as proxy,
            client_of(proxy, "T.*") as client,
        ):
            await upstream.until_subscribed("T.*")
            for number in range(1_000):
                await upstream.send(array(trade(f"S{number}", number)))
            await client.until(lambda: len(client.numbers) == 1_000)

            def sample(name: str) -> float:
                value = metrics.registry.get_sample_value(f"fproxy_snapshot_{name}", {"market": "stocks"})
                assert value is not None
                return value

            assert 0 < sample("bytes") <= 40_000
            assert sample("topics") + sample("evictions_total") == 1_000
            await client.ask("subscribe", "T.S999", snapshot=True)
            await snapshots(client)
            assert sample("events_total") == 1
