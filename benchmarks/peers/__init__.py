"""The peers of fproxy: the same filtered proxy, as a good engineer writes the plain program in each language.

Every peer takes ``--port`` (to listen on, 127.0.0.1) and ``--upstream`` (a ``ws://`` URL), speaks the session
protocol (``/stocks`` with a greeting, ``/`` without one; auth with any key; one acknowledgement a topic) and forwards
each event to the clients that subscribed to ``TYPE.SYMBOL``, ``TYPE.*`` or ``*``, once each and in order. They look
an event up in an index from topic to clients (``rust-broadcast`` excepted, which does it the way such proxies are
often written), and send a client what one upstream frame holds for it as one message, or what gathered in its queue.
None has limits, reconnects, metrics or a second upstream.

A peer says here how it is built and run. One whose toolchain or packages are missing is skipped and named.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
BUILD_TIMEOUT_SECONDS: Final = 900


class UnavailableError(Exception):
    """A program cannot be built or run here; the message says what is missing."""


@dataclass(frozen=True)
class Program:
    """A program that can be put under test.

    Attributes:
        name: what it is called on the command line and in tables.
        description: what it is made of.
        prepare: builds it in a directory of its own, which exists and is kept between runs; raises
            UnavailableError when it cannot.
        command: given that directory, the port to listen on and the URLs of firehose and aggregator, the command
            line.
        environment: given the same URLs, additions to the environment.
        upstreams: how many connections it makes to the firehose.
        every_market: whether it serves other markets than stocks.
    """

    name: str
    description: str
    prepare: Callable[[Path], None]
    command: Callable[[Path, int, str, str], list[str]]
    environment: Callable[[str, str], Mapping[str, str]] = field(default=lambda firehose, aggregator: {})
    upstreams: int = 1
    every_market: bool = False


def need(*tools: str) -> None:
    """Check that commands are on the PATH.

    Raises:
        UnavailableError: one is not.
    """
    for tool in tools:
        if shutil.which(tool) is None:
            raise UnavailableError(f"{tool} is not installed")


def need_modules(*modules: str) -> None:
    """Check that this Python has modules.

    Raises:
        UnavailableError: one is missing.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise UnavailableError(f"the Python package {module} is not installed")


def build(command: list[str], directory: Path, **environment: str) -> None:
    """Run one build command.

    Args:
        command: the command line.
        directory: where to run it.
        environment: additions to the environment.

    Raises:
        UnavailableError: it failed; the message ends with the last lines of what it printed.
    """
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise UnavailableError(f"{' '.join(command[:3])} failed: {' / '.join(done.stdout.splitlines()[-3:])}")


def compile_cpp(source: Path, binary: Path, *flags: str) -> None:
    """Compile one C++ source file, unless the binary is newer than it and the headers it shares.

    Raises:
        UnavailableError: there is no compiler, or it failed.
    """
    need("g++")
    inputs = [source, *(HERE.parent / "native").glob("*.hpp")]
    if binary.exists() and binary.stat().st_mtime > max(file.stat().st_mtime for file in inputs):
        return
    build(["g++", "-std=c++17", "-Wall", "-Wextra", *flags, "-o", str(binary), str(source)], HERE.parent)


def _options(port: int, firehose: str) -> list[str]:
    return ["--port", str(port), "--upstream", firehose]


def _python(name: str, description: str, script: str, *modules: str) -> Program:
    return Program(
        name,
        description,
        lambda directory: need_modules(*modules),
        lambda directory, port, firehose, aggregator: [
            sys.executable,
            str(HERE / script),
            *_options(port, firehose),
        ],
    )


def _prepare_floor(directory: Path) -> None:
    compile_cpp(HERE / "floor" / "floor.cpp", directory / "floor", "-O3", "-march=native")


def _rust_target(directory: Path) -> Path:
    return directory.parent / "rust"  # the programs in Rust are one, with a flag


def _prepare_rust(directory: Path) -> None:
    need("cargo")
    target = str(_rust_target(directory))
    build(["cargo", "build", "--release", "--locked", "--quiet"], HERE / "rust", CARGO_TARGET_DIR=target)


def _prepare_go(directory: Path) -> None:
    need("go")
    build(["go", "build", "-o", str(directory / "proxy"), "."], HERE / "go")


def _prepare_node(directory: Path) -> None:
    need("node", "npm")
    for name in ("package.json", "package-lock.json", "proxy.js"):
        shutil.copyfile(HERE / "node" / name, directory / name)
    if not (directory / "node_modules" / "ws").exists():
        build(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], directory)


PEERS: Final[tuple[Program, ...]] = (
    Program(
        "floor",
        "C++: epoll, scan, hash, one send a client and read; no features",
        _prepare_floor,
        lambda directory, port, firehose, aggregator: [str(directory / "floor"), *_options(port, firehose)],
    ),
    Program(
        "rust",
        "Rust: tokio, tokio-tungstenite, serde_json; an index of topics, a queue and a task for each client",
        _prepare_rust,
        lambda directory, port, firehose, aggregator: [
            str(_rust_target(directory) / "release" / "proxy"),
            *_options(port, firehose),
        ],
    ),
    Program(
        "rust-broadcast",
        "Rust: the same, but a broadcast channel, and each client's task filters by its own set",
        _prepare_rust,
        lambda directory, port, firehose, aggregator: [
            str(_rust_target(directory) / "release" / "proxy"),
            *_options(port, firehose),
            "--broadcast",
        ],
    ),
    Program(
        "go",
        "Go: gorilla/websocket, encoding/json; an index of topics, a queue and a goroutine for each client",
        _prepare_go,
        lambda directory, port, firehose, aggregator: [str(directory / "proxy"), *_options(port, firehose)],
    ),
    Program(
        "node",
        "Node: ws, JSON.parse, an index of topics",
        _prepare_node,
        lambda directory, port, firehose, aggregator: [
            "node",
            str(directory / "proxy.js"),
            *_options(port, firehose),
        ],
    ),
    _python(
        "python-picows", "Python: picows, orjson, uvloop", "python_picows.py", "picows", "orjson", "uvloop"
    ),
    _python("python-orjson", "Python: websockets, orjson", "python_websockets.py", "websockets", "orjson"),
    Program(
        "python",
        "Python: websockets, json",
        lambda directory: need_modules("websockets"),
        lambda directory, port, firehose, aggregator: [
            sys.executable,
            str(HERE / "python_websockets.py"),
            "--json",
            *_options(port, firehose),
        ],
    ),
)
"""Every peer, the cheapest first."""
