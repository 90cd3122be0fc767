"""Log lines that a person can read: ``INFO Starting stocks proxy on port 8765``, on standard error."""

import logging
import sys
from typing import Final

LINE: Final = "%(levelname)s %(message)s"


def configure_logging(level: str) -> None:
    """Send the log of this process to standard error, one line an event.

    Args:
        level: the least severe level to show: ``debug``, ``info``, ``warning`` or ``error``.
    """
    logging.basicConfig(stream=sys.stderr, format=LINE, level=level.upper(), force=True)
    # Libraries report each of their connections at INFO; ours say the same in the product's own words.
    severity = (
        max(logging.WARNING, logging.getLevelName(level.upper())) if level != "debug" else logging.NOTSET
    )
    for library in ("websockets", "picows", "aiofastnet", "asyncio"):
        logging.getLogger(library).setLevel(severity)
