"""Colours of events and statuses."""

import json

import click
import pytest

from fproxy.face import event_colours
from fproxy.face.event_colours import EventPainter, status_colour
from fproxy.face.event_text import Event, event_line, events_in


def event(**fields: object) -> Event:
    (only,) = events_in(json.dumps(fields))
    return only


@pytest.mark.parametrize(
    "one",
    [
        event(ev="T", sym="MSFT", p=114.125, s=100, c=[0, 12], t=1536036818784),
        event(ev="T", sym="MSFT", p=1, s=100, c=[12, 4], t=1536036818784),
        event(ev="T", sym="O:SPY251219C00650000", p=None),
        event(ev="XT", pair="BTC-USD", p=12345678901.5, s=0.1),
        event(ev="V", T="I:SPX", val=3988.5),
        event(ev="Q", sym="MSFT", bp=114.125, bs=100, ap=114.128, **{"as": 160}),
        event(ev="MB", sym="AAPL", interval=250, o=1, s=1736503800000),
        event(ev="\x1b[31m", sym="\x1b", x="\n", p="\x1b[0m"),
        event(ev="NEW"),
        event(),
    ],
)
def test_colours_leave_the_line_as_it_is(one: Event) -> None:
    painter = EventPainter()
    for number in (0, "1e9", one.fields.get("p"), "oops", "\x1b[7m"):
        changed = Event("", {**one.fields, "p": number})
        painted = click.unstyle(painter.line(changed)).rstrip()
        assert painted == event_line(changed)
        assert painted.isprintable()


def colours_of(*prices: Event) -> list[str | None]:
    painter = EventPainter()
    lines = [painter.line(one) for one in prices]
    starts = {
        click.style("|", fg="green").split("|")[0]: "green",
        click.style("|", fg="red").split("|")[0]: "red",
    }
    return [next((starts[start] for start in starts if start in line), None) for line in lines]


@pytest.mark.parametrize(
    ("form", "price"),
    [({"ev": "T"}, "p"), ({"ev": "XT"}, "p"), ({"ev": "V"}, "val"), ({"ev": "FMV"}, "fmv")],
)
def test_a_price_is_compared_with_the_last_one_of_its_symbol(form: dict[str, str], price: str) -> None:
    key = {"XT": "pair", "V": "T"}.get(form["ev"], "sym")

    def one(symbol: str, value: float) -> Event:
        return event(**{**form, key: symbol, price: value})

    assert colours_of(
        one("A", 2), one("B", 1), one("A", 3), one("A", 3), one("A", 2.5), one("B", 1.5), one("A", 2.4)
    ) == [None, None, "green", None, "red", "green", "red"]


def test_only_so_many_prices_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_colours, "MAX_PRICES", 2)
    a, b, c = (event(ev="T", sym=symbol, p=1) for symbol in "ABC")
    risen = event(ev="T", sym="A", p=2)
    assert colours_of(a, b, risen, c, event(ev="T", sym="A", p=1)) == [None, None, "green", None, "red"]
    assert colours_of(a, b, c, risen) == [None, None, None, None]


def test_statuses_are_coloured_by_their_kind() -> None:
    assert status_colour("success") is None
    assert status_colour("error") == "red"
    assert status_colour("auth_failed") == "red"
    assert status_colour("upstream_disconnected") == "yellow"
    assert status_colour("dropped") == "yellow"
