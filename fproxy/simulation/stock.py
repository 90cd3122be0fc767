"""A stock: a random walk of its quote, and its events in the vendor's form.

Every method that needs chance takes it as an integer of random bits, of which it uses some: one draw serves a
whole event. The forms are those of the live feed in 2026, mostly in its own order of keys, at times in that
of the vendor's specification, and now and then with the symbol last, because a consumer must not depend on
the order.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from fproxy.simulation.amounts import PRICE_UNITS, SIZE_UNITS, decimal_size_text, price_text
from fproxy.simulation.bars import Bars, stock_bar_form
from fproxy.simulation.stock_listings import LISTINGS, Listing
from fproxy.simulation.trade_mix import TRADE_KINDS, TradeKind

# Of 1024 events: mostly quotes.
_TRADES: Final = 204
_FAIR_VALUES: Final = _TRADES + 5
_LIMITS: Final = _FAIR_VALUES + 1

_MOVES: Final = (*[0] * 16, *[1, -1] * 6, *[2, -2] * 2)
_SPREADS: Final = (1, 1, 1, 1, 2, 2, 3, 4)
_QUOTED_LOTS: Final = (1, 1, 1, 2, 2, 3, 5, 8)
_TRADED_LOTS: Final = (1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 8, 30)
_FINRA: Final = 4  # the vendor's number for trades reported through a FINRA facility: off any exchange
_QUOTE_EXCHANGES: Final = (12, 12, 12, 11, 11, 11, 19, 19, 8, 8, 15, 10, 10, 21, 20, 18)
_TRADE_EXCHANGES: Final = (*[_FINRA] * 7, 12, 12, 11, 19, 8, 15, 10, 21, 18)
_FIRST_SPECIFIED_FORM: Final = (
    12  # of 16 forms: 12 in the live order, 3 in the specification's, 1 with the symbol last
)
_SYMBOL_LAST: Final = 15
_LIMIT_PERCENT: Final = 5  # the limit-up limit-down band of most instruments


def _round_lot(price: int) -> int:
    """Return the shares in a round lot at ``price``, by the SEC's definition of November 2025."""
    dollars = price // PRICE_UNITS
    return 100 if dollars <= 250 else 40 if dollars <= 1_000 else 10


class Stock:
    """One stock of the simulated market.

    Args:
        listing: its symbol, tape and first price.
        sequence: where its sequence numbers begin.

    Attributes:
        symbol: the ticker.
        bars: the bars that its trades build.
    """

    __slots__ = (
        "_bid",
        "_ceiling",
        "_floor",
        "_lot",
        "_quote_head",
        "_quote_sequence",
        "_spread",
        "_step",
        "_tail",
        "_tape",
        "_trade_head",
        "_trade_sequence",
        "_trades",
        "bars",
        "symbol",
    )

    def __init__(self, listing: Listing, sequence: int) -> None:
        self.symbol, price, self._tape = listing
        tick = PRICE_UNITS // 100 if price >= PRICE_UNITS else 1
        self._step = tick * max(1, price // (100 * PRICE_UNITS))  # a dear stock moves, and is quoted, wider
        self._bid = price - price % tick
        self._spread = self._step
        # The walk is kept within these, so that no price reaches zero however long it runs.
        self._floor = self._bid // 2 // tick * tick
        self._ceiling = self._bid * 2
        self._lot = _round_lot(price)
        self._trade_sequence = sequence
        self._quote_sequence = sequence * 7
        self._trades = sequence // 16
        self._trade_head = f'{{"ev":"T","sym":"{self.symbol}",'
        self._quote_head = f'{{"ev":"Q","sym":"{self.symbol}",'
        self._tail = f',"sym":"{self.symbol}","ev":'
        self.bars = Bars(stock_bar_form(self.symbol, self._bid))

    def happen(
        self, choice: int, bits: int, draw: Callable[[], int], now: int, *, render: bool
    ) -> tuple[str | None, bool]:
        """Have something happen to the stock; see ``Instrument.happen``."""
        if choice >= _LIMITS:
            self.move(bits)
            return (self.quote_event(bits, now) if render else None), False
        if choice < _TRADES:
            bits = draw()
            price, size, kind = self.trade(bits)
            return (self.trade_event(bits, now, price, size, kind) if render else None), True
        if not render:
            return None, False
        return (self.fair_value_event(now) if choice < _FAIR_VALUES else self.limits_event(bits, now)), False

    def move(self, bits: int) -> None:
        """Walk the quote one step: a new bid and a new spread."""
        self._bid = min(max(self._bid + _MOVES[bits & 31] * self._step, self._floor), self._ceiling)
        self._spread = _SPREADS[bits >> 5 & 7] * self._step
        self._quote_sequence += 1 + (bits & 3)

    def quote_event(self, bits: int, now: int) -> str:
        """Return the current quote as a ``Q`` event.

        Args:
            bits: the random bits that `move` was given.
            now: Unix milliseconds.
        """
        bid = price_text(self._bid)
        ask = price_text(self._bid + self._spread)
        bid_size = _QUOTED_LOTS[bits >> 8 & 7] * self._lot
        ask_size = _QUOTED_LOTS[bits >> 11 & 7] * self._lot
        bid_exchange = _QUOTE_EXCHANGES[bits >> 14 & 15]
        ask_exchange = _QUOTE_EXCHANGES[bits >> 18 & 15]
        times = f'"t":{now},"pt":{now - (bits >> 22 & 7)},"q":{self._quote_sequence},"z":{self._tape}'
        form = bits >> 25 & 15
        if form < _FIRST_SPECIFIED_FORM:
            return (
                f'{self._quote_head}"i":[604],"bx":{bid_exchange},"ax":{ask_exchange},"bp":{bid},"ap":{ask},'
                f'"bs":{bid_size},"as":{ask_size},{times}}}'
            )
        if form < _SYMBOL_LAST:
            return (
                f'{self._quote_head}"bx":{bid_exchange},"bp":{bid},"bs":{bid_size},'
                f'"ax":{ask_exchange},"ap":{ask},"as":{ask_size},"c":0,"i":[604],{times}}}'
            )
        return (
            f'{{{times},"i":[604],"bx":{bid_exchange},"ax":{ask_exchange},"bp":{bid},"ap":{ask},'
            f'"bs":{bid_size},"as":{ask_size}{self._tail}"Q"}}'
        )

    def trade(self, bits: int) -> tuple[int, int, TradeKind]:
        """Trade once at about the current quote and count it in the bars.

        Returns:
            The price (price units), the size (size units) and the kind of the trade.
        """
        kind = TRADE_KINDS[bits & 1023]
        place = bits >> 10 & 7
        off_exchange = _TRADE_EXCHANGES[bits >> 13 & 15] == _FINRA
        chance = bits >> 33
        price = self._bid
        if place == 7 and off_exchange:
            price += chance % (self._spread + 1)  # better than the quote by a fraction of a cent
        elif place >= 6:
            price += self._spread // 2
        elif place >= 3:
            price += self._spread
        if not kind.effect.high_low and not kind.is_odd_lot:
            # Away from the market, as such trades often are: reason enough not to let them set a price.
            price = max(price + (chance % 65 - 32) * self._step, self._floor)
        if kind.is_odd_lot:
            shares = 1 + chance % (self._lot - 1 if bits >> 17 & 1 else 9)
            fraction = chance if off_exchange and bits >> 18 & 3 == 0 else 0
            size = (shares - 1) * SIZE_UNITS + (fraction % SIZE_UNITS or SIZE_UNITS)
        else:
            shares = self._lot * _TRADED_LOTS[bits >> 17 & 15]
            size = (shares + (chance % self._lot if bits >> 21 & 3 == 0 else 0)) * SIZE_UNITS
        self._trade_sequence += 1 + (bits & 3)
        self._trades += 1
        self.bars.second.add(price, size, kind.effect)
        return price, size, kind

    def trade_event(self, bits: int, now: int, price: int, size: int, kind: TradeKind) -> str:
        """Return a trade as a ``T`` event.

        Args:
            bits: the random bits that `trade` was given.
            now: Unix milliseconds.
            price: what `trade` returned, as `size` and `kind`.
            size: size units.
            kind: the kind of trade.
        """
        exchange = _TRADE_EXCHANGES[bits >> 13 & 15]
        reported = now - (bits >> 23 & 7)
        facility = ""
        if exchange == _FINRA:
            facility = f',"trfi":{201 + (bits >> 26 & 1)},"trft":{reported}'
            reported -= bits >> 27 & 31
        shares = size // SIZE_UNITS
        decimal_shares = decimal_size_text(size)
        form = bits >> 29 & 15
        if form < _FIRST_SPECIFIED_FORM:
            return (
                f'{self._trade_head}"i":"{self._trades}","x":{exchange},"p":{price_text(price)},'
                f'"s":{shares}{kind.field},"t":{now},"pt":{reported},"q":{self._trade_sequence},'
                f'"z":{self._tape}{facility},"ds":"{decimal_shares}"}}'
            )
        if form < _SYMBOL_LAST:
            return (
                f'{self._trade_head}"x":{exchange},"i":"{self._trades}","z":{self._tape},"p":{price_text(price)},'
                f'"s":{shares},"ds":"{decimal_shares}"{kind.field},"t":{now},"pt":{reported},'
                f'"q":{self._trade_sequence}{facility}}}'
            )
        return (
            f'{{"p":{price_text(price)},"s":{shares},"ds":"{decimal_shares}"{kind.field},'
            f'"t":{now},"pt":{reported},"q":{self._trade_sequence},"i":"{self._trades}","x":{exchange},'
            f'"z":{self._tape}{facility}{self._tail}"T"}}'
        )

    def fair_value_event(self, now: int) -> str:
        """Return the middle of the quote as an ``FMV`` event at ``now`` (Unix milliseconds)."""
        middle = price_text(self._bid + self._spread // 2)
        return f'{{"ev":"FMV","fmv":{middle},"sym":"{self.symbol}","t":{now}}}'

    def limits_event(self, bits: int, now: int) -> str:
        """Return the limit-up limit-down band around the quote as an ``LULD`` event.

        Its ``t`` is in nanoseconds, and its symbol's key is ``T``, in the middle.

        Args:
            bits: random bits.
            now: Unix milliseconds.
        """
        half_band = self._bid * _LIMIT_PERCENT // 100
        nanoseconds = now * 1_000_000 + bits % 1_000_000
        return (
            f'{{"ev":"LULD","h":{price_text(self._bid + half_band)},"l":{price_text(self._bid - half_band)},'
            f'"i":[{15 + (bits & 1) * 6}],"z":{self._tape},"T":"{self.symbol}","t":{nanoseconds},'
            f'"q":{self._trade_sequence}}}'
        )


def stocks(start: int) -> Sequence[Callable[[int], Stock]]:
    """Return what makes each stock, the most active first; the same whenever the market begins."""
    return [partial(Stock, listing) for listing in LISTINGS]
