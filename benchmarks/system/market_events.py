"""Events of other markets than stocks, for tapes: option contracts by the million, and order books of crypto pairs."""

import random
from collections.abc import Iterator
from typing import Final

CONTRACT_COUNT: Final = 1_000_000
PAIR_COUNT: Final = 300
_FIRST_TIMESTAMP: Final = 1_781_622_376_036
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LEVELS: Final = 10


def contract(number: int) -> str:
    """Return one of a million symbols of options, all different: ``O:`` and 16 to 18 characters.

    Args:
        number: from 0 to 999,999. Two side by side are of different underlyings.
    """
    chain, underlying = divmod(number, 2_500)
    side, chain = "CP"[chain % 2], chain // 2
    month, strike = divmod(chain, 20)
    root = _LETTERS[underlying % 26]
    while underlying := underlying // 26:
        root += _LETTERS[underlying % 26]
    return f"O:{root}{26_01_16 + month * 100}{side}{(strike + 1) * 2_500:08d}"


def pairs() -> list[str]:
    """Return the crypto pairs of a tape, as events and topics spell them: ``ABC-USD``."""
    generator = random.Random(2)
    found: dict[str, None] = {}
    while len(found) < PAIR_COUNT:
        found["".join(generator.choices(_LETTERS, k=generator.choice((3, 3, 4, 5)))) + "-USD"] = None
    return list(found)


def shortest(value: float) -> str:
    """Return a number as JSON with the fewest characters, to four places."""
    rounded = round(value, 4)
    return str(int(rounded)) if rounded.is_integer() else repr(rounded)


def option_events(generator: random.Random) -> Iterator[str]:
    """Make quotes, and trades every fourth time, of contracts drawn evenly; each has a sequence number of its own."""
    number = 0
    while True:
        symbol = contract(generator.randrange(CONTRACT_COUNT))
        price = shortest(generator.randint(1, 9_999) / 100)
        if number % 4:
            yield (
                f'{{"ev":"Q","sym":"{symbol}","bx":302,"ax":302,"bp":{price},"ap":{price},"bs":17,"as":24'
                f',"t":{_FIRST_TIMESTAMP + number},"q":{number}}}'
            )
        else:
            yield (
                f'{{"ev":"T","sym":"{symbol}","x":302,"p":{price},"s":1,"c":[209]'
                f',"t":{_FIRST_TIMESTAMP + number},"q":{number}}}'
            )
        number += 1


def book_events(generator: random.Random) -> Iterator[str]:
    """Make order books of ten levels a side; each was received at a time of its own, the only number it has."""
    names = pairs()
    received = _FIRST_TIMESTAMP
    while True:
        middle = generator.randint(10_000, 9_999_999)
        bids, asks = (
            ",".join(
                f"[{shortest((middle + side * (level + 1) * generator.randint(1, 9)) / 100)}"
                f",{shortest(generator.randint(1, 99_999) / 1_000)}]"
                for level in range(_LEVELS)
            )
            for side in (-1, 1)
        )
        received += 1
        yield (
            f'{{"ev":"XL2","pair":"{generator.choice(names)}","t":{received - generator.randint(1, 30)}'
            f',"r":{received},"x":{generator.choice((1, 2, 6, 23))},"b":[{bids}],"a":[{asks}]}}'
        )
