"""A client's messages as frames, the limits on them, and the keepalive."""

import asyncio

import pytest
from server_harness import KEY, ask, joined_client, masked_frame, raw_client, request, serving, soon, statuses
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from fproxy.core.control import TOPICS_PER_EFFECT
from fproxy.core.frames import text_frame
from fproxy.core.status_replies import status_message
from fproxy.shell.client_limits import ClientLimits
from fproxy.shell.client_session import MAX_BYTES_BEFORE_AUTH
from fproxy.shell.timer_wheel import NO_TICK

SUBSCRIBE = request("subscribe", "T.AAPL").encode()
SUBSCRIBED = status_message(("success", "subscribed to: T.AAPL"))
FINAL, TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x80, 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
NEVER = 3600.0
"""Seconds, for timeouts that must not come in a test."""


# Messages.


async def test_a_binary_message_is_as_good_as_text() -> None:
    async with serving() as server, joined_client(server) as client:
        await client.send(SUBSCRIBE)
        assert await statuses(client) == [("success", "subscribed to: T.AAPL")]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_may_come_in_fragments_with_pings_between(opcode: int) -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        client.send(opcode, SUBSCRIBE[:5])
        client.send(FINAL | PING, b"one")
        client.send(CONTINUATION, SUBSCRIBE[5:20])
        client.send(CONTINUATION, b"")
        client.send(FINAL | PING, b"two")
        client.send(FINAL | CONTINUATION, SUBSCRIBE[20:])
        frames = [await client.frame() for _ in range(3)]
        assert sorted(frames) == sorted(
            [(FINAL | PONG, b"one"), (FINAL | PONG, b"two"), (FINAL | TEXT, SUBSCRIBED)]
        )
        assert server.role.calls[-1] == ("subscribe", "T.AAPL")


async def test_a_message_may_arrive_byte_by_byte() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        client.writer.transport.set_write_buffer_limits(0)
        frame = bytes([FINAL | TEXT, 0x80 | len(SUBSCRIBE)]) + bytes(4) + SUBSCRIBE
        for position in range(len(frame)):
            client.writer.write(frame[position : position + 1])
            await client.writer.drain()
            await asyncio.sleep(0)
        assert await client.frame() == (FINAL | TEXT, SUBSCRIBED)


async def test_many_messages_in_one_write_are_answered_in_order() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        for number in range(500):
            client.send(FINAL | TEXT, request("subscribe", f"T.S{number}").encode())
        for number in range(500):
            assert (await client.frame())[1] == status_message(("success", f"subscribed to: T.S{number}"))


async def test_a_message_that_is_not_utf_8_ends_a_text_but_not_a_binary_connection() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        client.send(FINAL | BINARY, b"\xff")
        assert b"not UTF-8 at byte 0" in (await client.frame())[1]
        client.send(FINAL | TEXT, b"\xff")
        assert await client.close_frame() == (1007, "a text message is not UTF-8")
        assert await client.ended()
        assert server.role.count("left") == 1


@pytest.mark.parametrize("fragments", [1, 4])
async def test_a_message_that_is_too_big_ends_the_connection(fragments: int) -> None:
    async with serving(limits=ClientLimits(max_control_bytes=1000)) as server, raw_client(server) as client:
        await client.join()
        piece = b" " * (1000 // fragments)
        for number in range(fragments):
            opcode = TEXT if number == 0 else CONTINUATION
            client.send(FINAL | opcode if number == fragments - 1 else opcode, piece)
        assert b"not JSON" in (await client.frame())[1]
        for number in range(fragments - 1):
            client.send(CONTINUATION if number else TEXT, piece)
        client.send(FINAL | (CONTINUATION if fragments > 1 else TEXT), piece + b" ")
        assert (await client.close_frame())[0] == 1009
        await server.role.wait_for("left")


async def test_a_very_big_message_ends_the_connection_before_it_has_come() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        client.writer.write(bytes([FINAL | TEXT, 0x80 | 127]) + (1 << 40).to_bytes(8))
        assert (await client.close_frame())[0] == 1009


async def test_the_limit_of_a_message_is_a_mebibyte() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        client.send(FINAL | TEXT, b" " * (1 << 20))
        assert b"not JSON" in (await client.frame())[1]
        client.send(FINAL | TEXT, b" " * ((1 << 20) + 1))
        assert (await client.close_frame())[0] == 1009


def pings(size: int) -> bytes:
    ping = masked_frame(FINAL | PING, b" " * 119)
    return ping * (size // len(ping))


@pytest.mark.parametrize(
    "data",
    [
        masked_frame(FINAL | TEXT, b" " * MAX_BYTES_BEFORE_AUTH),
        masked_frame(TEXT, b" " * (MAX_BYTES_BEFORE_AUTH // 2))
        + masked_frame(CONTINUATION, b" " * (MAX_BYTES_BEFORE_AUTH // 2)),
        pings(MAX_BYTES_BEFORE_AUTH + 4096),
    ],
    ids=["message", "fragments", "pings"],
)
async def test_a_client_may_not_send_much_before_it_has_authenticated(data: bytes) -> None:
    async with serving() as server, raw_client(server) as client:
        await client.open("/")
        client.writer.write(data[:MAX_BYTES_BEFORE_AUTH])
        client.writer.write(data[MAX_BYTES_BEFORE_AUTH:])
        assert await client.close_frame() == (1009, "more than 262144 bytes before auth")
        assert await client.ended()
        assert server.role.calls == []


async def test_what_comes_with_auth_may_be_large() -> None:
    async with serving() as server, raw_client(server) as client:
        padding = b" " * ((1 << 20) - len(SUBSCRIBE))
        await client.open("/")
        client.writer.write(pings(MAX_BYTES_BEFORE_AUTH - 4096))
        client.writer.write(
            masked_frame(FINAL | TEXT, request("auth", KEY).encode())
            + masked_frame(FINAL | TEXT, SUBSCRIBE + padding)
            + masked_frame(FINAL | TEXT, SUBSCRIBE + padding)
        )
        answers: list[bytes] = []
        while len(answers) < 3:
            first_byte, payload = await client.frame()
            if first_byte == FINAL | TEXT:
                answers.append(payload)
        assert b"auth_success" in answers[0]
        assert answers[1:] == [SUBSCRIBED, SUBSCRIBED]


@pytest.mark.parametrize(
    "data",
    [
        bytes([FINAL | 0x3, 0x80, 0, 0, 0, 0]),  # An opcode that does not exist.
        bytes([FINAL | 0x40 | TEXT, 0x80, 0, 0, 0, 0]),  # A compressed frame, which was not agreed on.
        bytes([FINAL | TEXT, 0x01, 0x20]),  # Not masked.
        bytes([FINAL | CONTINUATION, 0x80, 0, 0, 0, 0]),  # Of no message.
        bytes([PING, 0x80, 0, 0, 0, 0]),  # A control frame in fragments.
    ],
)
async def test_a_breach_of_the_protocol_ends_the_connection(data: bytes) -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        client.writer.write(data)
        assert (await client.close_frame())[0] == 1002
        await server.role.wait_for("left")


async def test_replies_come_before_the_answer_to_a_close_that_came_with_the_request() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        client.writer.write(b"")
        client.send(FINAL | TEXT, SUBSCRIBE)
        client.send(FINAL | CLOSE, (1000).to_bytes(2))
        assert await client.frame() == (FINAL | TEXT, SUBSCRIBED)
        assert await client.frame() == (FINAL | CLOSE, (1000).to_bytes(2))
        assert await client.ended()


async def test_what_comes_after_a_close_is_ignored() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        server.role.clients[0].close(1000, "")
        client.send(FINAL | TEXT, SUBSCRIBE)
        client.send(FINAL | PING, b"no pong")
        client.send(FINAL | CLOSE, (1000).to_bytes(2))
        assert await client.frame() == (FINAL | CLOSE, (1000).to_bytes(2))
        assert await soon(client.reader.read()) == b""
        assert server.role.calls == [("joined",), ("left",)]


async def test_a_client_that_does_not_answer_a_close_is_dropped() -> None:
    async with serving(limits=ClientLimits(close_timeout=0.02)) as server, raw_client(server) as client:
        await client.join()
        server.role.clients[0].close(1000, "")
        await server.emptied()
        assert await client.close_frame() == (1000, "")


async def test_a_close_that_comes_with_much_that_does_not_matter_any_more_is_heard() -> None:
    async with serving(limits=ClientLimits(close_timeout=NEVER)) as server, raw_client(server) as client:
        await client.join()
        ignored = 100 * masked_frame(FINAL | PING, b"ignored")
        wrong_key = masked_frame(FINAL | TEXT, request("auth", "wrong").encode())
        client.writer.write(wrong_key + ignored + masked_frame(FINAL | CLOSE, (1000).to_bytes(2)))
        await server.emptied()


async def test_a_role_hears_nothing_of_a_client_that_left_in_the_middle_of_its_subscription() -> None:
    topics = ",".join(f"T.S{number}" for number in range(5 * TOPICS_PER_EFFECT))
    async with serving() as server, raw_client(server) as client:
        await client.join()
        [sink] = server.role.clients
        steps = sink.take(masked_frame(FINAL | TEXT, request("subscribe", topics).encode()))
        while not server.role.count("subscribe"):
            next(steps)
        sink.abort()
        await server.role.wait_for("left")
        assert list(steps) == []
        assert [name for name, *_ in server.role.calls] == ["joined", "subscribe", "subscribe", "left"]


async def test_a_very_big_subscription_is_answered_in_full() -> None:
    topics = [f"T.S{number}" for number in range(10_000)]
    async with serving() as server, joined_client(server) as client:
        await client.send(request("subscribe", ",".join(topics)))
        await client.send(request("unsubscribe", topics[0]))
        answered: list[str] = []
        while len(answered) <= len(topics):
            answered += [text for _, text in await statuses(client)]
        assert answered == [f"subscribed to: {topic}" for topic in topics] + [f"unsubscribed to: {topics[0]}"]
        calls = server.role.calls[1:]
        assert [topic for name, *given in calls if name == "subscribe" for topic in given] == topics
        assert calls[-1] == ("unsubscribe", topics[0])


# Keepalive.


async def test_a_client_that_answers_pings_stays() -> None:
    limits = ClientLimits(ping_interval=NEVER, ping_timeout=NEVER)
    async with serving(limits=limits) as server, raw_client(server) as client:
        await client.join()
        [sink] = server.role.clients
        for _ in range(3):
            sink.timer_expired()
            assert await client.frame() == (FINAL | PING, b"")
            client.send(FINAL | PONG, b"")
            client.send(FINAL | PING, b"has the pong arrived?")
            assert await client.frame() == (FINAL | PONG, b"has the pong arrived?")
        assert sink.authenticated


async def test_pings_come_again_and_again() -> None:
    limits = ClientLimits(ping_interval=0.01, ping_timeout=NEVER)
    async with serving(limits=limits) as server, joined_client(server) as client:
        pings = 0
        protocol_frame = client.protocol.recv_frame

        def count(frame: Frame) -> None:
            nonlocal pings
            pings += frame.opcode is Opcode.PING
            protocol_frame(frame)

        client.protocol.recv_frame = count  # type: ignore[method-assign]
        async with asyncio.timeout(10):
            while pings < 3:  # noqa: ASYNC110 - the client library has no event for it
                await asyncio.sleep(0.01)


async def test_a_client_that_does_not_answer_a_ping_is_closed() -> None:
    limits = ClientLimits(ping_interval=0.02, ping_timeout=0.02)
    async with serving(limits=limits) as server, raw_client(server) as client:
        await client.join()
        assert (await client.frame())[0] == FINAL | PING
        assert await client.close_frame() == (1011, "keepalive ping timeout")
        await server.role.wait_for("left")


async def test_a_client_that_is_not_read_from_is_not_expected_to_answer() -> None:
    limits = ClientLimits(ping_interval=NEVER, ping_timeout=NEVER)
    async with serving(limits=limits) as server, raw_client(server) as client:
        await client.join()
        [sink] = server.role.clients
        sink.timer_expired()  # Sends a ping.
        sink.hold_input(NEVER)  # The client has sent too much.
        sink.timer_expired()
        assert sink.authenticated


async def test_a_client_whose_requests_take_long_is_not_expected_to_answer() -> None:
    limits = ClientLimits(ping_interval=NEVER, ping_timeout=NEVER)
    async with serving(limits=limits) as server, raw_client(server) as client:
        await client.join()
        [sink] = server.role.clients
        many_topics = ",".join(f"T.S{number}" for number in range(20_000))
        client.send(FINAL | TEXT, request("subscribe", many_topics).encode())
        await server.role.wait_for("subscribe")
        sink.timer_expired()  # No ping: the request is still being carried out.
        sink.timer_expired()
        assert sink.authenticated


async def test_the_smallest_frames_are_parsed_in_steps() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        [sink] = server.role.clients
        pings = 600 * masked_frame(FINAL | PING, b"")
        assert sum(1 for _ in sink.take(pings)) >= len(pings) / 128
        assert [await client.frame() for _ in range(600)] == 600 * [(FINAL | PONG, b"")]


async def test_the_rest_of_a_long_frame_is_parsed_at_once() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        [sink] = server.role.clients
        message = masked_frame(FINAL | TEXT, b" " * 4_000)
        begin = sum(1 for _ in sink.take(message[:8]))
        middle = sum(1 for _ in sink.take(message[8:-8]))
        assert begin == middle == 0, "no step is followed by another"
        list(sink.take(message[-8:]))
        assert b"not JSON" in (await client.frame())[1]


async def test_what_was_parsed_is_carried_out_in_the_next_step() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.join()
        [sink] = server.role.clients
        steps = sink.take(masked_frame(FINAL | TEXT, SUBSCRIBE))
        next(steps)
        assert not server.role.count("subscribe")
        next(steps)
        assert server.role.count("subscribe") == 1


async def test_pings_can_be_turned_off() -> None:
    limits = ClientLimits(ping_interval=0, ping_timeout=0.01)
    async with serving(limits=limits) as server, raw_client(server) as client:
        await client.join()
        [sink] = server.role.clients
        assert sink.timer_tick == NO_TICK
        sink.send_status(b"[]")
        assert await client.frame() == (FINAL | TEXT, b"[]")


async def test_a_client_with_a_backlog_is_kept_as_long_as_it_reads() -> None:
    limits = ClientLimits(ping_interval=NEVER, ping_timeout=NEVER, max_unsent_bytes=1 << 30)
    async with serving(limits=limits) as server, raw_client(server, limit=1 << 16) as client:
        await client.join()
        [sink] = server.role.clients
        frame = text_frame(b" " * (1 << 20))
        while sink.unsent_bytes < 32 << 20:
            sink.write(frame)
        sink.timer_expired()  # Sends a ping, which the client will not see for long.
        sink.timer_expired()  # No pong yet, but there is a backlog: the client is given time.
        for _ in range(5):
            unsent = sink.unsent_bytes
            while sink.unsent_bytes == unsent:
                await soon(client.reader.readexactly(1 << 16))
            sink.timer_expired()  # No pong yet, but the client has read something.
        assert sink.authenticated
        # Now the client stops; let what is under way settle, so that the next look sees no progress.
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(10):
            while sink.authenticated:
                sink.timer_expired()
                await asyncio.sleep(0.01)
        await server.role.wait_for("left")


async def test_the_official_go_clients_pings_are_answered() -> None:
    async with serving() as server, joined_client(server) as client:
        await soon(await client.ping(b"keepalive"))


async def test_a_client_may_authenticate_again() -> None:
    async with serving() as server, joined_client(server) as client:
        assert await ask(client, "auth", KEY) == [("auth_success", "authenticated")]
        assert server.role.count("joined") == 1
        assert await ask(client, "auth", "wrong") == [("auth_failed", "authentication failed")]
        with pytest.raises(ConnectionClosed):
            await soon(client.recv())
        await server.role.wait_for("left")
