"""Changes are said at once when they are alone, and gathered when there are many."""

import asyncio

import pytest
from turns_aside import Aside

from fproxy.shell import gathered_changes
from fproxy.shell.gathered_changes import GatheredChanges


class Teller:
    """Notes how many changes are said each time."""

    def __init__(self) -> None:
        self.said: list[int] = []
        self._since = 0
        self.changes = GatheredChanges(asyncio.get_running_loop(), self._say)

    def change(self) -> None:
        self._since += 1
        self.changes.changed()

    def _say(self) -> None:
        self.said.append(self._since)
        self._since = 0


async def turns(count: int = 1) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_changes_of_one_turn_are_said_together_in_the_next() -> None:
    teller = Teller()
    for _ in range(3):
        teller.change()
    assert not teller.said
    await turns()
    assert teller.said == [3]


async def test_what_changes_turn_after_turn_is_gathered_up_to_a_limit() -> None:
    teller = Teller()
    for _ in range(400):
        teller.change()
        await turns()
    await turns(gathered_changes.MOST_PUT_OFF + 2)
    assert sum(teller.said) == 400
    assert len(teller.said) < 200


async def test_a_last_change_is_said_when_a_turn_brings_no_other() -> None:
    teller = Teller()
    teller.change()
    await turns()
    teller.change()
    await turns(2)
    assert teller.said == [1, 1]


async def test_what_is_said_in_pieces_is_not_put_off() -> None:
    teller = Teller()
    teller.change()
    await turns()
    for _ in range(3):
        teller.change()
        teller.changes.go_on()
        await turns()
    assert teller.said == [1, 1, 1, 1]


async def test_what_is_cancelled_is_not_said() -> None:
    teller = Teller()
    teller.change()
    teller.changes.cancel()
    await turns(2)
    assert not teller.said
    teller.change()
    await turns()
    assert teller.said == [2]


async def test_to_say_them_gives_all_that_is_not_market_data_no_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aside, seen = Aside(monkeypatch), list[bool]()
    changes = GatheredChanges(asyncio.get_running_loop(), lambda: seen.append(aside.now))
    changes.changed()
    await turns()
    assert seen == [True]
