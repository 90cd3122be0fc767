"""The programs that can be put under test: fproxy and its peers."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.peers import PEERS, Program, UnavailableError

ROOT: Final = Path(__file__).resolve().parents[2]


def _prepare_fproxy(directory: Path) -> None:
    if not list((ROOT / "fproxy").glob("_fastpath*.so")):
        raise UnavailableError("fproxy is not built: python setup.py build_ext --inplace")


def _fproxy_environment(firehose: str, aggregator: str) -> Mapping[str, str]:
    market = urlsplit(firehose).path.strip("/")
    suffix = "" if market == "stocks" else f"_{market.upper()}"
    return {
        "FPROXY_MARKETS": market,
        f"FIREHOSE_URL{suffix}": firehose,
        f"MS_AGGREGATOR_URL{suffix}": aggregator,
        "POLYGON_API_KEY": "benchmark",
        "FPROXY_MAX_UNSENT_BYTES": "64MiB",  # the peers have no limit, and the longest tape is 58 MB
        "LOG_LEVEL": "warning",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


def _fproxy(name: str, description: str, *flags: str, upstreams: int = 1) -> Program:
    return Program(
        name,
        description,
        _prepare_fproxy,
        lambda directory, port, firehose, aggregator: [
            sys.executable,
            "-m",
            "fproxy",
            "--port",
            str(port),
            *flags,
        ],
        _fproxy_environment,
        upstreams,
        every_market=True,
    )


FIREHOSE: Final = Program(
    "fproxy-firehose",
    "the role that sends everything to everyone; no peer of the filtered proxies",
    _prepare_fproxy,
    lambda directory, port, firehose, aggregator: [
        *(sys.executable, "-m", "fproxy", "firehose", "--port", str(port)),
        *("--polygon-ws-url", firehose),
    ],
    _fproxy_environment,
)


def all_programs() -> dict[str, Program]:
    """Return every program by name, in the order of tables."""
    programs = (
        _fproxy("fproxy", "this project"),
        _fproxy("fproxy-no-history", "this project, keeping nothing of what has passed", "--history", "0"),
        _fproxy(
            "fproxy-snapshots",
            "this project, keeping the last event of each topic",
            *("--snapshot-bytes", "64MiB"),
        ),
        _fproxy("fproxy-resume", "this project, ready to resume any client", "--resume", "on"),
        _fproxy("fproxy-2-workers", "this project, two processes on one port", "--workers", "2", upstreams=2),
        _fproxy(
            "fproxy-4-workers", "this project, four processes on one port", "--workers", "4", upstreams=4
        ),
        *PEERS,
    )
    return {program.name: program for program in programs}
