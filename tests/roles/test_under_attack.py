"""The public port under each kind of attack: the limit holds and is counted, healthy clients get every byte, newcomers
are served afterwards.

Each kind is one of ``benchmarks.hostile.attackers``, which measures what it costs. Here nothing depends on how long
something takes.
"""

import asyncio
import logging
import random
from collections.abc import Iterator

import pytest
from siege import KEY, OWN, STRANGE, Caller, siege

from benchmarks.hostile.frames import UPGRADE, masked, request

MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever is sent, nothing of ours fails."""
    yield
    ours = [record for record in caplog.get_records("call") if record.name.startswith("fproxy")]
    assert not [record.getMessage() for record in ours if record.levelno >= logging.ERROR]


async def trickle(caller: Caller, data: bytes) -> None:
    """Send a byte at a time, over and over, until the connection ends."""
    reading = asyncio.create_task(caller.until_ended())
    while not reading.done():
        for at in range(len(data)):
            if reading.done():
                break
            await caller.send(data[at : at + 1])
            await asyncio.sleep(0.001)
    await reading


async def test_slow_handshakes_end_when_their_time_is_over_however_steadily_they_come() -> None:
    async def slow(caller: Caller) -> None:
        await caller.connect()
        await caller.send(b"GET /stocks HTTP/1.1\r\n")
        await trickle(caller, b"X-Slow: 1\r\n")

    async with siege({"handshake_timeout": 0.05}) as besieged:
        await besieged.attack(slow, 20)
        assert besieged.refused("handshake") == 20


async def test_slow_auth_ends_when_its_time_is_over_however_steadily_it_comes() -> None:
    async def slow(caller: Caller) -> None:
        await caller.open()
        await trickle(caller, masked(b" " * 60_000))

    async with siege({"auth_timeout": 0.05, "handshake_timeout": 3600.0}) as besieged:
        attackers = await besieged.attack(slow, 20)
        assert besieged.count("auth_failures_total", reason="timeout") == 20
        assert all(any(b"auth_timeout" in payload for payload in caller.payloads) for caller in attackers)


async def test_slow_frames_hold_nobody_up_and_keep_no_more_than_a_message() -> None:
    async def slow(caller: Caller) -> None:
        await caller.join()
        for byte in masked(b'{"action":"subscribe","params":"T.SLOW"}'):
            await caller.send(bytes((byte,)))
            await asyncio.sleep(0)
        await caller.until_told(b"subscribed to: T.SLOW")
        for _ in range(3):  # fragments of a message that has no end
            await caller.send(masked(b"x" * 40_000, 0x01))
            await caller.send(masked(b"x" * 40_000, 0x00))
        await caller.until_ended()

    async with siege({"max_control_bytes": 64 * 1024}) as besieged:
        attackers = await besieged.attack(slow, 10)
        assert besieged.refused("protocol") == 10
        assert all(caller.payloads[-1][:2] == (1009).to_bytes(2) for caller in attackers)


async def test_silence_takes_no_place_from_anybody() -> None:
    async def silent(caller: Caller) -> None:
        await caller.connect()

    async with siege(max_unauthenticated=10) as besieged:
        await besieged.attack(silent, 100)
        await besieged.until(lambda: besieged.refused("unauthenticated") >= 90)
        await besieged.until(lambda: besieged.proxy.server.connections <= 1 + 10)
        await besieged.caller(OWN).join("T.A")


GARBAGE = {
    "for a handshake": b"\xff" + random.Random(5).randbytes(2_000),
    "for frames": UPGRADE + b"\xff" + random.Random(6).randbytes(2_000),
    # Each of these is sound, and they have no end.
    "for headers": b"GET / HTTP/1.1\r\n" + 20 * (b"X: " + b"x" * 1_000 + b"\r\n"),
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_closed_and_counted(kind: str) -> None:
    async def garbage(caller: Caller) -> None:
        await caller.connect()
        await caller.send(GARBAGE[kind])
        await caller.until_ended()

    async with siege() as besieged:
        await besieged.attack(garbage, 40)
        assert besieged.refused("protocol") == 40


async def test_a_flood_of_requests_waits_and_nobody_waits_for_it() -> None:
    asked = 600

    async def flood(caller: Caller) -> None:
        await caller.join()
        for number in range(asked):
            await caller.send(request("subscribe", f"T.F{number}") + masked(b"nonsense"))
        await besieged.until(lambda: besieged.count("held_inputs_total") >= 3)

    async with siege(max_control_rate=20) as besieged:
        attackers = await besieged.attack(flood, 3)
        await besieged.healthy.send(request("subscribe", "T.HEALTHY"))
        await besieged.healthy.until_told(b"subscribed to: T.HEALTHY")
        assert besieged.count("control_errors_total") < 3 * asked, "they are not done"
        assert f"T.F{asked - 1}" not in besieged.firehose.topics
        assert not any(caller.ended for caller in attackers)


BOMBS = {
    "commas": (
        b'{"action":"subscribe","params":"' + b"," * 1_000_000 + b'"}',
        b"too many topics in one message",
    ),
    "arrays": (b"[" + b"[]," * 340_000 + b"[]]", b"has to be an object with an action and 'params'"),
    "fields": (b'{"x":[' + b"1," * 500_000 + b'1],"params":"T.X"}', b"has to be an object with an action"),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_huge_messages_are_refused_before_they_are_read_whole(bomb: str) -> None:
    message, refusal = BOMBS[bomb]

    async def huge(caller: Caller) -> None:
        await caller.join()
        await caller.send(masked(message))
        await caller.until_told(refusal)
        await caller.send(masked(b"x" * (MEBIBYTE + 1)))
        await caller.until_ended()

    async with siege() as besieged:
        attackers = await besieged.attack(huge, 3)
        assert besieged.count("control_errors_total") == 3
        assert besieged.refused("protocol") == 3
        assert all(caller.payloads[-1][:2] == (1009).to_bytes(2) for caller in attackers)


async def test_of_a_stranger_little_is_kept() -> None:
    async def huge(caller: Caller) -> None:
        await caller.open()
        await caller.send(masked(b'{"action":"auth","params":"%s"}' % KEY.encode() + b" " * (MEBIBYTE // 2)))
        await caller.until_ended()

    async with siege() as besieged:
        attackers = await besieged.attack(huge, 3)
        assert besieged.refused("protocol") == 3
        assert all(b"more than 262144 bytes before auth" in caller.payloads[-1] for caller in attackers)


async def test_many_topics_are_limited_and_given_up_when_their_client_breaks_off() -> None:
    async def greedy(caller: Caller) -> None:
        for round_ in range(3):
            again = caller if round_ == 0 else besieged.caller()
            await again.join()
            await again.send(request("subscribe", ",".join(f"T.X{number}" for number in range(3_000))))
            await again.until_told(b"T.X2999")
            again.close()

    async with siege({"max_topics": 2_000}) as besieged:
        await besieged.attack(greedy, 3)
        assert besieged.count("control_errors_total") == 3 * 3 * 1_000
        await besieged.firehose.until(lambda: besieged.firehose.topics == {"T.A"})


async def test_a_churn_of_connections_leaves_no_place_taken() -> None:
    async def churn(caller: Caller) -> None:
        await caller.open()
        caller.close()
        for _ in range(9):
            again = besieged.caller()
            await again.open()
            again.close()

    async with siege(max_connections_per_address=20, max_unauthenticated=20) as besieged:
        await besieged.attack(churn, 10)
        await besieged.until(lambda: besieged.proxy.server.connections == 1)
        attackers = await besieged.attack(lambda caller: caller.open(), 20)
        assert all(caller.head.startswith(b"HTTP/1.1 101") for caller in attackers)


async def test_many_connections_of_an_address_are_turned_away() -> None:
    async with siege(max_connections_per_address=10) as besieged:
        attackers = await besieged.attack(lambda caller: caller.open(), 50)
        assert besieged.refused("address") == 40
        assert sum(caller.head.startswith(b"HTTP/1.1 429") for caller in attackers) == 40
        await besieged.caller(OWN).join("T.A")


async def test_guesses_at_keys_shut_their_address_out_and_nobody_else() -> None:
    async def guess(caller: Caller) -> None:
        await caller.connect()
        await caller.send(UPGRADE[:-2] + b"X-Forwarded-For: 6.6.6.6\r\n\r\n" + request("auth", "guessed"))
        await caller.until_ended()

    async with siege(max_auth_failures=2, trusted_proxies=(STRANGE,)) as besieged:
        for _ in range(2):
            await besieged.attack(guess, 1)
        [shut_out] = await besieged.attack(guess, 1)
        assert shut_out.head.startswith(b"HTTP/1.1 429")
        assert besieged.refused("auth_failures") == 1
        assert besieged.count("auth_failures_total", reason="bad_key") == 2


async def test_pings_whose_pongs_are_not_read_cost_the_connection() -> None:
    async def ping(caller: Caller) -> None:
        await caller.connect(reads_little=True)
        await caller.send(UPGRADE + request("auth", KEY))
        while not caller.ended:
            await caller.send(200 * masked(b"x" * 125, 0x89))

    async with siege({"max_unsent_bytes": 64 * 1024}) as besieged:
        await besieged.attack(ping, 2)
        assert besieged.count("slow_consumers_total", reason="bytes") == 2
        assert besieged.proxy.server.backlog.bytes < MEBIBYTE
