"""The proxy under attack, in a process of its own, with its memory, its files and its metrics."""

import asyncio
import os
import re
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from benchmarks.hop_latency import free_port
from benchmarks.hostile.source import Source

ROOT: Final = Path(__file__).resolve().parents[2]
KEY: Final = "benchmark-key"


class Proxy:
    """``fproxy`` behind a source.

    Attributes:
        port: where clients connect to.
        pid: of the process.
    """

    def __init__(self, source: Source, *flags: str, start: Callable[[], None] | None = None) -> None:
        """Prepare a proxy.

        Args:
            source: its upstream.
            flags: of its command line.
            start: called in its process before the program begins, as to choose its cores.
        """
        self.port = free_port()
        self.pid = 0
        self._admin_port = free_port()
        self._source = source
        self._flags = flags
        self._start = start
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        upstream = f"ws://127.0.0.1:{self._source.port}"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FPROXY_")},
            "FPROXY_CLIENT_KEYS": KEY,
            "POLYGON_API_KEY": "upstream",
            "LOG_LEVEL": "error",
            "PYTHONPATH": str(ROOT),
        }
        self._process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "fproxy",
                "--port",
                str(self.port),
                "--admin-port",
                str(self._admin_port),
            ),
            *("--firehose-url", upstream, "--ms-aggregator-url", upstream, "--env-file", os.devnull),
            *self._flags,
            env=environment,
            preexec_fn=self._start,
        )
        self.pid = self._process.pid
        async with asyncio.timeout(30):
            while True:
                try:
                    await self.metrics()
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    return self

    async def __aexit__(self, *error: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), 15)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def metrics(self) -> dict[str, float]:
        """Return the metrics of the proxy, by name with labels."""
        url = f"http://127.0.0.1:{self._admin_port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read().decode())
        return {
            name: float(value) for name, value in re.findall(r"^(\w+(?:{.*})?) (\S+)$", text, re.MULTILINE)
        }

    def memory(self) -> tuple[float, float]:
        """Return the memory that the process has, and the most that it has had, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        values = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
        return int(values["VmRSS"]) / 1024, int(values["VmHWM"]) / 1024

    def files(self) -> int:
        """Return how many files the process has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))
