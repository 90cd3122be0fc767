"""The scanner that needs instruction sets is used where all of them are, and not where one is missing."""

import platform
import shutil
import struct
import subprocess

import pytest
from native_build import TIMEOUT_SECONDS, built


@pytest.mark.parametrize("missing", [None, "avx2", "bmi1", "bmi2", "abm", "popcnt"])
def test_a_machine_that_lacks_one_uses_the_exact_scanner(
    missing: str | None, request: pytest.FixtureRequest
) -> None:
    emulator = shutil.which("qemu-x86_64")
    if emulator is None or platform.machine() != "x86_64":
        pytest.skip("qemu-x86_64 is not installed")
    command = built("native", "scan_harness.cpp", request)
    cpu = "max" if missing is None else f"max,-{missing}"
    message = b'[{"ev":"T","sym":"A"}]'
    done = subprocess.run(
        [emulator, "-cpu", cpu, *command],
        input=struct.pack("<I", len(message)) + message,
        capture_output=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    paths = [line.partition(b" ")[0] for line in done.stdout.splitlines()]
    assert paths == ([b"avx2", b"exact"] if missing is None else [b"exact"])
