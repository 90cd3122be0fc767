"""Millisecond bars of every market by that market's rules, against plain Python on decoded events."""

import json
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from bar_oracle import bar_texts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fproxy._bars import BarBuilder
from fproxy.core.market import MARKETS, Market
from fproxy.core.trade_conditions import (
    CONDITIONS,
    CRYPTO_CONDITIONS,
    OPTION_CONDITIONS,
    ConditionEffect,
    effect_of,
)

START = 1_736_503_800_000
INTERVAL = 100
SYMBOLS = {  # as topics spell them, and as events do
    "stocks": {"AAPL": "AAPL", "BRK.B": "BRK.B"},
    "options": {"O:SPY251219C00650000": "O:SPY251219C00650000", "O:F251219P00012000": "O:F251219P00012000"},
    "crypto": {"BTC-USD": "BTC-USD", "1INCH-USD": "1INCH-USD"},
    "forex": {"EUR-USD": "EUR/USD", "USD-CNH": "USD/CNH"},
    "indices": {"I:SPX": "I:SPX", "I:VIX1D": "I:VIX1D"},
    "futures": {"ESZ6": "ESZ6", "ESZ6-ESH7": "ESZ6-ESH7"},
}
BUILT = [market for market in MARKETS.values() if "/" not in market.name]

Event = dict[str, Any]


def members(market: Market, symbol: str, time: int, numbers: dict[str, str]) -> str:
    """Write an event that bars are built of; ``numbers`` are the texts of its other members."""
    source = market.bars_from
    assert source is not None
    event_type = market.event_types[source.event_type]
    spelled = SYMBOLS[market.name].get(symbol, symbol)
    head = {"ev": f'"{event_type.name}"', event_type.symbol_key: json.dumps(spelled)}
    return "{" + ",".join(f'"{k}":{v}' for k, v in (head | numbers | {"t": str(time)}).items()) + "}"


def building(market: Market, wanted: str, **options: Any) -> BarBuilder:
    """A builder of the bars of one symbol, or of all, whose trades come."""
    builder = BarBuilder(market, **options)
    builder.want(INTERVAL, wanted)
    builder.trades_started(wanted)
    return builder


def feed(builder: BarBuilder, *events: str) -> None:
    builder.feed(f"[{','.join(events)}]".encode(), 0)


def built(
    market: Market, events: Iterable[str], *, wanted: str = "*", all_trades: bool = False
) -> list[Event]:
    builder = building(market, wanted, delay_ms=0, all_trades=all_trades)
    plain = {"p": "1", "s": "1", "val": "1", "a": "1", "b": "1"}
    if market.name == "forex":
        del plain["p"]
    feed(builder, members(market, "BEFORE", START - 1, plain))
    feed(builder, *events)
    builder.advance(1_000)
    return [json.loads(text, parse_float=Decimal, parse_int=Decimal) for text in bar_texts(builder.collect())]


prices = st.decimals(Decimal("0.00001"), 10**6, places=5).map(str)
sizes = st.decimals(Decimal("0.00000001"), 10**6, places=8).map(str)


@st.composite
def events(draw: st.DrawFn, market: Market) -> list[tuple[str, int, dict[str, str]]]:
    source = market.bars_from
    assert source is not None
    found = []
    for _ in range(draw(st.integers(1, 8))):
        numbers = {key: draw(prices) for key in source.price_keys}
        if source.size_key is not None:
            numbers[source.size_key] = draw(sizes)
            codes = draw(st.lists(st.sampled_from([0, 1, 2, 12, 37, 201, 209, 233, 246, 999]), max_size=2))
            numbers["c"] = json.dumps(codes)
        if draw(st.booleans()):
            numbers["x"] = '"44"' if market.name == "forex" else '{"p":7,"val":8,"a":9,"c":[15]}'
        found.append(
            (draw(st.sampled_from(sorted(SYMBOLS[market.name]))), draw(st.integers(0, 250)), numbers)
        )
    return found


def oracle(market: Market, found: list[tuple[str, int, dict[str, str]]]) -> list[Event]:
    source = market.bars_from
    assert source is not None
    windows: dict[tuple[int, str], list[tuple[int, Decimal, Decimal, ConditionEffect]]] = defaultdict(list)
    for symbol, time, numbers in found:
        price = sum((Decimal(numbers[key]) for key in source.price_keys), Decimal(0)) / len(source.price_keys)
        size = Decimal(numbers["s"]) if source.size_key else Decimal(0)
        codes = json.loads(numbers.get("c", "[]"))
        effect = effect_of(codes, extended_hours=True, rules=source.conditions)
        windows[time // INTERVAL, symbol].append((time, price, size, effect))
    bars = []
    for (window, symbol), trades in windows.items():
        trades.sort(key=lambda trade: trade[0])
        priced = [price for _, price, _, effect in trades if effect.high_low]
        if not priced:
            continue
        last_sale = [price for _, price, _, effect in trades if effect.open_close] or priced
        start = START + window * INTERVAL
        bar: Event = {"ev": f"{INTERVAL}Ms", "sym": symbol, "T": "b", "S": symbol}
        bar |= {"o": last_sale[0], "h": max(priced), "l": min(priced), "c": last_sale[-1]}
        bar |= {"n": sum(effect.volume for *_, effect in trades), "s": start, "e": start + INTERVAL}
        if source.size_key is not None:
            bar["v"] = sum((size for _, _, size, effect in trades if effect.volume), Decimal(0))
        bars.append(bar)
    return sorted(bars, key=lambda bar: (bar["s"], bar["sym"]))


@pytest.mark.parametrize("market", BUILT, ids=lambda market: market.name)
@settings(max_examples=40)
@given(data=st.data())
def test_bars_are_those_of_plain_python(market: Market, data: st.DataObject) -> None:
    found = sorted(data.draw(events(market)), key=lambda event: event[1] // INTERVAL)
    spaced = data.draw(st.sampled_from(["", " "]))
    texts = [spaced + members(market, symbol, START + time, numbers) for symbol, time, numbers in found]
    bars = sorted(built(market, texts), key=lambda bar: (bar["s"], bar["sym"]))
    for bar in bars:
        assert ("vw" in bar) == (market.bars_from is not None and market.bars_from.size_key is not None)
        bar.pop("vw", None)
    assert bars == oracle(market, found)


@given(ask=prices, bid=prices)
@example(ask="1.00001", bid="1.00002")
@example(ask="99999999999999999", bid="99999999999999999")
@example(ask="0.1", bid="0.12345678901234567")
def test_a_quotes_price_is_the_exact_mean(ask: str, bid: str) -> None:
    market = MARKETS["forex"]
    (bar,) = built(market, [members(market, "EUR-USD", START, {"a": ask, "b": bid})])
    mean = (Decimal(ask) + Decimal(bid)) / 2
    assert (bar["o"], bar["h"], bar["l"], bar["c"]) == (mean, mean, mean, mean)


@pytest.mark.parametrize(
    "numbers",
    [
        {"a": "1"},
        {"b": "1"},
        {"a": "1", "b": "null"},
        {"a": "-1", "b": "1"},
        {"a": "1" * 18, "b": "0." + "1" * 18},
    ],
)
def test_a_quote_without_two_prices_is_unusable(numbers: dict[str, str]) -> None:
    market = MARKETS["forex"]
    builder = building(market, "EUR-USD")
    feed(builder, members(market, "EUR-USD", START, numbers))
    assert builder.counts.unusable_trades == 1


def test_bars_of_one_pair_are_wanted_and_replayed_in_the_topics_spelling() -> None:
    market = MARKETS["forex"]
    builder = building(market, "EUR-USD", delay_ms=0)
    quotes = {"a": "1.2", "b": "1.1"}
    for time in (0, 110, 220):
        feed(builder, *(members(market, symbol, START + time, quotes) for symbol in ("EUR-USD", "USD-CNH")))
    expected = (
        f'{{"ev":"100Ms","sym":"EUR-USD","T":"b","S":"EUR-USD","o":1.15,"h":1.15,"l":1.15,"c":1.15,"n":1,'
        f'"s":{START + 100},"e":{START + 200}}}'
    )
    assert bar_texts(builder.collect()) == [expected]
    builder.unwant(INTERVAL, "EUR-USD")
    with pytest.raises(KeyError):
        builder.unwant(INTERVAL, "EUR-USD")


def test_only_a_symbol_of_two_parts_is_spelled_otherwise() -> None:
    market = MARKETS["forex"]
    texts = [
        members(market, symbol, START, {"a": "1", "b": "1"}) for symbol in ("A/B/C", "EUR-USD", "XAU", "/")
    ]
    assert [bar["sym"] for bar in built(market, texts)] == ["A/B/C", "EUR-USD", "XAU", "-"]


@pytest.mark.parametrize(
    ("name", "codes", "effect"),
    [
        ("stocks", [15], None),  # a market centre's official close: no trade
        ("options", [15], (1, 1)),  # the stocks' rules are not the options'
        ("crypto", [2], (1, 1)),  # an average price trade of stocks; of crypto, a buyer's
        ("futures", [15, 37], (1, 1)),
        ("options", [204], None),
        ("options", [233, 246], None),
        ("options", [209], (1, 1)),
        ("stocks", [209], (1, 1)),
        ("futures", [12, 209], (1, 1)),
    ],
)
def test_conditions_mean_what_they_mean_in_their_market(
    name: str, codes: list[int], effect: tuple[int, int] | None
) -> None:
    market = MARKETS[name]
    symbol = next(iter(SYMBOLS[name]))
    trade = members(market, symbol, START, {"p": "2", "s": "1", "c": json.dumps(codes)})
    bars = built(market, [trade])
    assert [(bar["n"], bar["v"]) for bar in bars] == ([] if effect is None else [effect])
    assert [bar["n"] for bar in built(market, [trade], all_trades=True)] == [1]


def test_every_condition_of_futures_is_without_a_rule_and_counted() -> None:
    market = MARKETS["futures"]
    builder = building(market, "ESZ6")
    feed(builder, members(market, "ESZ6", START, {"p": "2", "s": "1", "c": "[1,12]"}))
    assert builder.counts.unknown_conditions == 2


def test_conditions_without_a_rule_are_counted_and_forbid_nothing() -> None:
    market = MARKETS["options"]
    builder = building(market, "O:A")
    for codes, symbol in (
        ([209], "O:A"),
        ([999, 12], "O:A"),
        ('["x"]', "O:A"),
        ([999], "O:OTHER"),
        (250, "O:A"),
    ):
        text = members(market, symbol, START, {"p": "2", "s": "1", "c": str(codes).replace("'", '"')})
        feed(builder, text)
        feed(builder, f" {text}")
    assert builder.counts.unknown_conditions == 2 * 4
    assert builder.counts.unusable_trades == 0


def test_the_rules_of_options_are_the_vendors() -> None:
    nothing, volume = ConditionEffect(False, False, False), ConditionEffect(False, False, True)
    expected = dict.fromkeys(range(201, 208), nothing) | dict.fromkeys(range(246, 249), volume)
    for number in OPTION_CONDITIONS:
        everything = ConditionEffect(True, True, True)
        found = effect_of([number], extended_hours=False, rules=OPTION_CONDITIONS)
        assert found == expected.get(number, everything)
    assert set(OPTION_CONDITIONS) == {*range(201, 211), 219, *range(227, 249)}
    assert not set(OPTION_CONDITIONS) & set(CONDITIONS)
    assert all(
        effect_of([n], extended_hours=False, rules=CRYPTO_CONDITIONS).volume for n in CRYPTO_CONDITIONS
    )


def test_every_market_that_has_something_to_build_bars_of_can() -> None:
    for market in MARKETS.values():
        if market.bars_from is not None:
            BarBuilder(market)
    with pytest.raises(ValueError, match="no bars are built for tulips"):
        BarBuilder(Market(name="tulips", event_types={}))
