"""What the process takes of the machine: processor time, memory, open files."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_FILES: Final = Path("/proc/self/fd")
_MEMORY: Final = Path("/proc/self/statm")

STARTED: Final = time.time()
"""When the process began, near enough, in Unix seconds."""


def cpu_seconds() -> float:
    """Return the processor time that the process has taken, in seconds."""
    return time.process_time()


def resident_bytes() -> int | None:
    """Return the memory that the process has in RAM, in bytes; None where the system does not say."""
    try:
        return int(_MEMORY.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return _peak_resident_bytes()


def _peak_resident_bytes() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, the others KiB


def open_files() -> int | None:
    """Return how many files the process has open; None where the system does not say."""
    try:
        # Linux 6.2 and later put the number there; before, the size is 0 and they have to be listed.
        return _FILES.stat().st_size or len(os.listdir(_FILES))
    except OSError:
        return None


def most_files() -> int | None:
    """Return how many files the process may have open; None where there is no limit or no telling."""
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


class ProcessCollector(Collector):
    """The same for Prometheus, under the names that every client library of it uses."""

    def collect(self) -> Iterator[Metric]:
        """Yield what the system says now."""
        yield CounterMetricFamily(
            "process_cpu_seconds", "Processor time taken by the process, in seconds.", cpu_seconds()
        )
        for name, documentation, value in (
            ("process_resident_memory_bytes", "Memory in RAM, in bytes.", resident_bytes()),
            ("process_open_fds", "Open files.", open_files()),
            ("process_max_fds", "How many files may be open.", most_files()),
            ("process_start_time_seconds", "When the process began, in Unix seconds.", STARTED),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, documentation, value)
