"""Fuzzes one target, from the kept corpus on: ``python tests/fuzz/fuzz.py scan --seconds 600``.

C++ targets are compiled with Clang, libFuzzer and sanitizers; Python targets need ``atheris``. What is found new is
added to ``--corpus``, where given. An input that breaks something is written to the working directory, and the exit
status is not 0; it is 77 when what the target needs is not installed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
HEADERS: Final = HERE.parents[1] / "fproxy" / "native"
NATIVE: Final = ("scan", "bars")
MISSING: Final = 77
"""The exit status when what the target needs is not installed."""


def fuzz_native(target: str, options: list[str]) -> int:
    """Compile a C++ target and run it."""
    compiler = shutil.which("clang++")
    if compiler is None:
        print("clang++ is not installed")
        return MISSING
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / target
        flags = [
            "-std=c++17",
            "-O1",
            "-g",
            "-fsanitize=fuzzer,address,undefined",
            "-fno-sanitize-recover=all",
        ]
        subprocess.run(
            [compiler, *flags, f"-I{HEADERS}", "-o", program, HERE / f"{target}_fuzz.cpp"], check=True
        )
        return subprocess.run([program, *options], check=False).returncode


def fuzz_python(target: str, options: list[str]) -> int:
    """Run a Python target; does not return when it does."""
    try:
        import atheris
    except ImportError:
        print("atheris is not installed")
        return MISSING
    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["fproxy"]):
        from python_targets import TARGETS
    atheris.Setup([target, *options], TARGETS[target])
    atheris.Fuzz()
    return 0


def main() -> int:
    """Fuzz the target that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=sorted(folder.name for folder in (HERE / "corpus").iterdir()))
    parser.add_argument("--seconds", type=int, default=60, help="for how long (60)")
    parser.add_argument("--corpus", type=Path, help="a folder of inputs to begin with, and to add to")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        corpora = [str(parsed.corpus or scratch), str(HERE / "corpus" / parsed.target)]
        limits = [f"-max_total_time={parsed.seconds}", "-timeout=30", "-rss_limit_mb=2048", "-max_len=4096"]
        run = fuzz_native if parsed.target in NATIVE else fuzz_python
        return run(parsed.target, [*limits, "-print_final_stats=1", *corpora])


if __name__ == "__main__":
    sys.exit(main())
