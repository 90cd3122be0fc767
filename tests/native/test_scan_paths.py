"""Every scan path finds the same: on this machine, under sanitizers, and on arm64 (emulated where this is another)."""

import random
import struct
import subprocess
from collections import Counter
from collections.abc import Iterable

import pytest
from damaged_frames import damaged, every_single_damage, messages
from hypothesis import given, settings
from market_data import frames
from native_build import BUILDS, TIMEOUT_SECONDS, built


class Harness:
    """The compiled scan_harness.cpp of one build."""

    def __init__(self, command: list[str], paths: tuple[str, ...]) -> None:
        self.command = command
        self.paths = paths

    def scan(self, scanned: Iterable[bytes]) -> list[dict[str, str]]:
        """Return what each path says of each frame, by path; see scan_harness.cpp."""
        scanned = list(scanned)
        done = subprocess.run(
            self.command,
            input=b"".join(struct.pack("<I", len(frame)) + frame for frame in scanned),
            capture_output=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        said: list[dict[str, str]] = [{}]
        for line in done.stdout.decode().splitlines():
            path, _, found = line.partition(" ")
            said[-1][path] = found
            if path == "exact":
                said.append({})
        stopped_in = scanned[len(said) - 1] if len(said) <= len(scanned) else None
        assert done.returncode == 0, f"{done.stderr.decode()}\nafter {said[-2:]}, in {stopped_in!r}"
        assert len(said) == len(scanned) + 1
        return said[:-1]


@pytest.fixture(scope="module", params=BUILDS)
def harness(request: pytest.FixtureRequest) -> Harness:
    return Harness(built(request.param, "scan_harness.cpp", request), BUILDS[request.param].paths)


def assert_agreement(harness: Harness, scanned: list[bytes]) -> Counter[str]:
    """Check that all paths say the same of every frame; return how often each verdict was given."""
    verdicts: Counter[str] = Counter()
    for frame, said in zip(scanned, harness.scan(scanned), strict=True):
        exact = said.pop("exact")
        assert set(harness.paths) <= set(said)
        assert len(set(said.values())) == 1, (frame, said)
        verdict, _, found = said.popitem()[1].partition(" ")
        exact_verdict, _, exactly_found = exact.partition(" ")
        assert found == exactly_found, frame
        assert (verdict == "refused") == (exact_verdict == "refused"), frame
        assert "wrong-key" not in found, frame
        verdicts[verdict] += 1
    return verdicts


@pytest.mark.parametrize("seed", range(3))
def test_random_damage(harness: Harness, seed: int) -> None:
    verdicts = assert_agreement(harness, list(messages(seed, 3000)))
    assert min(verdicts[verdict] for verdict in ("compact", "exact", "refused")) > 300, verdicts


@pytest.mark.parametrize("seed", range(3))
def test_every_single_byte_damaged(harness: Harness, seed: int) -> None:
    verdicts = assert_agreement(harness, list(every_single_damage(seed)))
    assert min(verdicts[verdict] for verdict in ("compact", "refused")) > 300, verdicts


@pytest.fixture(scope="module")
def hostile_frames() -> list[bytes]:
    """Drawn once for all builds: drawing takes longer than scanning."""
    drawn: list[bytes] = []

    @settings(max_examples=200, database=None)
    @given(frame=frames())
    def draw(frame: bytes) -> None:
        drawn.append(frame)

    draw()
    return drawn


def test_hostile_frames(harness: Harness, hostile_frames: list[bytes]) -> None:
    assert "refused" not in assert_agreement(harness, hostile_frames)
    pick = random.Random(0)
    assert_agreement(harness, [damaged(pick, frame) for frame in hostile_frames for _ in range(10)])


def test_the_harness_says_what_it_finds(harness: Harness) -> None:
    said = harness.scan([b'[{"ev":"T","sym":"AB"},{"T":"b","i":250}]', b" []", b"[{}", b""])
    compact = {path: "compact 1-22/54/4142/0/0 23-40/62/-/3/250" for path in said[0]}
    assert said == [
        compact | {"exact": "exact 1-22/54/4142/0/0 23-40/62/-/3/250"},
        dict.fromkeys(said[0], "exact"),
        dict.fromkeys(said[0], "refused 3"),
        dict.fromkeys(said[0], "refused 0"),
    ]
