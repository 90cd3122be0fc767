"""Subscriptions at 10,000 topics: in one message or in as many, by one client, which is answered for each topic.

Beside fproxy, which checks and answers a message in its session before its fan-out subscribes, stand its fan-out
alone, and plain proxies that decode the message, keep a set of topics for the client and a set of clients for each
topic, and encode the answer.
"""

import json
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.decoders import DECODERS, Decoder, decoder
from benchmarks.proxies import FPROXY, Sink
from fproxy._fastpath import Fanout
from fproxy.core.client_keys import ClientKeys
from fproxy.core.control import Session, Subscribe, Unsubscribe
from fproxy.core.status_replies import Reply
from fproxy.core.topics import Topic, parse_topic

TOPICS: Final = tuple(f"T.{number:05}" for number in range(10_000))
FANOUT_ALONE: Final = "fproxy-fanout-alone"
PROGRAMS: Final = (FPROXY, FANOUT_ALONE, *DECODERS)
ROUNDS: Final = 5


class Subscriber(Protocol):
    """One client of one program."""

    def request(self, action: str, topics: Sequence[str]) -> Callable[[], int]:
        """Return the work of one message, which returns how many bytes answer it."""

    @property
    def topic_count(self) -> int:
        """How many topics the client has."""


class FproxyClient:
    def __init__(self) -> None:
        self.fanout = Fanout()
        self.client = self.fanout.add_client(Sink())
        self.session = Session(keys=ClientKeys([]), greets=False)
        self.session.received('{"action":"auth","params":"any"}')
        assert self.session.authenticated

    def request(self, action: str, topics: Sequence[str]) -> Callable[[], int]:
        message = json.dumps({"action": action, "params": ",".join(topics)})
        return lambda: self.received(message)

    def received(self, message: str) -> int:
        answered = 0
        for effect in self.session.received(message):
            match effect:
                case Subscribe(topics):
                    self.fanout.subscribe(self.client, topics)
                case Unsubscribe(topics):
                    self.fanout.unsubscribe(self.client, topics)
                case Reply(reply):
                    answered += len(reply)
        return answered

    @property
    def topic_count(self) -> int:
        return self.fanout.exact_topics


class FanoutClient:
    def __init__(self) -> None:
        self.fanout = Fanout()
        self.client = self.fanout.add_client(Sink())

    def request(self, action: str, topics: Sequence[str]) -> Callable[[], int]:
        parsed: list[Topic] = [parse_topic(topic) for topic in topics]

        def subscribe() -> int:
            self.fanout.subscribe(self.client, parsed)
            return 0

        def unsubscribe() -> int:
            self.fanout.unsubscribe(self.client, parsed)
            while self.fanout.settle():  # what the client's audience leaves to be done counts, too
                pass
            return 0

        return subscribe if action == "subscribe" else unsubscribe

    @property
    def topic_count(self) -> int:
        return self.fanout.exact_topics


class PlainClient:
    def __init__(self, decoding: Decoder, encoding: Decoder) -> None:
        self.decode = decoding.decode
        self.encode = encoding.encode
        self.sink = Sink()
        self.topics: set[str] = set()
        self.subscribers: dict[str, set[Sink]] = {}

    def request(self, action: str, topics: Sequence[str]) -> Callable[[], int]:
        message = json.dumps({"action": action, "params": ",".join(topics)}).encode()
        return lambda: self.received(message)

    def received(self, message: bytes) -> int:
        request = self.decode(message)
        action, topics = request["action"], request["params"].split(",")
        if action == "subscribe":
            self.topics.update(topics)
            for topic in topics:
                self.subscribers.setdefault(topic, set()).add(self.sink)
        else:
            self.topics.difference_update(topics)
            for topic in topics:
                self.subscribers[topic].discard(self.sink)
        statuses = [
            {"ev": "status", "status": "success", "message": f"{action}d to: {topic}"} for topic in topics
        ]
        return len(self.encode(statuses))

    @property
    def topic_count(self) -> int:
        return len(self.topics)


def new_client(program: str) -> Subscriber:
    """Return a client without topics, the only one of a new program of that name."""
    if program == FPROXY:
        return FproxyClient()
    if program == FANOUT_ALONE:
        return FanoutClient()
    # pysimdjson does not encode.
    return PlainClient(decoder(program), decoder("json" if program == "pysimdjson" else program))


def measure_changes(
    benchmark: BenchmarkFixture, program: str, action: str, batches: Sequence[Sequence[str]]
) -> None:
    """Time messages that take a client from none of the topics to all of them, or back."""
    clients: list[Subscriber] = []

    def new_works() -> tuple[tuple[list[Callable[[], int]]], dict[str, object]]:
        clients[:] = [new_client(program)]
        if action == "unsubscribe":
            clients[0].request("subscribe", TOPICS)()
        return ([clients[0].request(action, batch) for batch in batches],), {}

    def run(works: list[Callable[[], int]]) -> int:
        return sum(work() for work in works)

    benchmark.extra_info.update(topics_per_call=len(TOPICS), messages_per_call=len(batches))
    answered = benchmark.pedantic(run, setup=new_works, rounds=ROUNDS, warmup_rounds=1)  # type: ignore[no-untyped-call]
    assert clients[0].topic_count == (len(TOPICS) if action == "subscribe" else 0)
    assert (answered > sum(map(len, TOPICS))) == (program != FANOUT_ALONE)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.benchmark(group="subscribe to 10,000 topics: one message")
def test_subscribe_in_bulk(benchmark: BenchmarkFixture, program: str) -> None:
    measure_changes(benchmark, program, "subscribe", [TOPICS])


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.benchmark(group="subscribe to 10,000 topics: 10,000 messages")
def test_subscribe_one_by_one(benchmark: BenchmarkFixture, program: str) -> None:
    measure_changes(benchmark, program, "subscribe", [[topic] for topic in TOPICS])


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.benchmark(group="unsubscribe from 10,000 topics: one message")
def test_unsubscribe_in_bulk(benchmark: BenchmarkFixture, program: str) -> None:
    measure_changes(benchmark, program, "unsubscribe", [TOPICS])


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.benchmark(group="unsubscribe from 10,000 topics: 10,000 messages")
def test_unsubscribe_one_by_one(benchmark: BenchmarkFixture, program: str) -> None:
    measure_changes(benchmark, program, "unsubscribe", [[topic] for topic in TOPICS])
