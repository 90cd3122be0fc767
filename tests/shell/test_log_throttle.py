"""Log lines at a bounded rate."""

import logging

import pytest

from fproxy.shell.log_throttle import LogThrottle

logger = logging.getLogger("fproxy.test")


def test_one_line_an_interval_and_the_number_of_those_held_back(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    throttle = LogThrottle(logger, logging.WARNING, interval=1.0, clock=lambda: now)
    for now in (0.0, 0.1, 0.9, 1.0, 2.5, 2.6):
        throttle.log("at %s", now)
    assert caplog.messages == ["at 0.0", "at 1.0 (and 2 more like it before)", "at 2.5"]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
