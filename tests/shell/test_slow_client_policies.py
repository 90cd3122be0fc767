"""What becomes of clients that lag, by their policy, over real sockets."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from server_harness import KEY, RawClient, RecordingRole, raw_client, serving
from stalled_clients import limits, listening, read_again, serving_slowly, stalled, until

from fproxy._fastpath import Fanout
from fproxy._socket_writer import BLOCK_BYTES, CONFLATE_BYTES
from fproxy.core.client_key import ClientKey, key_digest
from fproxy.core.client_keys import ClientKeys
from fproxy.core.frames import text_frame
from fproxy.core.slow_client_policy import SlowClientPolicy
from fproxy.core.topics import parse_topic
from fproxy.shell.client import Client
from fproxy.shell.connection_limits import ConnectionLimits

LIMIT = 1 << 20
PADDING = "x" * 1_000


def event(event_type: str, symbol: str, number: int) -> dict[str, Any]:
    return {"ev": event_type, "sym": symbol, "n": number, "t": 1_000 + number, "padding": PADDING}


class Feed:
    """A fan-out to clients that have every trade and quote, and what was fed into it."""

    def __init__(self, *clients: Client) -> None:
        self.fanout = Fanout()
        for client in clients:
            number = self.fanout.add_client(client.sink)
            self.fanout.subscribe(number, [parse_topic("T.*"), parse_topic("Q.*"), parse_topic("AM.*")])
        self.fed: list[dict[str, Any]] = []

    def send(self, *events: dict[str, Any]) -> None:
        self.fanout.feed(0, json.dumps(events).encode())
        self.fanout.flush()
        self.fed += events


async def read_until(client: RawClient, is_last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Read a client's events up to one."""
    events: list[dict[str, Any]] = []
    while not events or not is_last(events[-1]):
        events += json.loads((await client.frame())[1])
    return events


async def catch_up(client: RawClient, sink: Client, feed: Feed, lap: int = 0) -> list[dict[str, Any]]:
    """Let a client read all that waits, and one trade of END behind it; return its events."""
    read_again(client)
    reading = asyncio.create_task(read_until(client, is_end))
    await until(lambda: not sink.unsent_bytes)
    feed.send(event("T", "END", lap))
    return await reading


def is_end(event: dict[str, Any]) -> bool:
    return event.get("sym") == "END"


async def test_drop_discards_until_the_client_has_caught_up_and_tells_how_much() -> None:
    async with (
        serving_slowly(slow_client=SlowClientPolicy.DROP, max_unsent_bytes=LIMIT) as server,
        stalled(server) as (client, sink),
    ):
        feed = Feed(sink)
        told = 0
        for lap in range(2):
            for number in range(4_000):
                feed.send(event("T", "A", number))
            assert sink.authenticated
            assert server.backlog.bytes < LIMIT + 100_000
            fed, feed.fed = feed.fed, []
            events = await catch_up(client, sink, feed, lap)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            [notice] = [at for at, each in enumerate(events) if each.get("status") == "dropped"]
            assert events[:notice] == fed[:notice]
            dropped = fed[notice:]
            times = [each["t"] for each in dropped]
            assert (events[notice]["events"], events[notice]["from"], events[notice]["to"]) == (
                len(dropped),
                min(times),
                max(times),
            )
            assert [each["sym"] for each in events[notice + 1 :]] == ["END"]
            told += len(dropped)
            feed.fed = []
        assert told > 1_000
        assert server.metric("dropped_events_total") == told
        assert server.metric("slow_consumers_total", reason="bytes") == 0


async def test_conflate_keeps_the_newest_of_each_topic_and_every_bar() -> None:
    async with (
        serving_slowly(slow_client=SlowClientPolicy.CONFLATE) as server,
        stalled(server) as (client, sink),
    ):
        feed = Feed(sink)
        for number in range(9_000):
            event_type = ("T", "Q", "AM")[number % 3 if number % 90 < 3 else number % 2]
            feed.send(event(event_type, f"S{number % 7}", number))
        assert server.backlog.bytes < 2 * CONFLATE_BYTES
        events = await catch_up(client, sink, feed)
        [notice] = [at for at, each in enumerate(events) if each.get("status") == "dropped"]
        assert events[:notice] == feed.fed[:notice]
        held = feed.fed[notice:-1]
        newest = {(each["ev"], each["sym"]): each for each in held}
        kept = [each for each in held if each["ev"] == "AM" or newest[each["ev"], each["sym"]] is each]
        assert events[notice + 1 : -1] == kept
        gone = {name: [each for each in held if each["ev"] == name and each not in kept] for name in "TQ"}
        assert events[notice]["events"] == len(gone["T"]) > 1_000
        assert events[notice]["from"] == gone["T"][0]["t"]
        assert events[notice]["to"] == gone["T"][-1]["t"]
        assert server.metric("dropped_events_total") == len(gone["T"])
        assert server.metric("replaced_events_total") == len(gone["Q"])


@pytest.mark.parametrize("policy", [SlowClientPolicy.DROP, SlowClientPolicy.CONFLATE])
async def test_a_client_whose_data_is_held_back_is_cut_off_for_what_it_asks_for_without_reading(
    policy: SlowClientPolicy,
) -> None:
    async with (
        serving_slowly(slow_client=policy, max_unsent_bytes=1 << 16) as server,
        stalled(server) as (_, sink),
    ):
        while sink.authenticated:
            sink.send_status(b"[" + b" " * 10_000 + b"]")
        assert server.metric("slow_consumers_total", reason="bytes") == 1
        assert server.backlog.bytes < 200_000, "the blocks of a frame that is partly sent, and of the goodbye"


@pytest.mark.parametrize("policy", [SlowClientPolicy.DROP, SlowClientPolicy.CONFLATE])
async def test_a_client_whose_data_is_held_back_may_lag_for_any_time(policy: SlowClientPolicy) -> None:
    async with (
        serving_slowly(slow_client=policy, max_lag=0.02) as server,
        stalled(server) as (client, sink),
    ):
        feed = Feed(sink)
        number = 0
        while not server.metric("dropped_events_total"):
            feed.send(event("T", "A", number))
            number += 1
            if sink.unsent_bytes:
                await asyncio.sleep(0.001)
        assert sink.unsent_bytes < 100_000
        events = await catch_up(client, sink, feed)
        [notice] = [each for each in events if each.get("status") == "dropped"]
        assert notice["events"] + len(events) - 1 == len(feed.fed)
        assert server.metric("slow_consumers_total", reason="lag") == 0


async def test_a_key_may_have_a_policy_of_its_own() -> None:
    keys = [
        ClientKey(name="drops", digest=key_digest("drops"), slow_client=SlowClientPolicy.DROP),
        ClientKey(name="plain", digest=key_digest(KEY)),
    ]
    async with (
        serving(
            limits=limits(max_unsent_bytes=1 << 16), listening=listening(), keys=ClientKeys([], keys)
        ) as server,
        stalled(server) as (_, plain),
        stalled(server, key="drops") as (_, drops),
    ):
        feed = Feed(plain, drops)
        while plain.authenticated or not server.metric("dropped_events_total"):
            feed.send(event("T", "A", len(feed.fed)))
        assert drops.authenticated
        assert server.metric("slow_consumers_total", reason="bytes") == 1


class HoldingRole(RecordingRole):
    """A role that notes when its upstreams are held up."""

    def __init__(self) -> None:
        super().__init__()
        self.holds: list[bool] = []

    def hold(self, holding: bool) -> None:
        self.holds.append(holding)


async def test_block_holds_the_upstreams_up_from_the_first_client_that_lags_to_the_last() -> None:
    role = HoldingRole()
    async with (
        serving_slowly(role, slow_client=SlowClientPolicy.BLOCK, max_lag=0.02) as server,
        stalled(server) as (client, sink),
        stalled(server) as (other_client, other),
    ):
        frame = text_frame(b"[" + b" " * 10_000 + b"]")
        for each in (sink, other):
            while each.unsent_bytes <= BLOCK_BYTES:
                assert role.holds == ([] if each is sink else [True])
                each.write(frame)
        assert role.holds == [True]
        read_again(client)
        reading = asyncio.create_task(client.ended())
        await until(lambda: not sink.unsent_bytes)
        assert role.holds == [True]
        other_client.writer.transport.abort()
        await until(lambda: len(role.holds) == 2)
        assert role.holds == [True, False]
        assert sink.authenticated
        reading.cancel()
        assert server.metric("slow_consumers_total", reason="lag") == 0


async def test_a_client_elsewhere_blocks_nobody() -> None:
    role = HoldingRole()
    async with (
        serving(
            role,
            limits=limits(slow_client=SlowClientPolicy.BLOCK, max_unsent_bytes=2 * BLOCK_BYTES),
            listening=listening(),
            connection_limits=ConnectionLimits(trusted_proxies=("127.0.0.1",)),
        ) as server,
        raw_client(server, limit=1 << 14) as client,
    ):
        client.writer.write(b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 8765\r\n")
        await client.join()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        [sink] = role.clients
        while sink.authenticated:
            sink.write(text_frame(b"[" + b" " * 10_000 + b"]"))
        assert role.holds == []
        assert server.metric("slow_consumers_total", reason="bytes") == 1
