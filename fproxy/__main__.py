"""The ``fproxy`` command, which ``python -m fproxy`` is too."""

import signal
import sys
from typing import NoReturn


def _leave(signal_number: int, frame: object) -> NoReturn:
    sys.exit(0)


def main() -> None:
    """Run the ``fproxy`` command with the arguments of this process; does not return."""
    # Loading the program takes a while, in which a signal would end it with a traceback. Once it serves, signals are
    # handled in order.
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop_signal, _leave)
    from fproxy.face.cli import fproxy

    fproxy(prog_name="fproxy")


if __name__ == "__main__":
    main()
