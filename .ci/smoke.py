"""Use an installed ``fproxy`` as a newcomer would: its help, the demo, a look at the events, Ctrl-C.

Called with the path of the ``fproxy`` command; exits with a status other than 0 when anything is not as it should be.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

TOPICS: Final = "T.AAPL,Q.AAPL,A.AAPL,100Ms.AAPL"
TIMEOUT: Final = 60.0


def output_of(command: Sequence[str]) -> str:
    """Return what a command prints; it must succeed."""
    print("$", " ".join(command), flush=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise SystemExit(f"exited with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def is_running(pid: int) -> bool:
    """Return whether a process still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main(fproxy: str) -> None:
    """Go through it all."""
    assert re.fullmatch(r"fproxy \d+\.\d+\.\d+\S*\n", output_of([fproxy, "--version"]))
    assert "FIREHOSE_URL" in output_of([fproxy, "--help"])

    ports = [
        option for name in ("", "firehose-", "aggregator-", "simulator-") for option in (f"--{name}port", "0")
    ]
    command = [fproxy, "demo", *ports]
    print("$", " ".join(command), flush=True)
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    children: list[int] = []
    try:
        for line in demo.stdout:
            print(" ", line, end="", flush=True)
            if "Started as process" in line:
                children.append(int(line.split()[-1]))
            if line.strip().startswith("ws://"):
                url = line.strip()
            if "Ctrl-C" in line:
                break
        else:
            raise SystemExit("the demo ended before it was ready")
        assert len(children) == 4, children
        for topic in TOPICS.split(","):
            lines = output_of([fproxy, "tail", topic, "--url", url, "--count", "3"]).splitlines()
            print("\n".join(lines))
            assert len(lines) == 3
            assert all(line.split()[1:3] == topic.split(".") for line in lines), lines
        print("Ctrl-C", flush=True)
        began = time.monotonic()
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=TIMEOUT)
        print(f"stopped in {time.monotonic() - began:.1f} s, with status {demo.returncode}")
        assert demo.returncode == 0
        assert "Traceback" not in rest, rest
        assert not any(is_running(child) for child in children)
    finally:
        demo.kill()
        demo.wait()


if __name__ == "__main__":
    main(sys.argv[1])
