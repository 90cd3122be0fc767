"""One log of several processes: what children log as bare text is logged again by their parent, at the same level."""

import logging
from collections.abc import Callable
from typing import Final

from fproxy.face.logs import BARE_FORMAT

log: Final = logging.getLogger(__name__)

CHILD_ENVIRONMENT: Final = {"FPROXY_LOG_FORMAT": BARE_FORMAT}
"""What has a child log so that its lines can be relayed."""

_LEVELS: Final = {
    logging.getLevelName(level): level
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
}


class RelayedLog:
    """Logs the lines of children under their names."""

    def __init__(self, shown: Callable[[str], str] = "{}:".format) -> None:
        """Begin.

        Args:
            shown: returns what is put before a child's lines, for its name.
        """
        self._shown = shown
        self._levels: dict[str, int] = {}  # of the last line that had one, by child's name

    def report(self, name: str, line: str) -> None:
        """Log a line of a child's output, which may begin with the name of a level."""
        level, _, message = line.partition(" ")
        if level in _LEVELS:
            self._levels[name] = _LEVELS[level]
        else:  # the second line of what was logged, as of a traceback
            message = line
        log.log(self._levels.get(name, logging.WARNING), "%s %s", self._shown(name), message)
