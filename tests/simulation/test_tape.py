"""Tapes: what measurements are made with must not change by itself."""

import hashlib
import json

import pytest

from fproxy.simulation.tape import TAPE_START, tape


def test_a_tape_is_the_same_on_every_machine_and_python() -> None:
    # Whoever changes the market on purpose changes this too: measurements before it had other data.
    digest = hashlib.sha256(b"\n".join(tape(1, 20_000)))
    assert digest.hexdigest() == "a4b98169d29bbcf449845f363f7cd48578ad8b342e7b8c3a727c55714ad017a6"


@pytest.mark.parametrize("events", [1, 100, 3_000])
def test_a_tape_has_just_enough_messages(events: int) -> None:
    messages = [json.loads(payload) for payload in tape(7, events)]
    assert sum(map(len, messages)) >= events
    assert sum(map(len, messages[:-1])) < events


def test_a_tape_begins_at_its_start() -> None:
    first = json.loads(tape(7, 1)[0])[0]
    assert TAPE_START <= first["t"] < TAPE_START + 20


def test_a_slow_tape_has_bars() -> None:
    types = {
        event["ev"] for payload in tape(7, 3_000, rate=1_000, symbols=10) for event in json.loads(payload)
    }
    assert {"T", "Q", "A"} <= types


def test_an_empty_tape_is_possible() -> None:
    assert tape(1, 0) == []
