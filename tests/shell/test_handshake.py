"""The opening handshake: who is let in on which path, and what the others are told."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_harness import UPGRADE, RecordingRole, endpoints_of, raw_client, serving
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from fproxy.core.client_keys import ClientKeys
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.endpoint import by_path
from fproxy.shell.handshake import MAX_REQUEST_BYTES, Handshake, Outcome

ENDPOINTS = by_path(endpoints_of(RecordingRole()))


def shake_hands(*pieces: bytes, local_pages_only: bool = False) -> Outcome | None:
    handshake = Handshake(ENDPOINTS, local_pages_only=local_pages_only)
    try:
        for piece in pieces:
            outcome = handshake.received(piece)
            if outcome is not None:
                return outcome
        return None
    finally:
        handshake.close()


def status_of(outcome: Outcome | None) -> int:
    assert outcome is not None
    match = re.match(rb"HTTP/1\.1 ([0-9]{3}) ", outcome.response)
    assert match
    return int(match[1])


def upgrade(path: str = "/stocks", *headers: str) -> bytes:
    request = UPGRADE.format(path=path).removesuffix("\r\n")
    return "".join([request, *(f"{header}\r\n" for header in headers), "\r\n"]).encode()


@pytest.mark.parametrize(
    ("path", "greets"),
    [("/", False), ("/stocks", True), ("/stocks/", True), ("/stocks?key=1", True), ("/?a=/stocks", False)],
)
def test_a_served_path_is_accepted(path: str, greets: bool) -> None:
    outcome = shake_hands(upgrade(path))
    assert status_of(outcome) == 101
    assert outcome is not None
    assert outcome.accepted
    assert outcome.endpoint is not None
    assert outcome.endpoint.greets == greets
    assert outcome.rest == b""
    # The accept value of sixteen zero bytes, as RFC 6455, section 4.2.2 computes it.
    assert b"\r\nSec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n" in outcome.response


@given(st.lists(st.integers(0, len(upgrade()) + 20), max_size=30), st.binary(max_size=20))
def test_a_request_may_come_in_any_pieces_and_what_follows_it_is_kept(cuts: list[int], rest: bytes) -> None:
    data = upgrade() + rest
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    handshake = Handshake(ENDPOINTS)
    for position, piece in enumerate(pieces):
        outcome = handshake.received(piece)
        if outcome is not None:
            assert outcome.accepted
            assert outcome.rest + b"".join(pieces[position + 1 :]) == rest
            return
    raise AssertionError("the handshake did not end")


@pytest.mark.parametrize("path", ["/options", "/stock", "/stocks/x", "/Stocks", "/favicon.ico"])
def test_another_path_is_not_found_and_the_served_ones_are_named(path: str) -> None:
    outcome = shake_hands(upgrade(path))
    assert status_of(outcome) == 404
    assert outcome is not None
    assert not outcome.accepted
    assert outcome.response.endswith(
        b"\r\n\r\nNothing is served here; WebSocket clients connect to /stocks or /\n"
    )


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /stocks HTTP/1.1\r\nHost: test\r\n\r\n", 426),
        (b"POST /stocks HTTP/1.1\r\nHost: test\r\n\r\n", 405),
        (upgrade().replace(b"-Version: 13", b"-Version: 8"), 400),
        (upgrade().replace(b"AAAAAAAAAAAAAAAAAAAAAA==", b"short"), 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_REQUEST_BYTES, 431),
        (b"GET / HTTP/1.1\r\n" + 20 * (b"X: " + b"x" * 1_000 + b"\r\n"), 431),  # no end yet
        (upgrade()[:-2] + b"".join(b"X-%d: y\r\n" % number for number in range(500)) + b"\r\n", 431),
    ],
)
def test_what_cannot_become_a_websocket_is_told_so(data: bytes, status: int) -> None:
    outcome = shake_hands(data)
    assert status_of(outcome) == status
    assert outcome is not None
    assert not outcome.accepted


def test_a_browser_is_told_what_this_port_is_and_where_the_page_is() -> None:
    outcome = shake_hands(b"GET / HTTP/1.1\r\nHost: example:8765\r\n\r\n")
    assert status_of(outcome) == 426
    assert outcome is not None
    assert b"Upgrade: websocket\r\n" in outcome.response
    assert b"clients connect to ws://example:8765/stocks\n" in outcome.response
    assert b"http://127.0.0.1:8764/" in outcome.response


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\r\n", b"hello\r\n", b"GET\r\n\r\n", b"\r\n"])
def test_what_is_not_http_gets_no_answer(data: bytes) -> None:
    assert shake_hands(data) == Outcome(b"", accepted=False)


@given(st.lists(st.binary(max_size=200)))
def test_whatever_comes_the_handshake_does_not_raise(pieces: list[bytes]) -> None:
    outcome = shake_hands(*pieces)
    assert outcome is None or not outcome.accepted


@pytest.mark.parametrize(
    "headers",
    [
        ["Origin: https://example.com"],
        ["origin: null"],
        ["Origin:"],
        ["Origin: http://localhost", "Origin: https://example.com"],
    ],
)
def test_a_page_of_another_host_is_refused_where_any_key_will_do(headers: list[str]) -> None:
    outcome = shake_hands(upgrade("/stocks", *headers), local_pages_only=True)
    assert status_of(outcome) == 403
    assert outcome is not None
    assert not outcome.accepted
    assert outcome.refused_origin is not None
    assert b"FPROXY_CLIENT_KEYS" in outcome.response


@pytest.mark.parametrize("headers", [[], ["Origin: http://localhost:3000"], ["Origin: http://127.0.0.1"]])
def test_other_clients_and_pages_of_this_host_are_not(headers: list[str]) -> None:
    assert status_of(shake_hands(upgrade("/stocks", *headers), local_pages_only=True)) == 101


def test_where_keys_are_asked_for_any_page_may_try() -> None:
    assert status_of(shake_hands(upgrade("/stocks", "Origin: https://example.com"))) == 101


async def test_an_open_server_refuses_a_page_of_another_host_and_says_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = Origin(r"https://exam\ple.com" + "x" * 1000)
    async with serving(keys=ClientKeys()) as server:
        for _ in range(3):
            with pytest.raises(InvalidStatus) as refused:
                await connect(server.url(), origin=page)
            assert refused.value.response.status_code == 403
        assert server.metric("refused_origins_total") == 3
        async with connect(server.url()), connect(server.url(), origin=Origin("http://localhost:80")):
            pass
        assert server.metric("refused_origins_total") == 3
    [line] = [record.getMessage() for record in caplog.records if "web page" in record.getMessage()]
    assert "FPROXY_CLIENT_KEYS" in line
    assert len(line) < 400
    async with serving() as server, connect(server.url(), origin=page):
        assert server.metric("refused_origins_total") == 0


async def test_over_a_socket_the_answer_arrives_and_the_connection_ends() -> None:
    async with serving() as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.url("/crypto"))
        assert refused.value.response.status_code == 404
        assert refused.value.response.body is not None
        assert b"/stocks" in refused.value.response.body
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n", b"GET /" + b"x" * 100_000):
            async with raw_client(server) as client:
                client.writer.write(data)
                assert await client.ended()
        await server.emptied()
        assert server.role.calls == []


async def test_a_handshake_that_takes_too_long_is_ended() -> None:
    async with serving(limits=ClientLimits(handshake_timeout=0.02)) as server, raw_client(server) as client:
        client.writer.write(b"GET / HTTP/1.1\r\n")
        assert await client.ended()
        await server.emptied()
