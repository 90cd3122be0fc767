"""The benchmarks under attack work, and healthy clients of a proxy that is attacked miss nothing."""

import json
from pathlib import Path

import pytest

from benchmarks import attacks, soak
from benchmarks.hostile.attackers import ATTACKS
from benchmarks.hostile.clients import HealthyClient
from benchmarks.hostile.frames import FrameParser, masked


def test_healthy_clients_miss_nothing_under_attack(capsys: pytest.CaptureFixture[str]) -> None:
    assert attacks.main(["--attacks", "garbage", "--seconds", "0.3"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["garbage"]


def test_a_soak_ends_by_itself_with_nothing_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--minutes", "0.04", "--results", str(tmp_path)]) == 0, capsys.readouterr().out
    samples = json.loads((tmp_path / "soak.json").read_text())
    assert sum(sample["events"] for sample in samples) > 300


def test_every_attack_says_what_it_does() -> None:
    assert all(attack.__doc__ for attack in ATTACKS.values())


async def test_a_healthy_client_notices_a_missing_event() -> None:
    client = HealthyClient("key", range(1))
    for number in (7, 8, 10):
        client._take(b'[{"ev":"T","sym":"S0","i":%d,"t":1,"ns":2}]' % number, 3)
    assert client.events == 3
    assert client.faults == ["S0: 10 in place of 9"]
    client.close()


def test_frames_are_cut_wherever_the_bytes_are() -> None:
    data = b"".join(
        bytes((0x81, size)) + b"x" * size if size < 126 else b"\x81\x7e" + size.to_bytes(2) + b"x" * size
        for size in (0, 125, 126, 3_000)
    )
    parser = FrameParser()
    found = [payload for at in range(0, len(data), 7) for _, payload in parser.feed(data[at : at + 7])]
    assert [len(payload) for payload in found] == [0, 125, 126, 3_000]
    assert masked(b"abc") == b"\x81\x83\0\0\0\0abc"
