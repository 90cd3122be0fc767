"""Whether something is done aside of the turns of all that is not market data: it gives that no more time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fproxy.shell.turns import Turns


class Aside:
    """Notes whether it is done aside, at the time when it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = False
        usual = Turns.aside

        @contextmanager
        def noted(turns: Turns) -> Iterator[None]:
            with usual(turns):
                self.now = True
                yield
                self.now = False

        monkeypatch.setattr(Turns, "aside", noted)
