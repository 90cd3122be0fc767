"""Builds the C++ harnesses of these tests: for this machine, with sanitizers, and for arm64."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
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


FUZZ: Final = HERE.parent / "fuzz"
CORPUS_FLAGS: Final = (f"-I{FUZZ}", "-DWITH_CORPUS_DRIVER")
"""With which a target of the fuzzer becomes a program that goes through the kept corpus."""

WRAPPED_FLAGS: Final = ("-Wl,--wrap=malloc,--wrap=realloc,--wrap=calloc,--wrap=mmap",)
"""With which a harness has an allocator of its own between it and the system's."""

LONG_BUILDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("sanitized", "fanout_harness.cpp", ()),
    ("sanitized", "allocator_harness.cpp", WRAPPED_FLAGS),
    ("sanitized", "../fuzz/scan_fuzz.cpp", CORPUS_FLAGS),
    ("sanitized", "../fuzz/bars_fuzz.cpp", CORPUS_FLAGS),
    ("sanitized", "scan_harness.cpp", ()),
    ("sanitized", "backlog_harness.cpp", ()),
    ("sanitized", "table_harness.cpp", ()),
    ("sanitized", "steady_harness.cpp", ()),
    ("native", "scan_harness.cpp", ()),
    ("native", "table_harness.cpp", ()),
)
"""What takes so long that it is begun before its tests, while those wait that come before them."""

_begun: dict[tuple[str, str, tuple[str, ...]], "Future[Path]"] = {}


def begin_long_builds(kept: Path) -> None:
    """Begin to build what takes long, into a directory, at a low priority."""
    workers = ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1))
    for name, source, more_flags in LONG_BUILDS:
        compiler = _compiler(BUILDS[name])
        if compiler is not None:
            _begun[name, source, more_flags] = workers.submit(
                _program, name, source, compiler, more_flags, kept
            )
    workers.shutdown(wait=False)


def _compiler(build: Build) -> str | None:
    return next(filter(None, map(shutil.which, build.compilers)), None)


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
    compiler = _compiler(build)
    if compiler is None:
        pytest.skip(f"{' or '.join(build.compilers)} is not installed")
    run = []
    if build.emulator is not None and platform.machine() not in ("aarch64", "arm64"):
        emulator = shutil.which(build.emulator)
        if emulator is None:
            pytest.skip(f"{build.emulator} is not installed")
        run.append(emulator)
    begun = _begun.get((name, source, more_flags))
    if begun is not None:
        return [*run, str(begun.result())]
    if request.config.pluginmanager.has_plugin("cacheprovider"):
        kept: Path = request.config.cache.mkdir("native")
    else:
        kept = request.getfixturevalue("tmp_path_factory").mktemp("native")
    return [*run, str(_program(name, source, compiler, more_flags, kept))]


def _program(name: str, source: str, compiler: str, more_flags: tuple[str, ...], kept: Path) -> Path:
    """Return a harness' program, built where it is not kept already."""
    flags = (*COMMON_FLAGS, *BUILDS[name].flags, *more_flags)
    digest = hashlib.sha256(repr((compiler, flags)).encode())
    for file in _project_files_of(compiler, flags, HERE / source):
        digest.update(file.read_bytes())
    family = f"{Path(source).stem}-{name}"
    program = kept / f"{family}-{digest.hexdigest()[:16]}"
    with (kept / f"{family}.lock").open("w") as lock:
        # Where tests run in several processes, the first one builds for all.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            for outdated in kept.glob(f"{family}-*"):
                outdated.unlink()
            made = program.with_suffix(".new")
            command = ["nice", compiler, *flags, "-o", made, HERE / source]
            subprocess.run(command, check=True, timeout=TIMEOUT_SECONDS)
            made.rename(program)
    return program


def _project_files_of(compiler: str, flags: tuple[str, ...], source: Path) -> list[Path]:
    """Return the source and every header of the project that it includes."""
    rule = subprocess.run(
        [compiler, "-MM", *flags, source], check=True, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    return [Path(file) for file in rule.stdout.partition(":")[2].replace("\\\n", " ").split()]
