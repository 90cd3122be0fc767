"""What the compiled reader of upstream messages relies on."""

import subprocess
import sys


def test_another_version_of_picows_than_the_one_compiled_for_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import picows; picows.__version__ = '99.1'; import fproxy._message_reader"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "but picows 99.1 is installed: install fproxy again" in done.stderr
