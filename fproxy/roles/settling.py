"""The work that changes of subscriptions leave behind in a fan-out, in steps."""

from fproxy._fastpath import Fanout
from fproxy.shell.work_steps import Steps


def settling(fanout: Fanout) -> Steps:
    """Take what clients had that are gone out of a fan-out, and join audiences that became equal."""
    while fanout.settle():
        yield None
