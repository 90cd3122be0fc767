"""The start of the program, before it can do anything."""

import signal
import subprocess
import sys

import pytest

SIGNALLED_WHILE_LOADING = """
import builtins, os, sys
real_import = builtins.__import__

def signalling_import(name, *arguments, **named):
    if name == "click":
        builtins.__import__ = real_import
        os.kill(os.getpid(), int(sys.argv.pop()))
    return real_import(name, *arguments, **named)

from fproxy.__main__ import main
builtins.__import__ = signalling_import
main()
"""


@pytest.mark.parametrize("command", [["--port", "0"], ["demo"], ["tail", "*"]], ids=" ".join)
@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_signal_while_the_program_loads_ends_it_quietly(
    command: list[str], stop_signal: signal.Signals
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED_WHILE_LOADING, *command, str(int(stop_signal))],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
