"""Builds the C++ harnesses of these tests: for this machine, with sanitizers, and for arm64."""

import hashlib
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
HEADERS: Final = HERE.parents[1] / "fproxy" / "native"
COMMON_FLAGS: Final = ("-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{HEADERS}")
TIMEOUT_SECONDS: Final = 300


@dataclass(frozen=True)
class Build:
    """One way to build and run a harness.

    Attributes:
        flags: for the compiler, besides the common ones.
        compilers: commands, of which the first that exists compiles.
        emulator: runs the program, unless this machine is an arm64 itself; None when it needs none anywhere.
        paths: compact scan paths that the program must have.
    """

    flags: tuple[str, ...]
    compilers: tuple[str, ...] = ("g++", "c++")
    emulator: str | None = None
    paths: tuple[str, ...] = ()


BUILDS: Final = {
    "native": Build(("-O3",)),
    "sanitized": Build(
        ("-Og", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DFRAMES_ON_THE_HEAP")
    ),
    "arm64": Build(("-O3", "-static"), ("aarch64-linux-gnu-g++",), "qemu-aarch64", ("neon",)),
}


def built(
    name: str, source: str, request: pytest.FixtureRequest, more_flags: tuple[str, ...] = ()
) -> list[str]:
    """Return the command that runs a harness; skip the running test when tools are missing.

    Args:
        name: of the build.
        source: the harness' file name.
        request: of the test. Compiling takes seconds: programs of the same sources are kept in pytest's cache.
        more_flags: for the compiler, besides those of the build.
    """
    build = BUILDS[name]
    compiler = next(filter(None, map(shutil.which, build.compilers)), None)
    if compiler is None:
        pytest.skip(f"{' or '.join(build.compilers)} is not installed")
    run = []
    if build.emulator is not None and platform.machine() not in ("aarch64", "arm64"):
        emulator = shutil.which(build.emulator)
        if emulator is None:
            pytest.skip(f"{build.emulator} is not installed")
        run.append(emulator)
    flags = (*COMMON_FLAGS, *build.flags, *more_flags)
    digest = hashlib.sha256(repr((compiler, flags)).encode())
    for file in _project_files_of(compiler, flags, HERE / source):
        digest.update(file.read_bytes())
    if request.config.pluginmanager.has_plugin("cacheprovider"):
        kept: Path = request.config.cache.mkdir("native")
    else:
        kept = request.getfixturevalue("tmp_path_factory").mktemp("native")
    family = f"{Path(source).stem}-{name}"
    program = kept / f"{family}-{digest.hexdigest()[:16]}"
    if not program.exists():
        for outdated in kept.glob(f"{family}-*"):
            outdated.unlink()
        made = program.with_suffix(".new")
        subprocess.run([compiler, *flags, "-o", made, HERE / source], check=True, timeout=TIMEOUT_SECONDS)
        made.rename(program)
    return [*run, str(program)]


def _project_files_of(compiler: str, flags: tuple[str, ...], source: Path) -> list[Path]:
    """Return the source and every header of the project that it includes."""
    rule = subprocess.run(
        [compiler, "-MM", *flags, source], check=True, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    return [Path(file) for file in rule.stdout.partition(":")[2].replace("\\\n", " ").split()]
