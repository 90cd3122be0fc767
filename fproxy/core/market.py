"""The markets: what the vendor calls each, and what its events look like. Adding a market is an entry in ``MARKETS``.

Source: the vendor's published WebSocket specification; for futures, the models of its official Python client.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from fproxy.core.trade_conditions import CONDITIONS, CRYPTO_CONDITIONS, OPTION_CONDITIONS, TradeCondition


class Upstream(enum.Enum):
    """The upstreams of a filtered proxy; the value is what logs and metrics call it."""

    FIREHOSE = "firehose"
    AGGREGATOR = "ms-aggregator"


class TimeUnit(enum.Enum):
    """The unit of a time of the vendor's; the value is how many make a millisecond."""

    MILLISECONDS = 1
    NANOSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Spelling:
    """How events spell a symbol that topics spell ``EUR-USD``, or ``AAPL`` where symbols have one part.

    Attributes:
        prefix: what stands before the symbol, such as ``C:``.
        separator: what stands in place of the dash between the two parts of a pair; it may be empty.
    """

    prefix: str = ""
    separator: str = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """One type of event of a market.

    Attributes:
        name: its code, such as ``XT``: the value of ``ev``, and what its topics begin with.
        symbol_key: the key of its symbol.
        time_key: the key of its own time; of a bar, the end of its window where it has one.
        time_unit: the unit of that time, as documented.
        spelling: how its events spell what its topics spell otherwise.
        upstream: which upstream clients get it from.
        has_wildcard: whether the vendor takes ``<name>.*``.
        in_everything: whether the topic ``*`` asks for it; not for what few plans include.
        max_symbols: of how many symbols the vendor sends it on one connection at most; None for any number.
    """

    name: str
    symbol_key: str = "sym"
    time_key: str = "t"
    time_unit: TimeUnit = TimeUnit.MILLISECONDS
    spelling: Spelling = Spelling()
    upstream: Upstream = Upstream.FIREHOSE
    has_wildcard: bool = True
    in_everything: bool = True
    max_symbols: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSource:
    """What a market's millisecond bars are built of.

    Attributes:
        event_type: the code of the events.
        price_keys: the keys of the price; of several, the price is their mean.
        size_key: the key of the size; None when the events have none, and so the bars no volume.
        conditions: what each condition in the events' ``c`` allows; any other allows everything, and is counted.
    """

    event_type: str
    price_keys: tuple[str, ...] = ("p",)
    size_key: str | None = "s"
    conditions: Mapping[int, TradeCondition] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """One market of the vendor's, to which an account has one connection.

    Attributes:
        name: what settings, logs and metrics call it, such as ``futures/cme``.
        event_types: its types of events, by their codes.
        bars_from: what millisecond bars are built of; None when none are.
    """

    name: str
    event_types: Mapping[str, EventType] = field(repr=False)
    bars_from: BarSource | None = None

    @property
    def path(self) -> str:
        """The path of its URLs, as the official clients build it."""
        return f"/{self.name}"

    @property
    def setting_suffix(self) -> str:
        """What the names of its settings end with, such as ``FUTURES_CME``."""
        return self.name.replace("/", "_").upper()

    def types_from(self, upstream: Upstream) -> frozenset[str]:
        """Return the codes of the events that clients get from an upstream, millisecond bars left out."""
        return frozenset(event.name for event in self.event_types.values() if event.upstream is upstream)

    def wildcards(self, upstream: Upstream) -> tuple[str, ...]:
        """Return what the topic ``*`` asks of an upstream, such as ``T.*``, in the order of the table."""
        return tuple(
            f"{event.name}.*"
            for event in self.event_types.values()
            if event.upstream is upstream and event.in_everything
        )


_DASHED: Final = Spelling()
_SLASHED: Final = Spelling(separator="/")


def _market(name: str, *event_types: EventType, bars_from: BarSource | None = None) -> Market:
    by_name = {event.name: event for event in event_types}
    return Market(name=name, event_types=MappingProxyType(by_name), bars_from=bars_from)


def _native_bars(name: str, spelling: Spelling = _DASHED, *, in_everything: bool = True) -> EventType:
    """Return one of the vendor's own bar types that the aggregator forwards."""
    return EventType(
        name=name,
        time_key="e",
        spelling=spelling,
        upstream=Upstream.AGGREGATOR,
        in_everything=in_everything,
    )


def _futures(name: str) -> Market:
    return _market(
        name,
        EventType(name="T"),
        EventType(name="Q"),
        _native_bars("A"),
        _native_bars("AM"),
        bars_from=BarSource(event_type="T"),
    )


_ALL: Final = (
    _market(
        "stocks",
        EventType(name="T"),
        EventType(name="Q"),
        EventType(name="LULD", symbol_key="T", time_unit=TimeUnit.NANOSECONDS),
        EventType(name="NOI", symbol_key="T", time_unit=TimeUnit.NANOSECONDS, in_everything=False),
        EventType(name="FMV"),
        EventType(name="LV", in_everything=False),
        _native_bars("A"),
        _native_bars("AM"),
        bars_from=BarSource(event_type="T", conditions=CONDITIONS),
    ),
    _market(
        "options",
        EventType(name="T"),
        # Quotes of 1.5 million contracts: the vendor takes them one by one, and at most 1,000 a connection.
        EventType(name="Q", has_wildcard=False, in_everything=False, max_symbols=1_000),
        EventType(name="FMV", time_unit=TimeUnit.NANOSECONDS),
        EventType(name="LV", time_unit=TimeUnit.NANOSECONDS, in_everything=False),
        _native_bars("A"),
        _native_bars("AM"),
        bars_from=BarSource(event_type="T", conditions=OPTION_CONDITIONS),
    ),
    _market(
        "crypto",
        EventType(name="XT", symbol_key="pair"),
        EventType(name="XQ", symbol_key="pair"),
        EventType(name="XL2", symbol_key="pair"),
        EventType(name="XA", symbol_key="pair", time_key="e"),
        EventType(name="XAS", symbol_key="pair", time_key="e"),
        EventType(name="FMV", spelling=Spelling(prefix="X:")),
        EventType(name="LV", spelling=Spelling(prefix="X:"), in_everything=False),
        _native_bars("AM", Spelling(prefix="X:"), in_everything=False),
        bars_from=BarSource(event_type="XT", conditions=CRYPTO_CONDITIONS),
    ),
    _market(
        "forex",
        EventType(name="C", symbol_key="p", spelling=_SLASHED),
        EventType(name="CA", symbol_key="pair", time_key="s", spelling=_SLASHED),
        EventType(name="CAS", symbol_key="pair", time_key="s", spelling=_SLASHED),
        EventType(name="FMV", spelling=Spelling(prefix="C:", separator="")),
        EventType(name="LV", spelling=Spelling(prefix="C:", separator=""), in_everything=False),
        _native_bars("AM", Spelling(prefix="C:"), in_everything=False),
        bars_from=BarSource(event_type="C", price_keys=("a", "b"), size_key=None),
    ),
    _market(
        "indices",
        EventType(name="V", symbol_key="T"),
        _native_bars("A"),
        _native_bars("AM"),
        bars_from=BarSource(event_type="V", price_keys=("val",), size_key=None),
    ),
    _futures("futures"),
    _futures("futures/cme"),
    _futures("futures/cbot"),
    _futures("futures/nymex"),
    _futures("futures/comex"),
)

MARKETS: Final[Mapping[str, Market]] = MappingProxyType({market.name: market for market in _ALL})
"""Every market that the official clients know, by its name."""

STOCKS: Final = MARKETS["stocks"]
"""The market that is served unless others are asked for."""

KNOWN_EVENT_TYPES: Final = frozenset(name for market in _ALL for name in market.event_types)
"""The codes of every type of event, over all markets."""


def logged_name(upstream: str, market: str) -> str:
    """Return what log lines call an upstream of a market: ``options firehose``; that of stocks is ``firehose``."""
    return upstream if market == STOCKS.name else f"{market} {upstream}"
