"""The opening handshake: who is let in on which path, and what the others are told."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_harness import UPGRADE, raw_client, serving
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.handshake import MAX_REQUEST_BYTES, Handshake, Outcome

PATHS = {"/": False, "/stocks": True}


def shake_hands(*pieces: bytes) -> Outcome | None:
    handshake = Handshake(PATHS)
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


def upgrade(path: str = "/stocks") -> bytes:
    return UPGRADE.format(path=path).encode()


@pytest.mark.parametrize(
    ("path", "greets"),
    [("/", False), ("/stocks", True), ("/stocks/", True), ("/stocks?key=1", True), ("/?a=/stocks", False)],
)
def test_a_served_path_is_accepted(path: str, greets: bool) -> None:
    outcome = shake_hands(upgrade(path))
    assert status_of(outcome) == 101
    assert outcome is not None
    assert outcome.accepted
    assert outcome.greets == greets
    assert outcome.rest == b""
    # The accept value of sixteen zero bytes, as RFC 6455, section 4.2.2 computes it.
    assert b"\r\nSec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n" in outcome.response


@given(st.lists(st.integers(0, len(upgrade()) + 20), max_size=30), st.binary(max_size=20))
def test_a_request_may_come_in_any_pieces_and_what_follows_it_is_kept(cuts: list[int], rest: bytes) -> None:
    data = upgrade() + rest
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    handshake = Handshake(PATHS)
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
        (upgrade()[:-2] + b"".join(b"X-%d: y\r\n" % number for number in range(500)) + b"\r\n", 431),
    ],
)
def test_what_cannot_become_a_websocket_is_told_so(data: bytes, status: int) -> None:
    outcome = shake_hands(data)
    assert status_of(outcome) == status
    assert outcome is not None
    assert not outcome.accepted


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\r\n", b"hello\r\n", b"GET\r\n\r\n", b"\r\n"])
def test_what_is_not_http_gets_no_answer(data: bytes) -> None:
    assert shake_hands(data) == Outcome(b"", accepted=False)


@given(st.lists(st.binary(max_size=200)))
def test_whatever_comes_the_handshake_does_not_raise(pieces: list[bytes]) -> None:
    outcome = shake_hands(*pieces)
    assert outcome is None or not outcome.accepted


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
