"""What ``fproxy tail`` can be told: its options, and its settings made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import click

from fproxy.core.market import MARKETS, Market
from fproxy.core.market_topics import parse_market_topic
from fproxy.core.topics import Topic, TopicError, parse_topic
from fproxy.face.settings.kinds import WholeNumber
from fproxy.face.settings.sources import text_of
from fproxy.roles.settings import ANY_KEY

DEMO_KEY: Final = "demo"
"""The key that a client sends when none is configured: right for a server that accepts any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TailSettings:
    """What ``fproxy tail`` can be told.

    Attributes:
        url: the server's ``ws://`` or ``wss://`` URL, with the path of a market.
        key: the key to authenticate with.
        topics: what to subscribe to.
        raw: print each event exactly as it came instead of as a line for people; statistics as JSON objects.
        stats: instead of the events, show each second how many came and how old they were.
        limit: end after this many events; None never does.
        retry: connect again when the server has gone away.
        connect_timeout: how long connecting may take, in seconds.
        silence: say so when no event has come for this many seconds; and again each time that this has doubled.
    """

    url: str
    key: str = field(repr=False)
    topics: tuple[str, ...]
    raw: bool = False
    stats: bool = False
    limit: int | None = None
    retry: bool = True
    connect_timeout: float = 10.0
    silence: float = 5.0


def tail_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what belongs on the command line alone: how to print, and when to end."""
    for option in (
        click.option(
            "--retry/--no-retry",
            default=True,
            show_default=True,
            help="Connect again when the server has gone away.",
        ),
        click.option(
            "-n", "--count", "limit", type=WholeNumber(1, 10**15), help="End after this many events."
        ),
        click.option(
            "--stats",
            is_flag=True,
            help="Instead of the events show, each second, events by type, bytes, latency and symbols; with --json "
            "as an object a line.",
        ),
        click.option("--json", "raw", is_flag=True, help="Print each event exactly as it came, one a line."),
    ):
        command = option(command)
    return command


def tail_settings(values: Mapping[str, Any]) -> TailSettings:
    """Return the settings of ``fproxy tail`` from the values of ``fproxy tail`` and its arguments.

    Raises:
        click.UsageError: an argument holds something that is not a topic, or no topic at all.
    """
    url = values["url"] if values["market"] is None else url_of_market(values["url"], values["market"])
    market = market_of(url)
    texts = [text for argument in values["topics"] for text in argument.replace(",", " ").split()]
    try:
        topics = tuple(dict.fromkeys(_topic(text, market).text for text in texts))
    except TopicError as error:
        raise click.UsageError(str(error)) from error
    if not topics:
        raise click.UsageError("no topic given")
    return TailSettings(
        url=url,
        key=values["key"] or usual_key(click.get_current_context()),
        topics=topics,
        raw=values["raw"],
        stats=values["stats"],
        limit=values["limit"],
        retry=values["retry"],
    )


def market_of(url: str) -> Market | None:
    """Return the market that a URL's path ends with; None when it is no market's."""
    path = urlsplit(url).path.rstrip("/")
    return next((market for market in MARKETS.values() if path.endswith(market.path)), None)


def url_of_market(url: str, market: Market) -> str:
    """Return a server's URL with the path of a market in place of that of another, or behind what path it has."""
    parts = urlsplit(url)
    present = market_of(url)
    path = parts.path.rstrip("/").removesuffix("" if present is None else present.path)
    return parts._replace(path=path + market.path).geturl()


def _topic(text: str, market: Market | None) -> Topic:
    return parse_topic(text) if market is None else parse_market_topic(market, text)


def usual_key(ctx: click.Context) -> str:
    """Return the key that a server with these same settings accepts; ``demo`` when any will do."""
    for name in ("FPROXY_CLIENT_KEYS", "POLYGON_API_KEY"):
        given = text_of(ctx, name)
        key = given.split(",")[0].strip() if name == "FPROXY_CLIENT_KEYS" else given.strip()
        if key:
            return DEMO_KEY if key == ANY_KEY else key
    return DEMO_KEY
