"""Who is let in, at every limit: by the rules alone, and against a real server by its attackers."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxy_headers import version_1, version_2
from server_harness import (
    KEY,
    UPGRADE,
    RawClient,
    Server,
    ask,
    client_of,
    joined_client,
    raw_client,
    request,
    statuses,
)
from server_harness import serving as serving_any
from websockets.exceptions import InvalidStatus

from fproxy.metrics import Metrics
from fproxy.shell.admission import SILENCE, Admission
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.connection_limits import ConnectionLimits
from fproxy.shell.message_rate import MessageRate


class Caller:
    """A connection that remembers how it ended."""

    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def count_calls(action: Callable[[], object]) -> int:
    """Return how many functions of Python and C are called, those of loops over all addresses among them."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


class Door:
    """An admission whose time is set by hand."""

    def __init__(self, max_clients: int = 100, **limits: Any) -> None:
        self.now = 0.0
        self.metrics = Metrics()
        self.admission = Admission(
            ConnectionLimits(**limits), max_clients=max_clients, metrics=self.metrics, clock=lambda: self.now
        )

    def call(self, host: str, after: float = 1.0) -> tuple[Caller, str | None]:
        self.now += after
        caller = Caller()
        reason = self.admission.arrived(caller, host)
        if reason is not None:
            self.admission.left(caller)
        return caller, reason


# The rules


def test_a_silent_connection_makes_room_for_one_of_another_address() -> None:
    door = Door(max_unauthenticated=3)
    silent = [door.call("6.6.6.6", after=0.1)[0] for _ in range(3)]
    assert door.call("6.6.6.6")[1] == "unauthenticated"
    _, reason = door.call("1.1.1.1")
    assert reason is None
    assert [caller.aborted for caller in silent] == [True, False, False]


def test_of_its_own_address_only_one_that_has_been_silent_for_a_while_makes_room() -> None:
    door = Door(max_unauthenticated=2)
    first, second = (door.call("6.6.6.6", after=0.5)[0] for _ in range(2))
    assert door.call("6.6.6.6", after=SILENCE - 0.6)[1] == "unauthenticated"
    assert (first.aborted, second.aborted) == (False, False)
    assert door.call("6.6.6.6", after=0.2)[1] is None
    assert (first.aborted, second.aborted) == (True, False)


@given(
    st.lists(
        st.tuples(st.sampled_from(["call", "authenticated", "left"]), st.integers(0, 3), st.integers(0, 20))
    )
)
def test_whatever_comes_and_goes_it_is_an_address_with_the_most_that_makes_room(
    steps: list[tuple[str, int, int]],
) -> None:
    door = Door(max_clients=1_000, max_unauthenticated=4)
    pending: dict[Caller, str] = {}
    for step, address, which in steps:
        if step == "call":
            host = f"1.1.1.{address}"
            hosts = [*pending.values(), host]
            caller, reason = door.call(host)
            gone = [other for other in pending if other.aborted]
            if reason is None:
                pending[caller] = host
            for other in gone:
                assert hosts.count(pending.pop(other)) == max(map(hosts.count, hosts))
            assert len(pending) <= 4
        elif pending:
            caller = list(pending)[which % len(pending)]
            del pending[caller]
            getattr(door.admission, step)(caller)


def test_to_make_room_takes_as_long_beside_many_addresses_as_beside_few() -> None:
    def steps(addresses: int) -> int:
        door = Door(max_clients=10_000, max_unauthenticated=addresses)
        for number in range(addresses):
            assert door.call(f"10.0.{number // 256}.{number % 256}")[1] is None
        return count_calls(lambda: door.call("1.1.1.1"))

    steps(20)  # the first line that is logged costs more: the library notes which levels are on
    assert steps(2_000) == steps(20)


def test_of_silent_addresses_the_one_that_has_waited_longest_makes_room() -> None:
    door = Door(max_unauthenticated=2)
    first, second = door.call("6.6.6.6")[0], door.call("7.7.7.7")[0]
    assert door.call("1.1.1.1")[1] is None
    assert (first.aborted, second.aborted) == (True, False)


def test_those_who_have_authenticated_are_never_made_to_go() -> None:
    door = Door(max_clients=2, max_unauthenticated=1)
    for host in ("1.1.1.1", "2.2.2.2"):
        caller, reason = door.call(host)
        assert reason is None
        door.admission.authenticated(caller)
    caller, reason = door.call("3.3.3.3")
    assert reason == "clients"


def test_a_silent_connection_takes_no_place_from_others_when_all_are_taken() -> None:
    door = Door(max_clients=3, max_unauthenticated=3)
    silent = [door.call("6.6.6.6")[0] for _ in range(3)]
    for number in range(3):
        caller, reason = door.call(f"1.1.1.{number}")
        assert reason is None
        door.admission.authenticated(caller)
    assert all(caller.aborted for caller in silent)
    assert door.call("1.1.1.9")[1] == "clients"


def test_an_address_has_as_many_as_it_may_and_gets_a_place_back() -> None:
    door = Door(max_connections_per_address=2)
    first, _ = door.call("1.1.1.1")
    door.admission.authenticated(first)
    assert door.call("1.1.1.1")[1] is None
    assert door.call("1.1.1.1")[1] == "address"
    assert door.call("1.1.1.2")[1] is None
    door.admission.left(first)
    assert door.call("1.1.1.1")[1] is None


def test_a_proxy_is_not_limited_but_those_behind_it_are() -> None:
    door = Door(max_connections_per_address=1, trusted_proxies=("10.0.0.1",))
    callers = [door.call("10.0.0.1") for _ in range(3)]
    assert [reason for _, reason in callers] == [None] * 3
    assert door.admission.identified(callers[0][0], "1.1.1.1") is None
    assert door.admission.identified(callers[1][0], "1.1.1.1") == "address"
    assert door.admission.identified(callers[2][0], "1.1.1.2") is None


def test_too_many_wrong_keys_shut_an_address_out_for_a_while() -> None:
    door = Door(max_auth_failures=2)
    for _ in range(2):
        caller, reason = door.call("6.6.6.6")
        assert reason is None
        door.admission.failed_auth(caller)
        door.admission.left(caller)
    assert door.call("6.6.6.6")[1] == "auth_failures"
    assert door.call("1.1.1.1")[1] is None
    door.now += 60
    assert door.call("6.6.6.6")[1] is None


def test_messages_beyond_the_rate_are_paid_for_with_time() -> None:
    now = 0.0
    rate = MessageRate(10.0, lambda: now)
    for _ in range(20):
        rate.take()
    assert rate.debt == 0.0
    for _ in range(10):
        rate.take()
    assert rate.debt == pytest.approx(1.0)
    now = 1.0
    rate.take()
    assert rate.debt == pytest.approx(0.1)
    unlimited = MessageRate(0.0, lambda: now)
    for _ in range(1000):
        unlimited.take()
    assert unlimited.debt == 0.0


# A real server


def serving(limits: ClientLimits | None = None, **more: Any) -> Any:
    server = {"max_clients": more.pop("max_clients")} if "max_clients" in more else {}
    return serving_any(limits=limits, connection_limits=ConnectionLimits(**more), **server)


def from_host(host: str) -> dict[str, Any]:
    """What makes a connection come from another address of this machine."""
    return {"local_addr": (host, 0)}


@asynccontextmanager
async def crowd(server: Server, count: int, host: str) -> AsyncIterator[list[RawClient]]:
    """Connections that say nothing."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(raw_client(server, **from_host(host))) for _ in range(count)]


async def until_admitted(server: Server, count: int) -> None:
    async with asyncio.timeout(10):
        while server.metric("connections_total") < count:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.005)


async def test_two_thousand_silent_connections_keep_nobody_out() -> None:
    patient = ClientLimits(handshake_timeout=3600.0)  # on a busy machine to connect takes a while
    async with serving(max_unauthenticated=200, limits=patient) as server, joined_client(server) as early:
        silent = []
        try:
            for _ in range(2000):
                _, writer = await asyncio.open_connection("127.0.0.1", server.port, **from_host("127.0.0.66"))
                silent.append(writer)
            async with joined_client(server, **from_host("127.0.0.2")) as late:
                for client in (early, late):
                    assert await ask(client, "subscribe", "T.A") == [("success", "subscribed to: T.A")]
            assert server.connections <= 202
            assert server.metric("refused_connections_total", reason="unauthenticated") >= 1800
        finally:
            for writer in silent:
                writer.transport.abort()


async def test_an_address_with_too_many_connections_is_told_so() -> None:
    async with (
        serving(max_connections_per_address=2) as server,
        joined_client(server),
        client_of(server),
    ):
        with pytest.raises(InvalidStatus) as caught:
            async with client_of(server):
                pass
        assert caught.value.response.status_code == 429
        assert server.metric("refused_connections_total", reason="address") == 1
        async with joined_client(server, **from_host("127.0.0.2")):
            pass


@pytest.mark.parametrize("way", ["header", "version 1", "version 2"])
async def test_behind_a_trusted_proxy_the_address_is_the_clients(way: str) -> None:
    async def come(raw: RawClient, address: str) -> bytes:
        head = UPGRADE.format(path="/")
        if way == "header":
            head = head.replace("\r\n\r\n", f"\r\nX-Forwarded-For: 9.9.9.9, {address}\r\n\r\n")
        prefix = {"header": b"", "version 1": version_1(address), "version 2": version_2(address)}[way]
        for piece in (prefix[:7], prefix[7:], head.encode()):  # in pieces, as the network may bring it
            raw.writer.write(piece)
            await raw.writer.drain()
        return (await raw.head())[:12]

    async with (
        serving(max_connections_per_address=1, trusted_proxies=("127.0.0.1",)) as server,
        raw_client(server) as first,
        raw_client(server) as second,
        raw_client(server) as third,
    ):
        assert await come(first, "1.2.3.4") == b"HTTP/1.1 101"
        assert await come(second, "1.2.3.4") == b"HTTP/1.1 429"
        assert await come(third, "1.2.3.5") == b"HTTP/1.1 101"
        for raw in (first, third):
            raw.send(0x81, request("auth", KEY).encode())
            assert b"auth_success" in (await raw.frame())[1]
        assert [client.peer for client in server.role.clients] == ["1.2.3.4", "1.2.3.5"]


async def test_nobody_else_is_believed_about_addresses() -> None:
    async with (
        serving(max_connections_per_address=1, trusted_proxies=("10.0.0.1",)) as server,
        raw_client(server) as first,
        raw_client(server, **from_host("127.0.0.9")) as second,
    ):
        head = UPGRADE.format(path="/")
        first.writer.write(head.replace("\r\n\r\n", "\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n").encode())
        assert (await first.head()).startswith(b"HTTP/1.1 101")
        second.writer.write(version_1("1.1.1.1") + UPGRADE.format(path="/").encode())
        assert await second.ended(), "a PROXY line of a stranger is no HTTP"
        async with raw_client(server) as third:
            assert (await third.head()).startswith(b"HTTP/1.1 429"), "made-up addresses help nobody"


@pytest.mark.parametrize(
    ("trusted", "begin", "said"),
    [
        ((), version_1("1.1.1.1"), "it sent a PROXY header, and FPROXY_TRUSTED_PROXIES does not name it"),
        ((), version_2("1.1.1.1"), "it sent a PROXY header, and FPROXY_TRUSTED_PROXIES does not name it"),
        (
            ("127.0.0.1",),
            b"PROXY TCP4 nobody 1.1.1.1 1 2\r\n",
            "it sent a PROXY line with a malformed address",
        ),
    ],
)
async def test_the_log_says_what_is_wrong_with_a_proxys_header(
    caplog: pytest.LogCaptureFixture, trusted: tuple[str, ...], begin: bytes, said: str
) -> None:
    async with serving(trusted_proxies=trusted) as server, raw_client(server) as raw:
        raw.writer.write(begin + UPGRADE.format(path="/").encode())
        assert await raw.ended()
        assert server.metric("refused_connections_total", reason="protocol") == 1
    (line,) = (record.getMessage() for record in caplog.records if "PROXY" in record.getMessage())
    assert line.startswith("127.0.0.1:")
    assert line.endswith(f" dropped: {said}")


async def test_wrong_keys_are_answered_slowly_and_the_right_one_at_once() -> None:
    loop = asyncio.get_running_loop()
    async with serving(max_auth_failures=3) as server:
        began = loop.time()
        for _ in range(3):
            async with client_of(server) as client:
                assert (await ask(client, "auth", "wrong"))[0][0] == "auth_failed"
        assert loop.time() - began >= 0.75, "0, 0.25 and 0.5 s"
        async with client_of(server) as client:
            await client.send(request("auth", "wrong"))
            async with joined_client(server):
                pass
            assert server.metric("auth_failures_total", reason="bad_key") == 4
            assert (await statuses(client))[0][0] == "auth_failed"


async def test_an_address_that_tries_keys_is_shut_out_and_nobody_else() -> None:
    async with serving(max_auth_failures=2, trusted_proxies=("127.0.0.1",)) as server:
        headers = {"additional_headers": {"X-Forwarded-For": "6.6.6.6"}}
        for _ in range(2):
            async with client_of(server, **headers) as client:
                assert (await ask(client, "auth", "wrong"))[0][0] == "auth_failed"
        with pytest.raises(InvalidStatus) as caught:
            async with client_of(server, **headers):
                pass
        assert caught.value.response.status_code == 429
        assert server.metric("refused_connections_total", reason="auth_failures") == 1
        async with joined_client(server, additional_headers={"X-Forwarded-For": "1.1.1.1"}):
            pass


async def test_connections_that_were_open_before_get_a_shut_out_address_no_further_guesses() -> None:
    async with (
        serving(max_auth_failures=2, trusted_proxies=("127.0.0.1",)) as server,
        AsyncExitStack() as stack,
    ):
        headers = {"additional_headers": {"X-Forwarded-For": "6.6.6.6"}}
        opened = [await stack.enter_async_context(client_of(server, **headers)) for _ in range(5)]
        other = await stack.enter_async_context(
            client_of(server, additional_headers={"X-Forwarded-For": "1.1.1.1"})
        )
        for client in opened[:2]:
            assert (await ask(client, "auth", "wrong"))[0] == ("auth_failed", "authentication failed")
        for client, key in zip(opened[2:], ("wrong", "also wrong", KEY), strict=True):
            assert (await ask(client, "auth", key))[0] == (
                "auth_failed",
                "authentication failed: too many wrong keys have come from this address of late",
            ), "not even the right key: nothing is told about any"
        assert server.metric("auth_failures_total", reason="bad_key") == 2
        assert server.metric("auth_failures_total", reason="shut_out") == 3
        assert (await ask(other, "auth", KEY))[0][0] == "auth_success"


async def test_a_flood_of_messages_waits_and_loses_nothing() -> None:
    loop = asyncio.get_running_loop()
    async with serving(max_control_rate=100) as server, joined_client(server) as client:
        began = loop.time()
        for number in range(400):
            await client.send(json.dumps({"action": "subscribe", "params": f"T.S{number}"}))
        answers: list[tuple[str, str]] = []
        while len(answers) < 400:
            answers += await statuses(client)
        assert answers == [("success", f"subscribed to: T.S{number}") for number in range(400)]
        assert loop.time() - began >= 1.0, "after a burst of 200, a hundred a second"
        assert server.metric("held_inputs_total") >= 1


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://desk.example", 101),
        ("https://DESK.example", 101),
        ("https://evil.example", 403),
        (None, 101),
    ],
)
async def test_with_listed_origins_other_pages_are_refused(origin: str | None, status: int) -> None:
    async with (
        serving(allowed_origins=("https://desk.example",)) as server,
        raw_client(server) as raw,
    ):
        head = UPGRADE.format(path="/")
        if origin is not None:
            head = head.replace("\r\n\r\n", f"\r\nOrigin: {origin}\r\n\r\n")
        raw.writer.write(head.encode())
        assert (await raw.head()).startswith(f"HTTP/1.1 {status}".encode())
        assert server.metric("refused_origins_total") == (status == 403)
