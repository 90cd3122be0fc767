"""How much memory this process may have: the machine's, or less where a container or a service has a limit."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

BACKLOG_SHARE: Final = 4
"""By default what waits for clients may take one part in so many of it."""

_UNKNOWN: Final = 4 << 30


def memory_limit(root: Path = Path("/")) -> int:
    """Return how much memory the process may have, in bytes.

    Args:
        root: where the system's files are.
    """
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        machine = _UNKNOWN
    return min((machine, *_limits_of_cgroups(root)))


def default_backlog() -> int:
    """Return how much memory what waits for clients may take unless the operator says it, in bytes."""
    return memory_limit() // BACKLOG_SHARE


def _limits_of_cgroups(root: Path) -> Iterator[int]:
    """Yield the limits of the control groups that the process is in, of either version (cgroups(7))."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        # In a container the path may be the host's, and what is there be the container's own group.
        for directory in dict.fromkeys((group, *group.parents, top)):
            if directory != top and top not in directory.parents:
                continue
            try:
                yield int((directory / name).read_text())
            except (OSError, ValueError):  # none there, or "max"
                continue
