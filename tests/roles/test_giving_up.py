"""What a client of many topics leaves behind is given up in steps of bounded work, which are counted here."""

from collections.abc import Iterator

from fproxy.core.demand import Demand
from fproxy.core.growing_set import GrowingSet
from fproxy.core.market import Upstream
from fproxy.core.topics import Topic
from fproxy.roles.subscriptions import TOLD_TOPICS, Subscriptions
from fproxy.shell.work_steps import PIECE

COUNT = max(10 * PIECE, 4 * TOLD_TOPICS)
UPSTREAM = Upstream.FIREHOSE


class Steps:
    """Does no step by itself."""

    def __init__(self) -> None:
        self.works: list[Iterator[float | None]] = []

    def add(self, owner: object, steps: Iterator[float | None]) -> None:
        self.works.append(steps)


class Connection:
    """Refuses everything."""

    def poke(self) -> None:
        pass

    def refusal(self, topic: str) -> str | None:
        return "not authorized"


class Client:
    """Keeps how long its messages were."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    def send_status(self, message: bytes) -> None:
        self.statuses.append(message.count(b'"status":"error"'))

    def after_reply(self, callback: object) -> None:
        pass


def topics() -> list[Topic]:
    return [Topic("T", f"S{number}") for number in range(COUNT)]


def held_by(*clients: Client, demand: Demand, steps: Steps) -> Subscriptions:
    """Subscriptions of clients, each with all of the topics."""
    held = Subscriptions(
        lambda topic: ((UPSTREAM, topic.text),),
        {UPSTREAM: demand},
        {UPSTREAM: Connection()},  # type: ignore[dict-item]
    )
    held.prepare(steps)  # type: ignore[arg-type]
    for client in clients:
        held.add_client(client)  # type: ignore[arg-type]
        held.subscribe(client, topics())  # type: ignore[arg-type]
    return held


def test_a_client_that_is_gone_gives_its_topics_up_in_steps() -> None:
    demand, client = Demand(), Client()
    held = held_by(client, demand=demand, steps=Steps())
    own = held.topics(client)  # type: ignore[arg-type]
    work = held.remove_client(client)  # type: ignore[arg-type]
    wanted = len(demand)
    assert wanted == COUNT
    for _ in work:
        assert 0 < wanted - len(demand) <= PIECE
        wanted = len(demand)
        assert len(own) == wanted, "to free all of them at once would be a long step"
    assert wanted == 0


def test_what_a_client_has_is_in_parts_that_grow_one_by_one() -> None:
    client = Client()
    own = held_by(client, demand=Demand(), steps=Steps()).topics(client)  # type: ignore[arg-type]
    assert isinstance(own, GrowingSet)
    assert len(own) == COUNT
    assert max(map(len, own.parts)) < COUNT / 10


def test_what_a_client_had_stays_as_it_was_for_who_keeps_it() -> None:
    demand, client = Demand(), Client()
    held = held_by(client, demand=demand, steps=Steps())
    own = held.topics(client)  # type: ignore[arg-type]
    for _ in held.remove_client(client, are_kept=True):  # type: ignore[arg-type]
        pass
    assert len(demand) == 0
    assert own == set(topics())


def test_refusals_of_many_topics_are_told_in_steps() -> None:
    steps, clients = Steps(), [Client() for _ in range(5)]
    held = held_by(*clients, demand=Demand(), steps=steps)
    held.refused(UPSTREAM, [topic.text for topic in topics()])
    held.refused(UPSTREAM, ["T.S0"])
    (work,) = steps.works
    told = looks = 0
    for _ in work:
        looks += not told
        now = sum(sum(client.statuses) for client in clients)
        assert now - told <= TOLD_TOPICS
        told = now
    assert looks >= 5 * COUNT // TOLD_TOPICS, "whom they concern is found in steps, too"
    assert [sum(client.statuses) for client in clients] == [COUNT] * 5


def test_a_client_that_is_gone_is_told_of_no_refusal() -> None:
    steps, client = Steps(), Client()
    held = held_by(client, demand=Demand(), steps=steps)
    held.refused(UPSTREAM, [topic.text for topic in topics()])
    held.remove_client(client)  # type: ignore[arg-type]
    for _ in steps.works[0]:
        pass
    assert not client.statuses
