"""How much memory the process may have, as the files of the system say it."""

import os
from pathlib import Path

import pytest

from fproxy.shell.memory_limit import memory_limit

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, MACHINE),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, MACHINE),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1048576\n"}, 1 << 20),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "2097152\n",
                "sys/fs/cgroup/a/memory.max": "1048576\n",
            },
            1 << 20,
        ),
        ({"proc/self/cgroup": "0::/host/path\n", "sys/fs/cgroup/memory.max": "1048576\n"}, 1 << 20),
        (
            {
                "proc/self/cgroup": "5:cpu:/x\n4:hugetlb,memory:/x\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1048576\n",
            },
            1 << 20,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{1 << 62}\n"}, MACHINE),
    ],
)
def test_the_least_limit_of_machine_and_control_groups_counts(
    tmp_path: Path, files: dict[str, str], limit: int
) -> None:
    assert memory_limit(system(tmp_path, files)) == limit
