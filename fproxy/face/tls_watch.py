"""A server's certificates while the program runs: read again when they change, for the connections that follow."""

import logging
import ssl
from collections.abc import Callable
from typing import Final

from fproxy.face.file_watch import FileWatch
from fproxy.shell.tls import ServerTls, TlsError

log: Final = logging.getLogger(__name__)


def _nobody(context: ssl.SSLContext) -> None:
    """Stand in for a server while there is none."""


class TlsWatch:
    """Keeps a server's certificates those of its files.

    Attributes:
        apply: has the server show certificates from now on; called when they change.
    """

    def __init__(self, files: ServerTls) -> None:
        """Begin with what the files are now, which the server has or will have.

        Args:
            files: the files.
        """
        self._files = files
        self.apply: Callable[[ssl.SSLContext], None] = _nobody
        self._watch = FileWatch(files.paths, self.read_again)

    def look(self) -> None:
        """Look whether a file has changed, and read all of them then."""
        self._watch.look()

    def read_again(self) -> None:
        """Read the files again. When they cannot be used, the certificates stay, and the log says why."""
        try:
            context = self._files.context()
        except TlsError as error:
            log.error("The certificates stay as they were: %s", error)
            return
        if context is not None:
            self.apply(context)
            log.info("Read the certificate %s again", self._files.tls_cert)
