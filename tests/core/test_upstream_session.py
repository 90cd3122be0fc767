"""The session with an upstream, by example, and against a simulated upstream that answers as real ones do."""

import itertools
import json
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.demand_changes import Changes
from fproxy.core.request_answers import ANSWER_TIME, MAX_OUTSTANDING
from fproxy.core.upstream_effects import (
    Abandon,
    Confirmed,
    Effect,
    Interrupted,
    Notice,
    Ready,
    Refused,
    Send,
    Whole,
)
from fproxy.core.upstream_failure import UpstreamFailure
from fproxy.core.upstream_requests import MAX_PARAMS_BYTES, shown_topics, split_topics
from fproxy.core.upstream_session import UpstreamSession

KEY = "kEy-5e83a"


def status(status: str, message: str = "") -> bytes:
    return json.dumps({"ev": "status", "status": status, "message": message}).encode()


def subscribed(*topics: str) -> list[bytes]:
    return [status("success", f"subscribed to: {topic}") for topic in topics]


DENIED = status("error", "not authorized")


def sent(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    messages = [json.loads(effect.message) for effect in effects if isinstance(effect, Send)]
    return [(message["action"], message["params"]) for message in messages]


def subscribe(session: UpstreamSession, *topics: str, now: float = 0.0) -> None:
    assert sent(session.request(Changes(topics, ()), now)) == [("subscribe", ",".join(topics))]


def a_ready_session() -> UpstreamSession:
    session = UpstreamSession(KEY)
    session.opened()
    assert session.received([status("auth_success", "authenticated")], 0.0) == [Ready()]
    return session


def complaints(session: UpstreamSession, statuses: Iterable[bytes], now: float) -> list[Effect]:
    """What statuses ask for beside acknowledgements and what they say of the whole stream."""
    return [effect for effect in session.received(statuses, now) if not isinstance(effect, Confirmed | Whole)]


class TestAuthentication:
    def test_auth_is_sent_without_waiting_for_a_greeting(self) -> None:
        assert sent(UpstreamSession(KEY).opened()) == [("auth", KEY)]

    @pytest.mark.parametrize("greeting", [[], [status("connected", "Connected Successfully")]])
    def test_a_greeting_may_come_or_not(self, greeting: list[bytes]) -> None:
        session = UpstreamSession(KEY)
        session.opened()
        assert complaints(session, greeting, 0.0) == []
        assert not session.ready
        assert complaints(session, [status("auth_success", "authenticated")], 0.0) == [Ready()]
        assert session.ready

    def test_ready_comes_once(self) -> None:
        session = a_ready_session()
        assert complaints(session, [status("auth_success")], 0.0) == []
        assert session.auth_wait_over() == []

    def test_an_upstream_that_does_not_answer_auth_is_taken_as_ready(self) -> None:
        session = UpstreamSession(KEY)
        session.opened()
        assert session.auth_wait_over() == [Ready()]
        assert complaints(session, [status("auth_success")], 0.0) == []

    @pytest.mark.parametrize(
        ("name", "failure"),
        [
            ("auth_failed", UpstreamFailure.AUTH_FAILED),
            ("auth_timeout", UpstreamFailure.AUTH_TIMEOUT),
            ("max_connections", UpstreamFailure.MAX_CONNECTIONS),
        ],
    )
    def test_an_upstream_that_turns_away_ends_the_session(self, name: str, failure: UpstreamFailure) -> None:
        session = UpstreamSession(KEY)
        session.opened()
        (effect,) = complaints(session, [status(name, "because I say so"), status("auth_success")], 0.0)
        assert isinstance(effect, Abandon)
        assert effect.failure is failure
        assert "because I say so" in effect.text
        assert session.auth_wait_over() == []
        assert complaints(session, [status("auth_success")], 0.0) == []
        assert not session.ready

    def test_an_upstream_may_turn_away_later_too(self) -> None:
        (effect,) = complaints(a_ready_session(), [status("max_connections", "exceeded")], 0.0)
        assert isinstance(effect, Abandon)
        assert "one for each market" in effect.text

    def test_only_a_bad_key_and_too_many_connections_call_for_a_long_wait(self) -> None:
        turned_away = {failure for failure in UpstreamFailure if failure.turned_away}
        assert turned_away == {UpstreamFailure.AUTH_FAILED, UpstreamFailure.MAX_CONNECTIONS}

    def test_the_key_is_in_nothing_but_the_auth_message(self) -> None:
        session = a_ready_session()
        effects = complaints(session, [status("error", f"what is {KEY}?")], 0.0)
        effects += complaints(session, [status("auth_failed", f"bad key {KEY}")], 0.0)
        assert len(effects) == 2
        assert KEY not in repr(effects)


class TestRequests:
    def test_subscriptions_go_before_unsubscriptions(self) -> None:
        effects = a_ready_session().request(Changes(("T.A", "T.B"), ("T.*",)), 0.0)
        assert sent(effects) == [("subscribe", "T.A,T.B"), ("unsubscribe", "T.*")]

    def test_nothing_changed_is_nothing_said(self) -> None:
        assert a_ready_session().request(Changes((), ()), 0.0) == [Whole()]

    def test_a_large_set_goes_in_messages_of_bounded_size(self) -> None:
        topics = tuple(f"T.S{number}" for number in range(25_000))
        session = a_ready_session()
        effects = session.request(Changes(topics, ()), 0.0)
        assert all(
            len(effect.message) < MAX_PARAMS_BYTES + 100 for effect in effects if isinstance(effect, Send)
        )
        assert ",".join(params for _, params in sent(effects)).split(",") == list(topics)
        assert complaints(session, subscribed(*topics), 0.0) == []
        assert session.outstanding == 0

    def test_the_message_is_json_whatever_the_topic(self) -> None:
        topics = ('T."\\\n', "T.\ud800", "T.Ä€𝄞")
        effects = a_ready_session().request(Changes(topics, ()), 0.0)
        assert sent(effects) == [("subscribe", ",".join(topics))]

    def test_an_upstream_that_answers_nothing_fills_no_memory(self) -> None:
        session = a_ready_session()
        for number in range(3 * MAX_OUTSTANDING):
            subscribe(session, f"T.S{number}")
        assert session.outstanding == MAX_OUTSTANDING

    def test_requests_without_an_answer_are_forgotten_in_time(self) -> None:
        session = a_ready_session()
        subscribe(session, "T.A", now=0.0)
        subscribe(session, "T.B", now=10.0)
        assert complaints(session, [], ANSWER_TIME - 0.1) == []
        assert session.outstanding == 2
        complaints(session, [], ANSWER_TIME)
        assert session.outstanding == 1


class TestRefusals:
    def test_a_request_of_one_topic(self) -> None:
        session = a_ready_session()
        subscribe(session, "NOI.A")
        assert complaints(session, [DENIED], 0.0) == [Refused(("NOI.A",), "not authorized")]
        assert session.outstanding == 0

    def test_what_remains_beside_the_successes(self) -> None:
        session = a_ready_session()
        subscribe(session, "T.A", "NOI.A", "Q.A", "NOI.B")
        answers = [*subscribed("T.A"), DENIED, *subscribed("Q.A"), DENIED]
        assert complaints(session, answers, 0.0) == [Refused(("NOI.A", "NOI.B"), "not authorized")]

    def test_each_answer_in_a_message_of_its_own(self) -> None:
        session = a_ready_session()
        subscribe(session, "T.A", "NOI.A")
        assert complaints(session, [DENIED], 0.0) == []
        assert complaints(session, subscribed("T.A"), 0.0) == [Refused(("NOI.A",), "not authorized")]

    def test_all_answers_of_several_requests_in_one_message(self) -> None:
        session = a_ready_session()
        subscribe(session, "T.A", "NOI.A")
        subscribe(session, "NOI.B")
        subscribe(session, "T.C")
        answers = [*subscribed("T.A"), DENIED, DENIED, *subscribed("T.C")]
        assert complaints(session, answers, 0.0) == [
            Refused(("NOI.A",), "not authorized"),
            Refused(("NOI.B",), "not authorized"),
        ]
        assert session.outstanding == 0

    def test_a_success_that_names_several_topics(self) -> None:
        session = a_ready_session()
        subscribe(session, "T.A", "T.B", "NOI.A")
        answers = [status("success", "subscribed to: T.A, T.B"), DENIED]
        assert complaints(session, answers, 0.0) == [Refused(("NOI.A",), "not authorized")]

    @pytest.mark.parametrize(
        "text",
        [
            "unknown topic: 'XX.A' has no known event type",
            "not authorized: XX.A",
            "XX.A: not authorized.",
            "XX.A",
        ],
    )
    def test_an_error_that_names_its_topic(self, text: str) -> None:
        session = a_ready_session()
        subscribe(session, "T.A", "XX.A", "T.B")
        assert complaints(session, [status("error", text)], 0.0) == [Refused(("XX.A",), text)]
        assert complaints(session, subscribed("T.A", "T.B"), 0.0) == []
        assert session.outstanding == 0

    def test_an_error_with_and_one_without_a_name(self) -> None:
        session = a_ready_session()
        subscribe(session, "NOI.A", "NOI.B")
        assert complaints(session, [DENIED], 0.0) == []
        assert complaints(session, [status("error", "not authorized: NOI.A")], 0.0) == [
            Refused(("NOI.A",), "not authorized: NOI.A"),
            Refused(("NOI.B",), "not authorized"),
        ]

    def test_too_few_answers_refuse_nobody(self) -> None:
        session = a_ready_session()
        subscribe(session, "NOI.A", "XT.A", "T.A")  # the vendor's stocks market ignores XT in silence
        assert complaints(session, [DENIED, *subscribed("T.A")], 0.0) == []
        subscribe(session, "T.B")
        (notice,) = complaints(session, subscribed("T.B"), 0.0)
        assert isinstance(notice, Notice)
        for part in ("1 of 2", "not authorized", "NOI.A", "XT.A"):
            assert part in notice.text
        assert session.outstanding == 0

    def test_too_few_answers_in_time_refuse_nobody(self) -> None:
        session = a_ready_session()
        subscribe(session, "NOI.A", "XT.A")
        assert complaints(session, [DENIED], 0.0) == []
        (notice,) = complaints(session, [], ANSWER_TIME)
        assert isinstance(notice, Notice)

    def test_requests_ignored_in_silence_take_no_later_refusal(self) -> None:
        session = a_ready_session()
        subscribe(session, "XT.A")
        subscribe(session, "T.A")
        assert complaints(session, subscribed("T.A"), 0.0) == []
        subscribe(session, "NOI.A")
        assert complaints(session, [DENIED], 0.0) == [Refused(("NOI.A",), "not authorized")]

    def test_the_same_topic_twice_underway(self) -> None:
        session = a_ready_session()
        subscribe(session, "T.A")
        session.request(Changes((), ("T.A",)), 0.0)
        subscribe(session, "T.A", "NOI.A")
        assert complaints(session, subscribed("T.A"), 0.0) == []
        assert complaints(session, [status("success", "unsubscribed to: T.A")], 0.0) == []
        assert complaints(session, [*subscribed("T.A"), DENIED], 0.0) == [
            Refused(("NOI.A",), "not authorized")
        ]

    def test_an_error_that_answers_nothing_is_noticed(self) -> None:
        (notice,) = complaints(a_ready_session(), [status("error", "internal error")], 0.0)
        assert isinstance(notice, Notice)
        assert "internal error" in notice.text

    def test_a_refused_unsubscribe_refuses_no_client(self) -> None:
        session = a_ready_session()
        session.request(Changes((), ("T.A", "T.B")), 0.0)
        effects = complaints(session, [DENIED, status("error", "who knows T.B")], 0.0)
        assert [type(effect) for effect in effects] == [Notice, Notice]
        assert session.outstanding == 0

    def test_after_a_request_was_dropped_unanswered_nobody_knows_what_an_error_answers(self) -> None:
        session = a_ready_session()
        for number in range(MAX_OUTSTANDING + 1):
            subscribe(session, f"T.S{number}")
        (notice,) = complaints(session, [DENIED], 0.0)  # it may well answer T.S0
        assert isinstance(notice, Notice)
        # But once the upstream is seen to be past it, all is clear again.
        assert complaints(session, [*subscribed("T.S1"), DENIED], 0.0) == [
            Refused(("T.S2",), "not authorized")
        ]


class TestWholeness:
    """When every event that was asked for comes: only then may anybody be told that nothing is missing."""

    LOST = status("upstream_disconnected", "vendor: closed; events may be missing from now on")
    BACK = status("upstream_reconnected", "vendor: back")

    def test_a_stream_of_which_nothing_is_wanted_is_whole_at_once(self) -> None:
        assert a_ready_session().request(Changes((), ()), 0.0) == [Whole()]

    def test_a_stream_is_whole_when_all_first_requests_are_answered(self) -> None:
        session = a_ready_session()
        subscribe(session, "T.A", "T.B", "NOI.A")
        assert session.received(subscribed("T.A"), 0.0) == [Confirmed(("T.A",))]
        assert session.awaits_first_answers
        assert session.is_confirmed("T.A")
        assert not session.is_confirmed("T.B")
        assert session.received([DENIED, *subscribed("T.B")], 0.0) == [
            Confirmed(("T.B",)),
            Refused(("NOI.A",), "not authorized"),
            Whole(),
        ]
        assert not session.awaits_first_answers

    def test_later_requests_do_not_take_that_back(self) -> None:
        session = a_ready_session()
        assert session.request(Changes((), ()), 0.0) == [Whole()]
        subscribe(session, "T.A")
        assert session.received(subscribed("T.A"), 0.0) == [Confirmed(("T.A",))]

    def test_an_upstream_that_does_not_answer_is_taken_at_its_silence(self) -> None:
        session = a_ready_session()
        subscribe(session, "T.A")
        assert session.answer_wait_over() == [Whole()]
        assert session.answer_wait_over() == []

    def test_an_upstream_that_lost_its_own_is_not_whole_until_it_says_so(self) -> None:
        session = a_ready_session()
        assert session.received([self.LOST], 0.0) == [Interrupted("vendor: closed")]
        subscribe(session, "T.A")
        assert session.received(subscribed("T.A"), 0.0) == [Confirmed(("T.A",))]
        assert session.received([self.BACK], 0.0) == [Whole()]
        assert session.received([self.LOST], 0.0) == [Interrupted("vendor: closed")]
        assert session.received([self.BACK], 0.0) == [Whole()]

    def test_an_upstream_that_is_back_is_not_whole_before_it_has_answered(self) -> None:
        session = a_ready_session()
        session.received([self.LOST], 0.0)
        subscribe(session, "T.A")
        assert session.received([self.BACK], 0.0) == []
        assert session.received(subscribed("T.A"), 0.0) == [Confirmed(("T.A",)), Whole()]

    def test_what_is_given_up_is_not_confirmed_any_more(self) -> None:
        session = a_ready_session()
        subscribe(session, "T.A")
        session.received(subscribed("T.A"), 0.0)
        session.request(Changes((), ("T.A",)), 0.0)
        assert not session.is_confirmed("T.A")

    def test_secrets_in_the_reason_are_hidden(self) -> None:
        lost = status("upstream_disconnected", f"vendor: refused {KEY}; events may be missing from now on")
        assert a_ready_session().received([lost], 0.0) == [Interrupted("vendor: refused ***")]


class TestHostileUpstreams:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"[",
            b"[]",
            b"7",
            b"null",
            b'"status"',
            b"{}",
            b"\xff",
            b"[" * 100_000,
            b'{"status":1e999999}',
            b"9" * 5000,
        ],
    )
    def test_what_cannot_be_read_is_noticed_at_most(self, raw: bytes) -> None:
        session = a_ready_session()
        assert all(isinstance(effect, Notice) for effect in complaints(session, [raw], 0.0))

    @given(
        st.dictionaries(
            st.sampled_from(["ev", "status", "message"]),
            st.one_of(
                st.none(),
                st.integers(),
                st.lists(st.text()),
                st.text(),
                st.sampled_from(["success", "error", "connected", "subscribed to: T.A", "T.A"]),
            ),
        )
    )
    def test_nothing_makes_it_raise(self, event: dict[str, object]) -> None:
        session = a_ready_session()
        session.request(Changes(("T.A", "T.B"), ("T.C",)), 0.0)
        complaints(session, [json.dumps(event).encode()], 0.0)

    def test_what_it_says_is_shown_as_one_short_line(self) -> None:
        (notice,) = complaints(a_ready_session(), [status("error", "a\nb\x1b[31m" + "c" * 10_000)], 0.0)
        assert isinstance(notice, Notice)
        assert notice.text.isprintable()
        assert len(notice.text) < 300


def test_a_role_of_ours_gets_the_key_of_the_roles_and_the_vendor_never_does() -> None:
    session = UpstreamSession("vendor", peer_key="ours")
    assert sent(session.opened(is_peer=False)) == [("auth", "vendor")]
    assert sent(session.opened(is_peer=True))[0] == ("auth", "ours")
    assert sent(UpstreamSession("vendor").opened(is_peer=True))[0] == ("auth", "vendor")


@st.composite
def conversations(draw: st.DrawFn, *, silent: bool) -> tuple[list[dict[str, str]], list[int]]:
    """Requests, each a topic -> its fate, and the sizes of the messages in which their answers come."""
    fates = ["served", "refused", "ignored"] if silent else ["served", "refused"]
    number = 0
    requests = []
    for size in draw(st.lists(st.integers(1, 5), min_size=1, max_size=6)):
        requests.append({f"T.S{number + n}": draw(st.sampled_from(fates)) for n in range(size)})
        number += size
    return requests, draw(st.lists(st.integers(1, 6), min_size=number, max_size=number))


def converse(
    requests: list[dict[str, str]], sizes: list[int], *, ahead: int
) -> tuple[set[str], UpstreamSession]:
    """Send the requests, ``ahead`` of them before the first answer; return the topics reported as refused."""
    session = a_ready_session()
    refused: set[str] = set()
    answers: list[bytes] = []

    def receive(message: list[bytes]) -> None:
        for effect in complaints(session, message, 0.0):
            if isinstance(effect, Refused):
                assert refused.isdisjoint(effect.topics)
                refused.update(effect.topics)

    queue = list(requests)
    while queue or answers:
        for request in queue[:ahead]:
            session.request(Changes(tuple(request), ()), 0.0)
            for topic, fate in request.items():
                answers += {"served": subscribed(topic), "refused": [DENIED], "ignored": []}[fate]
        del queue[:ahead]
        if answers:
            size = sizes.pop()
            receive(answers[:size])
            del answers[:size]
    return refused, session


@given(conversations(silent=False), st.integers(1, 6))
def test_an_upstream_that_answers_everything_leaves_no_doubt(
    conversation: tuple[list[dict[str, str]], list[int]], ahead: int
) -> None:
    requests, sizes = conversation
    refused, session = converse(requests, sizes, ahead=ahead)
    assert refused == {topic for request in requests for topic, fate in request.items() if fate == "refused"}
    assert session.outstanding == 0


@given(conversations(silent=True), st.integers(1, 6))
def test_no_topic_that_is_served_is_ever_taken_for_refused(
    conversation: tuple[list[dict[str, str]], list[int]], ahead: int
) -> None:
    requests, sizes = conversation
    refused, _ = converse(requests, sizes, ahead=ahead)
    assert refused.isdisjoint(
        topic for request in requests for topic, fate in request.items() if fate == "served"
    )


@given(
    st.lists(st.text(st.characters(exclude_characters=","), min_size=1, max_size=12)),
    st.integers(1, 5),
    st.integers(1, 40),
)
def test_split_parts_are_within_bounds_and_make_the_whole(topics: list[str], most: int, size: int) -> None:
    parts = list(split_topics(topics, max_topics=most, max_bytes=size))
    assert [topic for part in parts for topic in part] == topics
    for part in parts:
        assert 1 <= len(part) <= most
        assert (
            len(part) == 1 or sum(len(topic.encode("utf-8", "surrogatepass")) + 1 for topic in part) <= size
        )
    # No part could have taken the next one's first topic.
    for part, following in itertools.pairwise(parts):
        together = [*part, following[0]]
        assert (
            len(together) > most or sum(len(t.encode("utf-8", "surrogatepass")) + 1 for t in together) > size
        )


def test_topics_are_shown_all_of_a_few_and_some_of_many() -> None:
    assert shown_topics(["T.A", "T.B"]) == "T.A, T.B"
    assert shown_topics(f"T.{n}" for n in range(100)) == "T.0, T.1, T.2, T.3 and 96 more"


def test_topics_of_an_upstream_that_answers_nothing_take_little_memory() -> None:
    session = a_ready_session()
    topics = [f"T.{number}" for number in range(10_000)]
    tracemalloc.start()
    try:
        session.request(Changes(topics, ()), 0.0)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 450 * len(topics)


def test_what_a_lost_session_knew_of_topics_is_handed_over_and_not_kept() -> None:
    """Else the parts that are freed one after the other stay until the session goes, and are freed then all at once."""
    session = a_ready_session()
    topics = [f"T.S{number}" for number in range(1_000)]
    subscribe(session, *topics)
    session.received(subscribed(*topics[:-10]), 0.0)
    given = session.lost(1)
    assert {topic for part in given for topic in part} == set(topics)
    assert not any(session.lost(2))
    assert not session.has_acknowledged
    assert session.outstanding == 0


def test_what_is_acknowledged_is_the_very_string_that_was_asked_for() -> None:
    """A copy of a million topics for each connection takes 60 MB, and 100 ms to be freed."""
    session = a_ready_session()
    topic = "".join(("T.", "AAPL"))
    subscribe(session, topic)
    effects = session.received(subscribed("T.AAPL"), 0.0)
    assert next(effect for effect in effects if isinstance(effect, Confirmed)).topics[0] is topic
