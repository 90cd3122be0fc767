"""Runs pytest with every extension compiled under AddressSanitizer and UndefinedBehaviorSanitizer.

    python tests/fuzz/sanitized.py                    the whole suite
    python tests/fuzz/sanitized.py -q tests/core      what pytest's arguments say

The extensions are compiled in a copy of the checkout, which takes minutes the first time: ``--folder`` keeps it. What
the interpreter itself never frees is not reported. Needs GCC with its sanitizers' libraries, on Linux.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[2]
FLAGS: Final = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -Og -g1"
SKIPPED: Final = ("tests/native", "tests/face/test_allocator.py", "tests/benchmarks")
"""What compiles harnesses of its own, under sanitizers where that is worth it; and what holds memory to figures:
the sanitizers' allocator keeps what is freed for a while."""


def library(name: str) -> str:
    """Return the path of one of the compiler's run-time libraries."""
    found = subprocess.run(["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True)
    return str(Path(found.stdout.strip()).resolve())


def build(folder: Path) -> None:
    """Copy the checkout's files and compile its extensions."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        check=False,
        capture_output=True,
    )
    names = listed.stdout.decode().split("\0")[:-1] if listed.returncode == 0 else None
    if names is None:  # not a repository: a copy of one
        shutil.copytree(
            CHECKOUT, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.so", "build", ".venv")
        )
    else:
        for name in names:
            if (CHECKOUT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(
                    CHECKOUT / name, folder / name
                )  # with its time: what has not changed is not built again
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "-j2"],
        cwd=folder,
        check=True,
        env=os.environ | {"FPROXY_COMPILE_FLAGS": FLAGS, "LDFLAGS": "-fsanitize=address,undefined"},
    )


def main() -> int:
    """Build, and run pytest; return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, help="where to build; kept, and built again only as far as need be"
    )
    parsed, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = parsed.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        build(folder)
        environment = os.environ | {
            "LD_PRELOAD": " ".join(map(library, ("libasan.so", "libubsan.so", "libstdc++.so.6"))),
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": str(folder),
        }
        skipped = [f"--ignore={name}" for name in SKIPPED]
        command = [sys.executable, "-m", "pytest", *skipped, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
