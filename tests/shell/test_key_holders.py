"""Keys with names on a real server: what each allows, and what a change of the keys does to those who are there."""

import asyncio
import json
import logging
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress
from typing import Any

import pytest
from server_harness import RecordingRole, Server, ask, client_of, serving, soon, statuses
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from fproxy.core.client_key import ClientKey, TopicPatterns, key_digest
from fproxy.core.client_keys import ClientKeys
from fproxy.core.topics import Topic
from fproxy.shell.client import Client
from fproxy.shell.client_limits import ClientLimits


class TopicRole(RecordingRole):
    """Keeps each client's topics."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[Client, set[Topic]] = {}

    def client_joined(self, client: Client) -> None:
        self.held[client] = set()
        super().client_joined(client)

    def subscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        self.held[client].update(topics)
        super().subscribe(client, topics)

    def unsubscribe(self, client: Client, topics: Sequence[Topic]) -> None:
        self.held[client].difference_update(topics)
        super().unsubscribe(client, topics)

    def topics(self, client: Client) -> Set[Topic]:
        return self.held[client]


def key(name: str, **allowed: Any) -> ClientKey:
    """A key named as it reads."""
    return ClientKey(name=name, digest=key_digest(name), **allowed)


def keys_of(*keys: ClientKey) -> dict[str, Any]:
    return {"keys": ClientKeys([], keys)}


async def join(client: ClientConnection, name: str) -> None:
    assert await ask(client, "auth", name) == [("auth_success", "authenticated")]


async def apply(server: Server, keys: Iterable[ClientKey]) -> int:
    """Replace the keys; return in how many steps that was done."""
    count = 0
    for _ in server.replace_keys(keys):
        count += 1
        await asyncio.sleep(0)
    return count


async def close_of(client: ClientConnection) -> tuple[list[str], int, str]:
    """The statuses that come before the connection is closed, and how it is."""
    seen: list[str] = []
    with suppress(ConnectionClosed):
        while True:
            seen += [event["message"] for event in json.loads(await soon(client.recv()))]
    assert client.close_code is not None
    assert client.close_reason is not None
    return seen, client.close_code, client.close_reason


async def test_a_key_opens_its_topics_only() -> None:
    alice = key("alice", topics=TopicPatterns(["T.*", "*.AAPL"]), max_topics=2)
    async with serving(TopicRole(), **keys_of(alice)) as server, client_of(server) as client:
        await join(client, "alice")
        assert await ask(client, "subscribe", "T.MSFT,Q.MSFT,*,Q.AAPL,Q.*,T.IBM") == [
            ("success", "subscribed to: T.MSFT"),
            ("error", "not authorized: Q.MSFT"),
            ("error", "not authorized: *"),
            ("success", "subscribed to: Q.AAPL"),
            ("error", "not authorized: Q.*"),
            ("error", "too many topics, a client may have 2: T.IBM"),
        ]
        assert server.role.calls[-1] == ("subscribe", "T.MSFT", "Q.AAPL")


async def test_a_key_opens_its_markets_only_and_not_after_its_time() -> None:
    keys = keys_of(key("alice", markets=frozenset({"crypto"})), key("bob", expired=True))
    async with serving(**keys) as server:
        for name, reason, text in (
            ("alice", "market", "the key is not for stocks"),
            ("bob", "expired", "the key has expired"),
        ):
            async with client_of(server) as client:
                assert await ask(client, "auth", name) == [("auth_failed", f"authentication failed: {text}")]
                assert (await close_of(client))[1] == 1008
            assert server.metric("auth_failures_total", reason=reason) == 1


async def test_a_revoked_and_an_expired_key_cost_their_clients_and_nobody_else() -> None:
    alice, bob, carol, dan = key("alice"), key("bob"), key("carol"), key("dan")
    async with (
        serving(TopicRole(), **keys_of(alice, bob, carol, dan)) as server,
        client_of(server) as first,
        client_of(server) as second,
        client_of(server) as third,
        client_of(server) as fourth,
    ):
        for client, name in ((first, "alice"), (second, "bob"), (third, "carol"), (fourth, "dan")):
            await join(client, name)
        await apply(server, [key("bob", expired=True), carol, key("dan", markets=frozenset({"crypto"}))])
        assert await close_of(first) == (["the key is not accepted any more"], 1008, "key revoked")
        assert await close_of(second) == (["the key has expired"], 1008, "key expired")
        assert await close_of(fourth) == (["the key is not for stocks any more"], 1008, "key market")
        assert await ask(third, "subscribe", "T.AAPL") == [("success", "subscribed to: T.AAPL")]
        await server.role.wait_for("left", 3)
        for reason in ("revoked", "expired", "market"):
            assert server.metric("revoked_clients_total", reason=reason) == 1
        assert server.metric("key_clients", key="carol") == 1
        assert server.metrics.registry.get_sample_value("fproxy_key_clients", {"key": "alice"}) is None


async def test_what_a_key_no_longer_allows_is_taken_and_told_in_steps() -> None:
    role = TopicRole()
    async with serving(role, **keys_of(key("alice"))) as server, client_of(server) as client:
        await join(client, "alice")
        names = [f"S{number}" for number in range(3000)]
        await client.send(
            json.dumps({"action": "subscribe", "params": [f"T.{name}" for name in names] + ["Q.S1"]})
        )
        told = 0
        while told < len(names) + 1:
            told += len(await statuses(client))
        steps = await apply(server, [key("alice", topics=TopicPatterns(["Q.*"]))])
        assert steps > 3
        assert {topic.text for topic in role.held[role.clients[0]]} == {"Q.S1"}
        told = []
        while len(told) < len(names):
            told += await statuses(client)
        assert sorted(told) == sorted(("error", f"not authorized: T.{name}") for name in names)
        assert await ask(client, "subscribe", "T.S1,Q.S2") == [
            ("error", "not authorized: T.S1"),
            ("success", "subscribed to: Q.S2"),
        ]


async def test_a_key_has_as_many_connections_as_it_may_the_newest_ones() -> None:
    keys = keys_of(key("alice", max_connections=2), key("bob"))
    async with (
        serving(limits=ClientLimits(max_connections_per_key=1), **keys) as server,
        client_of(server) as first,
        client_of(server) as second,
        client_of(server) as third,
        client_of(server) as other,
        client_of(server) as another,
    ):
        for client in (first, second, third):
            await join(client, "alice")
        assert await close_of(first) == (
            ["The key may have 2 connections; a new one has come."],
            1008,
            "too many connections of this key",
        )
        await join(other, "bob")
        await join(another, "bob")
        assert (await close_of(other))[1] == 1008
        assert await ask(second, "subscribe", "T.A") == [("success", "subscribed to: T.A")]
        await apply(server, [key("alice", max_connections=1), key("bob")])
        assert (await close_of(second))[1] == 1008
        assert await ask(third, "subscribe", "T.A") == [("success", "subscribed to: T.A")]
        assert server.metric("refused_connections_total", reason="key") == 3


async def test_a_keys_limit_of_unsent_bytes_is_its_own() -> None:
    limits = ClientLimits(max_unsent_bytes=1 << 30)
    async with (
        serving(limits=limits, **keys_of(key("small", max_unsent_bytes=65536), key("large"))) as server,
        client_of(server, max_queue=1) as small,
        client_of(server, max_queue=1) as large,
    ):
        await join(small, "small")
        await join(large, "large")
        await server.role.wait_for("joined", 2)
        frame = b"\x82\x7f" + (1 << 20).to_bytes(8) + bytes(1 << 20)
        for client in server.role.clients:
            for _ in range(16):
                client.write(frame)
        await server.role.wait_for("left")
        assert [client.authenticated for client in server.role.clients] == [False, True]
        large.transport.abort()
        small.transport.abort()


async def test_the_log_has_the_name_and_never_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "fproxy.server")
    secret = ClientKey(name="alice", digest=key_digest("sesame"))
    async with serving(**keys_of(secret)) as server, client_of(server) as client:
        await join(client, "sesame")
        await apply(server, [])
        await close_of(client)
    assert "alice at 127.0.0.1:" in caplog.text
    assert "sesame" not in caplog.text
