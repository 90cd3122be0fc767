"""How many files the process may open: each client takes one."""

import logging

log = logging.getLogger(__name__)


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one, as far as the system has such limits and allows it.

    The soft limit is low on many systems (1,024) for the sake of programs that use ``select``, which this is not.
    """
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:  # macOS has a hard limit that it does not grant
        log.warning("The process may open %d files: the limit could not be raised: %s", soft, error)
