"""What the bar builder reads out of upstream messages: any sound JSON, exactly; the rest is refused whole."""

import json
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import pytest
from bar_oracle import Trade, bar_texts, payload
from hypothesis import example, given
from hypothesis import strategies as st

from fproxy._bars import BarBuilder

START = 1_736_503_800_000


def built(*payloads: bytes, symbol: str = "*") -> list[dict[str, Any]]:
    """The 100 ms bars of messages that come after a trade just before `START`, numbers as decimals."""
    builder = BarBuilder(delay_ms=0)
    builder.want(100, symbol)
    builder.trades_started(symbol)
    builder.feed(payload([Trade("BEFORE", START - 1, "1")]), 0)
    for one in payloads:
        builder.feed(one, 0)
    builder.advance(1000)
    return [json.loads(text, parse_float=Decimal, parse_int=Decimal) for text in bar_texts(builder.collect())]


def bar_of_event(event: str) -> dict[str, Any] | None:
    bars = built(f"[{event}]".encode())
    assert len(bars) <= 1
    return bars[0] if bars else None


def event(**changes: str | None) -> str:
    """A trade in the live feed's form; ``changes`` are members' texts, None to leave one out."""
    members: dict[str, str | None] = {
        "ev": '"T"',
        "sym": '"AAPL"',
        "i": '"143541"',
        "x": "4",
        "p": "297.845",
        "s": "40",
        "t": str(START),
        "pt": "1781622376029",
        "q": "4938312",
        "z": "3",
        "trfi": "202",
        "trft": "1781622376036",
        "ds": '"40.0"',
        **changes,
    }
    return "{" + ",".join(f'"{name}":{text}' for name, text in members.items() if text is not None) + "}"


QUOTE = event(ev='"Q"')
UNCLOSED = event(i='"a')


def test_the_live_form() -> None:
    bar = bar_of_event(event())
    assert bar is not None
    assert (bar["o"], bar["v"], bar["n"]) == (Decimal("297.845"), 40, 1)


def test_the_live_form_wherever_it_ends_in_its_message() -> None:
    for count in range(1, 8):
        for filler in range(70):
            frame = ",".join([event(i=f'"{"7" * filler}"')] * count)
            assert [(bar["n"], bar["v"]) for bar in built(f"[{frame}]".encode())] == [(count, 40 * count)]


@given(st.permutations(list(json.loads(event()))), st.booleans())
def test_keys_come_in_any_order(names: list[str], spaced: bool) -> None:
    members = json.loads(event(), parse_float=str)
    found = {name: members[name] for name in names}
    separators = (", ", " : ") if spaced else (",", ":")
    bar = bar_of_event(json.dumps(found, separators=separators).replace('"297.845"', "297.845"))
    assert bar is not None
    assert (bar["o"], bar["v"], bar["s"]) == (Decimal("297.845"), 40, START)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(event(p="1e2", s="4.0E1", ds=None), id="exponents"),
        pytest.param(event(p="100", x='{"p":7,"deep":[{"s":1}]}', i='["p",{"p":3}]'), id="nested"),
        pytest.param(event(p="100", i='"\\"p\\":7,\\\\"'), id="escapes in a value"),
        pytest.param(event(p="100", i='":7,p:"'), id="a value that looks like the end of a key"),
        pytest.param(event(p="100", i='"p"', x='"p:"'), id="values that look like keys"),
        pytest.param(
            event().replace('"p":297.845', '"\\u0070":100').replace('"t"', '"\\u0074"'), id="escaped keys"
        ),
        pytest.param(event(p="100", ds='"\\u0034\\u0030"'), id="an escaped size"),
        pytest.param(event(p="7").replace('"q"', '"p":100.0,"q"'), id="a repeated price: the last counts"),
        pytest.param(event(p="100", sym='"A\\u0041PL"', ev='"\\u0054"'), id="an escaped symbol and type"),
        pytest.param(event(p="100", i='"prix élevé ✓"'), id="text outside ASCII"),
        pytest.param(event(p="100", ds="40"), id="a decimal size that is a number"),
        pytest.param(event(p="100", ds='"many"'), id="a decimal size that is no number: the size counts"),
        pytest.param(event(p="100", ds="null", s="40.000"), id="no decimal size"),
        pytest.param(event(p="100", t=f"{START}.0"), id="a time with a fraction of zero"),
        pytest.param(event(p="100", c="[]"), id="no conditions"),
        pytest.param(event(p="100", c='["37",{"x":37},null,37.5,-37,1e9]'), id="conditions that are none"),
        pytest.param(event(p="100", c="null"), id="null conditions"),
        pytest.param(event(p="100", dss='"7"', pp="7", tt="7", ss="7", cc="[15]"), id="longer keys"),
    ],
)
def test_every_form_of_a_trade(written: str) -> None:
    json.loads(written)
    bar = bar_of_event(written)
    assert bar is not None
    assert (bar["sym"], bar["o"], bar["v"], bar["s"]) == ("AAPL", 100, 40, START)


@pytest.mark.parametrize(
    "written",
    [
        event(p=None),
        event(p="null"),
        event(p='"297.845"'),
        event(p="-1"),
        event(p="1e18"),
        event(p="297.845").replace('"q"', '"p":null,"q"'),
        event(s=None, ds=None),
        event(s="-40", ds=None),
        event(s='"40"', ds='"-40"'),
        event(t=None),
        event(t=f'"{START}"'),
        event(t=f"{START}.5"),
        event(t=f"{START}000000"),
        event(t="-1"),
    ],
)
def test_a_trade_without_price_size_or_time_is_counted_and_passed_over(written: str) -> None:
    builder = BarBuilder()
    builder.want(100, "AAPL")
    builder.trades_started("AAPL")
    for form in (f"[{written}]", f"[ {written}]", f"[{written},{event(sym=None)},{QUOTE}]"):
        builder.feed(form.encode(), 0)
    assert builder.counts.unusable_trades == 3
    builder.advance(10**6)
    assert builder.collect() == []


@pytest.mark.parametrize(
    "other",
    [
        '"T"',
        "null",
        "[]",
        "{}",
        '{"ev":"TT"}',
        '{"ev":"T"}',
        '{"ev":["T"],"sym":"AAPL","p":1,"s":1,"t":1}',
        '{"T":"T"}',
    ],
)
def test_what_is_no_trade_is_passed_over(other: str) -> None:
    for form in (f"[{other},{event()}]", f"[{event()} ,{other}]"):
        assert [bar["n"] for bar in built(form.encode())] == [1]


@pytest.mark.parametrize("form", [event(), f" {event()} ", f"[{event()}]", f"\n[ {event()} ]\n"])
def test_a_message_is_an_array_or_one_event(form: str) -> None:
    assert [bar["n"] for bar in built(form.encode())] == [1]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_message_is_any_buffer(kind: type) -> None:
    assert [bar["n"] for bar in built(kind(f"[{event()}]".encode()))] == [1]


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b" ",
        b"[",
        b"nonsense",
        b"[]]",
        b'"T"',
        b"7",
        f"[{event()}".encode(),
        f"[{event()}]x".encode(),
        f"[{event()},]".encode(),
        f"[{event()}{event()}]".encode(),
        f"[{event()},{event(p='01')}]".encode(),
        f"[{event()},{event(p='1.')}]".encode(),
        f"[{event()},{event(p='.5')}]".encode(),
        f"[{event()},{event(p='1.2.3')}]".encode(),
        f"[{event()},{event(c='[14')}]".encode(),
        f"[{event()},{UNCLOSED}]".encode(),
        f"[{event()},{event()[:-1]}]".encode(),
        f"[{event()},".encode() + b'{"ev":"T","sym":"\xff"}]',
        f"[{event()},".encode() + b'{"ev":"T","sym":"\\x"}]',
        f"[{event()},{'[' * 100_000}".encode(),
    ],
)
def test_a_damaged_message_is_refused_whole(damaged: bytes) -> None:
    builder = BarBuilder()
    builder.want(100, "AAPL")
    builder.trades_started("AAPL")
    with pytest.raises(ValueError, match=r"not sound JSON.* at byte"):
        builder.feed(damaged, 0)
    assert builder.counts.trades == 0
    builder.feed(payload([Trade("AAPL", START, "1"), Trade("AAPL", START + 200, "1")]), 0)
    builder.advance(1000)
    assert [json.loads(text)["s"] for text in bar_texts(builder.collect())] == [START + 200]


def test_what_is_no_buffer_is_refused() -> None:
    with pytest.raises(TypeError):
        BarBuilder().feed("[]", 0)  # type: ignore[arg-type]


symbols = st.one_of(
    st.sampled_from(
        ["A", "AAPL", "BRK.B", "BACpL", "ABCDEFGH", "ABCDEFGHI", "O:SPY251219C00650000", "X:BTC-USD"]
    ),
    st.text(min_size=1, max_size=40),
)


@given(symbols, st.booleans())
@example('"\\\x00\x1f\x7f/é✓\U0001f600', True)
@example("\ud800", True)
@example("\udc00\ud800x", True)
def test_symbols_of_any_length_and_character(symbol: str, ascii_only: bool) -> None:
    written = json.dumps(symbol, ensure_ascii=ascii_only)
    try:
        encoded = f"[{event(sym=written)}]".encode()
    except UnicodeEncodeError:
        encoded = f"[{event(sym=json.dumps(symbol))}]".encode()
    for wanted in ("*", symbol):
        builder = BarBuilder(delay_ms=0)
        builder.trades_started("*")
        builder.want(100, wanted)
        builder.feed(payload([Trade("BEFORE", START - 1, "1")]), 0)
        builder.feed(encoded, 0)
        builder.advance(1000)
        bars = [json.loads(text) for text in bar_texts(builder.collect())]
        assert [(bar["sym"], bar["S"]) for bar in bars] == [(symbol, symbol)]


def test_symbols_that_share_a_beginning_are_apart() -> None:
    names = ["ABCDEFGHIJKLMNOP1", "ABCDEFGHIJKLMNOP2", "ABCDEFGH", "ABCDEFG", "ABCDEFG\x00"]
    bars = built(payload(Trade(name, START, "1") for name in names))
    assert [bar["sym"] for bar in bars] == names


digits = st.text("0123456789", min_size=1, max_size=25)


@st.composite
def number_texts(draw: st.DrawFn) -> str:
    """A JSON number that is not negative."""
    whole = draw(digits).lstrip("0") or "0"
    fraction = draw(st.one_of(st.just(""), digits.map(".{}".format)))
    exponent = draw(st.one_of(st.just(""), st.integers(-30, 20).map("e{}".format), st.just("E+02")))
    return whole + fraction + exponent


@given(number_texts())
@example("0.1")
@example("150.20")
@example("0.000000000000000000499999999999999999999999")
@example("999999999999999999.5")
@example("999999999999999999.4")
@example("99999999999999999.95")
@example("0." + "0" * 500 + "1e501")
@example("1" + "0" * 500 + "e-500")
@example("0e999999999999999999999")
@example("1e-999999999999999999999")
@example("0.12345678901234567850")
def test_numbers_are_exact_to_eighteen_digits_and_then_rounded(text: str) -> None:
    number = Decimal(text) if "99999999999999999999" not in text else Decimal(0)
    exact = Context(prec=2000)
    places = min(18, 17 - number.adjusted()) if number else 0
    kept = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN, exact)
    bar = bar_of_event(event(p=text, s=text, ds=None))
    if kept >= 10**18:
        assert bar is None
        return
    assert bar is not None
    assert (bar["o"], bar["h"], bar["l"], bar["c"], bar["v"]) == (kept, kept, kept, kept, kept)
    assert bar["vw"] == kept


def test_numbers_are_written_in_the_shortest_form() -> None:
    for text, shortest in [
        ("150.20", "150.2"),
        ("150.00", "150"),
        ("1.5e2", "150"),
        ("0.00010", "0.0001"),
        ("1e-7", "0.0000001"),
        ("0.0", "0"),
        ("123456789.12345", "123456789.12345"),
    ]:
        builder = BarBuilder(delay_ms=0)
        builder.want(100, "A")
        builder.trades_started("A")
        builder.feed(payload([Trade("A", START, "1"), Trade("A", START + 100, text, "1.50")]), 0)
        builder.advance(1000)
        (bar,) = bar_texts(builder.collect())
        assert bar == (
            f'{{"ev":"100Ms","sym":"A","T":"b","S":"A","o":{shortest},"h":{shortest},"l":{shortest},"c":{shortest},'
            f'"v":1.5,"vw":{shortest},"n":1,"s":{START + 100},"e":{START + 200}}}'
        )


def test_sums_beyond_all_reason_lose_their_last_decimals_and_nothing_else() -> None:
    large, small = "999999999999999999", "0.000000000000000001"
    trades = [Trade("A", START, large, large), Trade("A", START, small, small)] * 50
    (bar,) = built(payload(trades))
    assert bar["h"] == Decimal(large)
    assert bar["l"] == Decimal(small)
    assert abs(bar["v"] - 50 * (Decimal(large) + Decimal(small))) <= Decimal("1e-15")
    assert abs(bar["vw"] - Decimal(large)) < 2
