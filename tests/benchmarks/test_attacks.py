"""The benchmarks under attack work, and healthy clients of a proxy that is attacked miss nothing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import attacks, soak
from benchmarks.hostile.attackers import ATTACKS
from benchmarks.hostile.clients import HealthyClient
from benchmarks.hostile.frames import FrameParser, masked
from benchmarks.soak import Sample, Soak


def test_healthy_clients_miss_nothing_under_attack(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacks, "START_SECONDS", 0.3)
    assert attacks.main(["--attacks", "garbage", "--seconds", "0.3"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["garbage"]


def test_a_soak_ends_by_itself_with_nothing_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "ATTACK_INTERVAL", 1)
    monkeypatch.setattr(soak, "ATTACK_SECONDS", 0.4)
    assert soak.main(["--minutes", "0.04", "--results", str(tmp_path)]) == 0, capsys.readouterr().out
    samples = json.loads((tmp_path / "soak.json").read_text())
    assert sum(sample["events"] for sample in samples) > 300
    assert any(sample["attack"] for sample in samples)


def soaked(**changes: Any) -> Soak:
    """A soak of which all is well, but for what is changed: of its last samples, or of what is left."""
    ended = Soak(minutes=1.0, seed=1)
    for second in range(1, 61):
        ended.samples.append(Sample(float(second), 100.0, 50, 30.0, 20.0, 0.0, 1.0, 500, ""))
    for sample in ended.samples[-30:]:
        for name, value in changes.items():
            if hasattr(sample, name):
                setattr(sample, name, value)
    ended.left = {"files": 0, "connections": 0, "audiences": 0, "backlog": 0, "memory": 90.0, "peak": 120.0}
    ended.left |= {
        name.removeprefix("left_"): value for name, value in changes.items() if name.startswith("left_")
    }
    ended.faults += changes.get("faults", [])
    return ended


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, []),
        ({"memory": 142.0}, ["memory grew from 100 to 142 MiB"]),
        ({"events": 0}, ["healthy clients got 15,000 of some 30,000 events"]),
        ({"faults": ["dropped"]}, ["healthy clients: dropped"]),
        ({"left_files": 3}, ["files: 3 more are open than at the start"]),
        ({"left_connections": 1}, ["connections: 1 are left"]),
        ({"left_audiences": 1}, ["audiences: 1 are left"]),
        ({"left_backlog": 1}, ["backlog: 1 are left"]),
    ],
)
def test_the_verdict_of_a_soak_says_what_is_wrong(changes: dict[str, Any], verdict: list[str]) -> None:
    assert soaked(**changes).verdict() == verdict


def test_seconds_with_an_attack_are_put_together() -> None:
    samples = soaked().samples
    for second in (3, 4, 7):
        samples[second - 1].attack = "garbage"
    assert soak.attacked_spans(samples) == [(2.0, 4.0), (6.0, 7.0)]


def test_every_attack_says_what_it_does() -> None:
    assert all(attack.__doc__ for attack in ATTACKS.values())


async def test_a_healthy_client_notices_a_missing_event() -> None:
    client = HealthyClient("key", range(1))
    for number in (7, 8, 10):
        client._take(b'[{"ev":"T","sym":"S0","i":%d,"t":1,"ns":2}]' % number, 3)
    assert client.events == 3
    assert client.faults == ["S0: 10 in place of 9"]
    client.close()


async def test_a_healthy_client_that_is_dropped_says_so() -> None:
    async def drop(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(drop, "127.0.0.1")
    client = HealthyClient("key", range(1))
    await client.connect(server.sockets[0].getsockname()[1])
    with pytest.raises(ConnectionError):
        await client.joined
    assert client.faults == ["the connection broke off"]
    server.close()


def test_frames_are_cut_wherever_the_bytes_are() -> None:
    data = b"".join(
        bytes((0x81, size)) + b"x" * size if size < 126 else b"\x81\x7e" + size.to_bytes(2) + b"x" * size
        for size in (0, 125, 126, 3_000)
    )
    parser = FrameParser()
    found = [payload for at in range(0, len(data), 7) for _, payload in parser.feed(data[at : at + 7])]
    assert [len(payload) for payload in found] == [0, 125, 126, 3_000]
    assert masked(b"abc") == b"\x81\x83\0\0\0\0abc"
