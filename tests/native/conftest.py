"""Begins the long builds of the native tests when all tests are run: most of the others wait more than they work."""

from pathlib import Path

import pytest
from native_build import begin_long_builds

MANY = 500
"""With fewer tests than this there is nothing to wait for meanwhile."""

FIRST = "gw0"
"""How pytest-xdist calls the first of the processes that run tests."""


def pytest_collection_finish(session: pytest.Session) -> None:
    here = Path(__file__).parent
    if session.config.option.collectonly or len(session.items) < MANY:
        return
    if getattr(session.config, "workerinput", {"workerid": FIRST})["workerid"] != FIRST:
        return  # of several processes that run tests, one begins for all
    cache: pytest.Cache | None = getattr(
        session.config, "cache", None
    )  # there is a switch that leaves it out
    if cache is not None and any(item.path.parent == here for item in session.items):
        begin_long_builds(cache.mkdir("native"))
