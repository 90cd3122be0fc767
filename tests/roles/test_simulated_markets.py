"""The simulator as the vendor of several markets: paths, spellings, limits and refusals."""

import json

import pytest
from simulator_harness import (
    START,
    Clock,
    Event,
    receive,
    receive_events,
    send,
    simulator,
    vendor_client,
)
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from fproxy.core.market import MARKETS, Market
from fproxy.core.spelling import own_spelling
from fproxy.core.topics import Topic
from fproxy.simulation.market import Market as Simulation
from fproxy.simulation.options import contracts
from fproxy.simulation.rosters import ROSTERS

EVERY_MARKET = tuple(MARKETS.values())
QUOTE_LIMIT = 1_000


def happening(market: Market, until: int) -> list[tuple[Topic, Event]]:
    """Return what happens in a market until a time, each event with the topic that asks for it."""
    simulation = Simulation(seed=4, start=START, rate=300.0, roster=ROSTERS[market.name])
    events = [event for frame in simulation.advance(until) for event in json.loads(frame.payload)]
    return [
        (own_spelling(market, Topic(event["ev"], event[market.event_types[event["ev"]].symbol_key])), event)
        for event in events
    ]


@pytest.mark.parametrize("name", [name for name in MARKETS if name != "stocks"])
async def test_each_market_is_on_its_path_and_asked_for_in_the_topics_spelling(name: str) -> None:
    market, clock = MARKETS[name], Clock()
    until = START + 1_500
    happened = happening(market, until)
    types = {topic.event_type for topic, _ in happened}
    # One symbol of each type, and of one type all.
    wanted = [next(topic for topic, _ in reversed(happened) if topic.event_type == one) for one in types]
    wildcard = next(one for one in sorted(types) if market.event_types[one].has_wildcard)
    topics = ",".join([*(topic.text for topic in wanted), f"{wildcard}.*"])
    expected = [event for topic, event in happened if topic in wanted or topic.event_type == wildcard]
    async with (
        simulator(clock, rate=300.0, markets=EVERY_MARKET) as simulated,
        vendor_client(simulated.port, topics, path=market.path) as client,
    ):
        clock.milliseconds = until
        assert await receive_events(client, len(expected)) == expected
    assert len(expected) > 20


async def test_an_account_has_one_connection_to_each_market() -> None:
    markets = (MARKETS["options"], MARKETS["forex"])
    async with (
        simulator(Clock(), markets=markets) as simulated,
        vendor_client(simulated.port, "T.*", path="/options") as options,
        vendor_client(simulated.port, "C.*", path="/forex") as forex,
        vendor_client(simulated.port, "C.*", path="/forex"),
    ):
        [status] = await receive(forex)
        assert status["status"] == "max_connections"
        assert (await send(options, "subscribe", "Q.O:A"))[0]["status"] == "success"


async def test_a_path_of_no_market_is_answered_with_those_that_there_are() -> None:
    async with simulator(Clock(), markets=(MARKETS["options"], MARKETS["futures/cme"])) as simulated:
        for path in ("/stocks", "/futures", "/option"):
            with pytest.raises(InvalidStatus) as refusal:
                async with connect(f"ws://127.0.0.1:{simulated.port}{path}", proxy=None):
                    pass
            assert refusal.value.response.status_code == 404
            words = bytes(refusal.value.response.body).replace(b",", b"").split()
            assert {b"/options", b"/futures/cme"} <= set(words)


async def test_a_market_outside_the_plan_is_refused_in_the_vendors_words() -> None:
    markets = (MARKETS["stocks"], MARKETS["options"])
    async with simulator(Clock(), markets=markets, not_in_plan=markets[1:]) as simulated:
        async with connect(f"ws://127.0.0.1:{simulated.port}/options", proxy=None) as client:
            await receive(client)
            assert await send(client, "auth", "key") == [
                {
                    "ev": "status",
                    "status": "auth_failed",
                    "message": "Your plan doesn't include websocket access.",
                }
            ]
            with pytest.raises(ConnectionClosedError):
                await client.recv()
        async with vendor_client(simulated.port, "T.SPY"):
            pass


async def test_quotes_of_options_are_limited_to_a_thousand_contracts() -> None:
    topics = [f"Q.{contract.symbol}" for contract in contracts(START)]
    async with (
        simulator(Clock(), markets=(MARKETS["options"],)) as simulated,
        vendor_client(simulated.port, path="/options") as client,
    ):
        answers = await send(client, "subscribe", ",".join(topics[: QUOTE_LIMIT + 2]))
        assert [answer["status"] for answer in answers] == ["success"] * QUOTE_LIMIT + ["error"] * 2
        too_many = "too many symbols: the vendor sends Q of at most 1000 options a connection"
        assert answers[-1]["message"] == f"{too_many}: {topics[QUOTE_LIMIT + 1]}"
        # What it has already, and other types, are not more.
        assert [a["status"] for a in await send(client, "subscribe", f"{topics[0]},T.*")] == ["success"] * 2
        assert (await send(client, "unsubscribe", f"{topics[5]},{topics[5]}"))[0]["status"] == "success"
        answers = await send(client, "subscribe", ",".join(topics[QUOTE_LIMIT : QUOTE_LIMIT + 2]))
        assert [answer["status"] for answer in answers] == ["success", "error"]
        [answer] = await send(client, "subscribe", "Q.*")
        assert answer["message"] == "no wildcard: options have Q for one symbol at a time only: 'Q.*'"
