"""The memory of big messages goes back to the system, whatever was freed before."""

import subprocess
import sys

import pytest

BURST = """
import sys
from pathlib import Path
from fproxy.face.allocator import give_big_pieces_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "set":
    give_big_pieces_back()
bytes(30_000_000)
before = resident()
big, small = [], []
for _ in range(100):
    big.append(b"x" * 1_000_000)
    small.append(b"y" * 1_000)
taken = resident() - before
del big
print(taken, resident() - before)
"""


def kept(how: str) -> int:
    """How much of 100 MB, freed among small pieces that stay, is still resident."""
    done = subprocess.run([sys.executable, "-c", BURST, how], capture_output=True, text=True, check=True)
    taken, left = map(int, done.stdout.split())
    assert taken > 90_000_000
    return left


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_the_memory_of_big_messages_goes_back() -> None:
    assert kept("set") < 5_000_000
    assert kept("not") > 20_000_000, "it would not by itself"
