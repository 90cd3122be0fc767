"""A session, message by message: what it answers, and what it asks of the server."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core import client_request, control
from fproxy.core.client_keys import ClientKeys
from fproxy.core.control import Authenticated, Close, Effect, Refused, Session, Subscribe, Unsubscribe
from fproxy.core.status_replies import MAX_REPLY_BYTES, Reply, status_message
from fproxy.core.topics import EVERYTHING, Topic

KEY = "a key"


def send(client: Session, text: str | bytes) -> list[Effect]:
    """Send a message, and take its effects to the end; leave out that there is work to do."""
    return [effect for effect in client.received(text) if not isinstance(effect, control.Working)]


def session(*, greets: bool = True) -> Session:
    return Session(keys=ClientKeys([KEY]), greets=greets)


def joined() -> Session:
    client = session()
    send(client, message(action="auth", params=KEY))
    assert client.authenticated
    return client


def message(**fields: object) -> str:
    return json.dumps(fields)


def statuses(effects: list[Effect]) -> list[tuple[str, str]]:
    """The statuses of all replies among ``effects``, each checked to be an event of exactly three fields."""
    found = []
    for effect in effects:
        if isinstance(effect, Reply):
            events = json.loads(effect.message)
            assert isinstance(events, list)
            assert events
            assert effect.errors == sum(event["status"] == "error" for event in events)
            for event in events:
                assert list(event) == ["ev", "status", "message"]
                assert event["ev"] == "status"
                found.append((event["status"], event["message"]))
    return found


def test_what_nobody_serves_is_answered_with_an_error_in_its_place() -> None:
    told = []
    for effect in joined().received(message(action="subscribe", params="T.A,NOI.B,T.C,NOI.B")):
        told.append(effect)
        if isinstance(effect, Subscribe):
            effect.unserved[Topic("NOI", "B")] = "not here"
    assert statuses(told) == [
        ("success", "subscribed to: T.A"),
        ("error", "not here: NOI.B"),
        ("success", "subscribed to: T.C"),
        ("error", "not here: NOI.B"),
    ]


def the_error(effects: list[Effect]) -> str:
    """The text of the one error that ``effects`` consist of."""
    [effect] = effects
    assert isinstance(effect, Reply)
    [(status, text)] = statuses(effects)
    assert status == "error"
    return text


def topic_of(text: str) -> Topic:
    return Topic(*text.split(".", 1))


# The vendor's session, byte for byte.


def test_a_session_as_the_vendor_writes_it() -> None:
    client = session()
    assert client.opened() == [
        Reply(b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
    ]
    [success, authenticated] = send(client, '{"action":"auth","params":"a key"}')
    assert success == Reply(b'[{"ev":"status","status":"auth_success","message":"authenticated"}]')
    assert isinstance(authenticated, Authenticated)
    assert send(client, '{"action":"subscribe","params":"T.AAPL,A.AAPL"}') == [
        Subscribe((topic_of("T.AAPL"), topic_of("A.AAPL"))),
        Reply(
            b'[{"ev":"status","status":"success","message":"subscribed to: T.AAPL"},'
            b'{"ev":"status","status":"success","message":"subscribed to: A.AAPL"}]'
        ),
    ]
    assert send(client, '{"action":"unsubscribe","params":"T.AAPL"}') == [
        Unsubscribe((topic_of("T.AAPL"),)),
        Reply(b'[{"ev":"status","status":"success","message":"unsubscribed to: T.AAPL"}]'),
    ]


def test_without_a_greeting_the_first_message_is_the_answer_to_auth() -> None:
    client = session(greets=False)
    assert client.opened() == []
    assert statuses(send(client, message(action="auth", params=KEY))) == [("auth_success", "authenticated")]


# Authentication.


@pytest.mark.parametrize("key", ["", " a key", "a key ", "A KEY", "another", "\ud800", "k" * 10_000])
def test_a_bad_key_ends_the_session(key: str) -> None:
    client = session()
    assert send(client, message(action="auth", params=key)) == [
        Refused("bad_key"),
        Reply(b'[{"ev":"status","status":"auth_failed","message":"authentication failed"}]'),
        Close(1008, "authentication failed"),
    ]
    assert not client.authenticated
    assert send(client, message(action="auth", params=KEY)) == []
    assert client.auth_timed_out() == []


def test_an_open_server_accepts_any_key() -> None:
    client = Session(keys=ClientKeys(), greets=True)
    assert statuses(send(client, message(action="auth", params="whatever"))) == [
        ("auth_success", "authenticated")
    ]


def test_auth_again_is_answered_again_but_authenticates_once() -> None:
    client = joined()
    effects = send(client, message(action="auth", params=KEY))
    assert statuses(effects) == [("auth_success", "authenticated")]
    assert not any(isinstance(effect, Authenticated) for effect in effects)
    assert send(client, message(action="auth", params="wrong"))[-1] == Close(1008, "authentication failed")


def test_the_account_is_that_of_the_key() -> None:
    keys = ClientKeys()
    effects = Session(keys=keys, greets=True).received(message(action="auth", params="mine"))
    known = keys.find("mine")
    assert known is not None
    assert Authenticated(keys.account("mine"), known) in effects


def test_no_auth_in_time_ends_the_session() -> None:
    client = session()
    client.opened()
    assert client.auth_timed_out() == [
        Refused("timeout"),
        Reply(b'[{"ev":"status","status":"auth_timeout","message":"No authentication request received."}]'),
        Close(1008, "authentication timeout"),
    ]
    assert send(client, message(action="auth", params=KEY)) == []


def test_the_time_for_auth_does_not_matter_after_auth() -> None:
    client = joined()
    assert client.auth_timed_out() == []
    assert statuses(send(client, message(action="subscribe", params="T.A"))) == [
        ("success", "subscribed to: T.A")
    ]


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe", "get_bars"])
def test_nothing_but_auth_is_accepted_before_auth(action: str) -> None:
    client = session()
    assert the_error(send(client, message(action=action, params="T.AAPL"))) == (
        f"not authenticated: '{action}' came before auth"
    )
    assert statuses(send(client, message(action="auth", params=KEY))) == [("auth_success", "authenticated")]


def test_a_client_that_goes_on_making_errors_before_auth_is_closed() -> None:
    client = session()
    for _ in range(control.MAX_ERRORS_BEFORE_AUTH - 1):
        the_error(send(client, "nonsense"))
    [reply, close] = send(client, "nonsense")
    assert isinstance(reply, Reply)
    assert close == Close(1008, "too many errors before authentication")
    assert send(client, message(action="auth", params=KEY)) == []


def test_errors_after_auth_never_end_the_session() -> None:
    client = joined()
    for _ in range(10 * control.MAX_ERRORS_BEFORE_AUTH):
        the_error(send(client, "nonsense"))
    assert statuses(send(client, message(action="subscribe", params="T.A"))) == [
        ("success", "subscribed to: T.A")
    ]


# Subscriptions.


def test_good_topics_take_effect_beside_bad_ones_and_each_is_answered_in_order() -> None:
    effects = send(
        joined(), message(action="subscribe", params="T.AAPL, T ,100Ms.AAPL,0Ms.X,,*,z.AAPL,T.BRK.B")
    )
    assert effects[0] == Subscribe(
        (topic_of("T.AAPL"), topic_of("100Ms.AAPL"), EVERYTHING, Topic("T", "BRK.B")),
    )
    found = statuses(effects)
    assert [status for status, _ in found] == [
        "success", "error", "success", "error", "error", "success", "error", "success",
    ]  # fmt: skip
    assert "'T'" in found[1][1]
    assert found[3][1] == "interval outside 1 to 60000 ms: '0Ms.X'"
    assert "''" in found[4][1]
    assert found[5] == ("success", "subscribed to: *")
    assert "'z.AAPL'" in found[6][1]


def test_blanks_around_topics_do_not_matter() -> None:
    effects = send(joined(), message(action="subscribe", params="  T.AAPL ,\tQ.AAPL\n"))
    assert effects[0] == Subscribe((topic_of("T.AAPL"), topic_of("Q.AAPL")))
    assert [text for _, text in statuses(effects)] == ["subscribed to: T.AAPL", "subscribed to: Q.AAPL"]


@pytest.mark.parametrize(("action", "effect"), [("subscribe", Subscribe), ("unsubscribe", Unsubscribe)])
def test_a_topic_given_twice_is_applied_once_and_acknowledged_twice(action: str, effect: Any) -> None:
    effects = send(joined(), message(action=action, params="T.A,Q.A,T.A"))
    assert effects[0] == effect((topic_of("T.A"), topic_of("Q.A")))
    assert [text for _, text in statuses(effects)] == [
        f"{action}d to: {topic}" for topic in ("T.A", "Q.A", "T.A")
    ]


def test_subscribing_again_and_unsubscribing_what_is_not_there_are_fine() -> None:
    client = joined()
    for action in ("unsubscribe", "subscribe", "subscribe", "unsubscribe", "unsubscribe"):
        assert statuses(send(client, message(action=action, params="T.A"))) == [
            ("success", f"{action}d to: T.A")
        ]


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_topics_may_come_as_an_array(action: str) -> None:
    array = send(joined(), message(action=action, params=["T.AAPL", "Q.A, Zz.A", "A.*"]))
    assert array == send(joined(), message(action=action, params="T.AAPL,Q.A, Zz.A,A.*"))


def test_when_no_topic_is_good_nothing_is_subscribed() -> None:
    effects = send(joined(), message(action="subscribe", params="T,Q"))
    assert [type(effect) for effect in effects] == [Reply]
    assert [status for status, _ in statuses(effects)] == ["error", "error"]


def test_a_topic_that_is_not_ascii_is_named_as_it_is() -> None:
    effects = send(joined(), message(action="subscribe", params="T.É").encode())
    assert statuses(effects) == [("success", "subscribed to: T.É")]


def test_a_symbol_may_hold_colons_slashes_dots_and_lower_case() -> None:
    params = "T.BRK.B,T.BACpL,T.O:SPY251219C00650000,C.USD/CNH,XT.X:BTC-USD"
    effects = send(joined(), message(action="subscribe", params=params))
    assert [text.removeprefix("subscribed to: ") for _, text in statuses(effects)] == params.split(",")


def test_a_very_big_subscription_is_answered_in_several_messages() -> None:
    topics = [f"T.SYM{number}" for number in range(10_000)]
    effects = send(joined(), message(action="subscribe", params=",".join(topics)))
    changes = [effect for effect in effects if isinstance(effect, Subscribe)]
    replies = [effect for effect in effects if isinstance(effect, Reply)]
    assert [*changes, *replies] == effects
    assert [topic.text for change in changes for topic in change.topics] == topics
    assert max(len(change.topics) for change in changes) <= control.TOPICS_PER_EFFECT
    assert len(replies) > 1
    assert all(len(reply.message) <= MAX_REPLY_BYTES for reply in replies)
    assert [text for _, text in statuses(effects)] == [f"subscribed to: {topic}" for topic in topics]


@pytest.mark.parametrize("beyond", [0, 1])
def test_an_answer_is_cut_at_its_limit_to_the_byte(beyond: int) -> None:
    status = status_message(("success", "subscribed to: T.S0"))
    count, rest = divmod(MAX_REPLY_BYTES - len("[]") + len(","), len(status) - len("[]") + len(","))
    topics = ["T.S0"] * (count - 1) + ["T.S0" + "x" * (rest + beyond)]
    effects = send(joined(), message(action="subscribe", params=",".join(topics)))
    sizes = [len(effect.message) for effect in effects if isinstance(effect, Reply)]
    if beyond:
        assert len(sizes) == 2
    else:
        assert sizes == [MAX_REPLY_BYTES]


def test_too_many_topics_in_one_message_are_refused_together() -> None:
    text = the_error(
        send(joined(), message(action="subscribe", params="," * client_request.MAX_TOPICS_PER_MESSAGE))
    )
    assert text == "too many topics in one message: at most 50000 are taken"


def test_the_answer_to_the_worst_message_is_bounded() -> None:
    # What a client can make us send, beside the megabyte that it may send itself.
    params = ",".join(["\U0001f4a9\x01"] * client_request.MAX_TOPICS_PER_MESSAGE)
    effects = send(joined(), message(action="subscribe", params=params))
    assert sum(len(effect.message) for effect in effects if isinstance(effect, Reply)) < 12 * 1024 * 1024


def test_a_topic_given_twice_is_applied_once_however_far_apart() -> None:
    topics = [f"T.SYM{number}" for number in range(2 * control.TOPICS_PER_EFFECT)]
    effects = send(joined(), message(action="unsubscribe", params=",".join([*topics, topics[0], topics[-1]])))
    changes = [effect for effect in effects if isinstance(effect, Unsubscribe)]
    assert [topic.text for change in changes for topic in change.topics] == topics
    assert len(statuses(effects)) == len(topics) + 2


# The limit of topics.


class Holder:
    """A session with a role that keeps its topics, as the effects say while they are taken."""

    def __init__(self, max_topics: int) -> None:
        self.session = Session(keys=ClientKeys(), greets=False, max_topics=max_topics)
        self.max_topics = max_topics
        self.held: set[Topic] = set()
        send(self.session, message(action="auth", params=KEY))

    def send(self, action: str, *topics: str) -> list[str]:
        """Send a request, carry out what it asks for, and return the topics that were refused."""
        answers: list[Effect] = []
        for effect in self.session.received(message(action=action, params=",".join(topics)), self.held):
            if isinstance(effect, Subscribe):
                self.held.update(effect.topics)
            elif isinstance(effect, Unsubscribe):
                self.held.difference_update(effect.topics)
            else:
                answers.append(effect)
        refused = []
        for topic, (status, text) in zip(topics, statuses(answers), strict=True):
            if status == "error":
                assert text == f"too many topics, a client may have {self.max_topics}: {topic}"
                refused.append(topic)
            else:
                assert (status, text) == ("success", f"{action}d to: {topic}")
        return refused


def test_topics_beyond_the_limit_are_refused_and_the_others_taken() -> None:
    client = Holder(3)
    assert client.send("subscribe", "T.A", "T.B") == []
    assert client.send("subscribe", "T.A", "T.C", "T.D", "T.B", "T.D", "T.C", "*") == ["T.D", "T.D", "*"]
    assert {topic.text for topic in client.held} == {"T.A", "T.B", "T.C"}


def test_unsubscribing_makes_room_and_subscribing_again_takes_none() -> None:
    client = Holder(2)
    assert client.send("subscribe", "T.A", "T.B", "T.C") == ["T.C"]
    assert client.send("subscribe", "T.A", "T.B") == []
    assert client.send("unsubscribe", "T.A", "T.X") == []
    assert client.send("subscribe", "T.C", "T.A") == ["T.A"]
    assert {topic.text for topic in client.held} == {"T.B", "T.C"}


@pytest.mark.parametrize("limit", [1, control.TOPICS_PER_EFFECT, control.TOPICS_PER_EFFECT + 1, 1_000])
def test_the_limit_holds_over_the_steps_of_a_message(limit: int) -> None:
    client = Holder(limit)
    topics = [f"T.S{number}" for number in range(1_100)]
    assert client.send("subscribe", *topics) == topics[limit:]
    assert client.send("subscribe", *topics) == topics[limit:]
    assert len(client.held) == limit


@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(
            st.sampled_from(["subscribe", "unsubscribe"]),
            st.lists(st.sampled_from([f"T.{name}" for name in "ABCDEFGH"]), min_size=1, max_size=12),
        )
    ),
)
def test_the_limit_as_a_set_would_keep_it(limit: int, requests: list[tuple[str, list[str]]]) -> None:
    client = Holder(limit)
    expected: set[str] = set()
    for action, topics in requests:
        refused = []
        for topic in topics:
            if action == "unsubscribe":
                expected.discard(topic)
            elif topic in expected or len(expected) < limit:
                expected.add(topic)
            else:
                refused.append(topic)
        assert client.send(action, *topics) == refused
        assert {topic.text for topic in client.held} == expected


def test_a_role_that_keeps_no_topics_has_no_limit() -> None:
    client = Session(keys=ClientKeys(), greets=False, max_topics=1)
    send(client, message(action="auth", params=KEY))
    effects = send(client, message(action="subscribe", params="T.A,T.B"))
    assert effects[0] == Subscribe((topic_of("T.A"), topic_of("T.B")))


# Replay.


@pytest.mark.parametrize("since", [0, 1, 1_736_503_800_000, client_request.MAX_SINCE_MS])
def test_since_is_passed_on(since: int) -> None:
    effects = send(joined(), message(action="subscribe", params="100Ms.AAPL", since=since))
    assert effects[0] == Subscribe((topic_of("100Ms.AAPL"),), since)


@pytest.mark.parametrize(
    ("since", "what"),
    [
        (-1, "outside 0 to"),
        (2**53 + 1, "outside 0 to"),
        (10**4000, "outside 0 to"),
        (1.5, "a number, not an integer"),
        (True, "a boolean, not an integer"),
        ("5", "a string, not an integer"),
        (None, "null, not an integer"),
        ([], "an array, not an integer"),
    ],
)
def test_a_bad_since_refuses_the_message(since: object, what: str) -> None:
    text = the_error(send(joined(), message(action="subscribe", params="100Ms.AAPL", since=since)))
    assert "'since'" in text
    assert what in text
    assert len(text) < 200


# Snapshots.


@pytest.mark.parametrize("snapshot", [True, False])
def test_snapshot_is_passed_on(snapshot: bool) -> None:
    effects = send(joined(), message(action="subscribe", params="T.AAPL", since=1, snapshot=snapshot))
    assert effects[0] == Subscribe((topic_of("T.AAPL"),), 1, snapshot=snapshot)


@pytest.mark.parametrize(
    ("snapshot", "what"), [(1, "a number"), ("true", "a string"), (None, "null"), ({}, "an object")]
)
def test_a_bad_snapshot_refuses_the_message(snapshot: object, what: str) -> None:
    effects = send(joined(), message(action="subscribe", params="T.AAPL", snapshot=snapshot))
    assert the_error(effects) == f"malformed message: 'snapshot' is {what}, not true or false"


# Messages that cannot be carried out.

BAD_MESSAGES: list[tuple[str | bytes, str | tuple[str, ...]]] = [
    ("", "malformed message: not JSON at character 0, the end"),
    ("{", "malformed message: not JSON at character 1, the end"),
    ("hello", "malformed message: not JSON at character 0, 'hello'"),
    ('{"action":"auth",}', "malformed message: not JSON at character 17, '}'"),
    ('{"action":"auth", \n}', "malformed message: not JSON at character 19, '}'"),
    ('{"params":[1,]}', "malformed message: not JSON at character 13, ']}'"),
    ('{"action":,}', "malformed message: not JSON at character 10, ',}'"),
    ('{"action":"auth"} x', "malformed message: not JSON at character 18, 'x'"),
    (b'{"action":"\xff"}', "malformed message: not UTF-8 at byte 11"),
    (b"\xef\xbb\xbf{}", "malformed message: not JSON at character 0, "),
    (
        '{"action":"subscribe","params":"T.A"}'.encode("utf-16-le"),
        "malformed message: not JSON at character 1",
    ),
    # Not as deep as it takes on every Python.
    (
        "[" * 16_000,
        ("malformed message: nested too deeply", "malformed message: not JSON at character 16000, the end"),
    ),
    (
        '{"":' * 4_000,
        ("malformed message: nested too deeply", "malformed message: not JSON at character 16000, the end"),
    ),
    (f'{{"a":{"9" * 5000}}}', "malformed message: a number with too many digits"),
    ("[" * 100_000, "malformed message: one of more than 16384 characters has to be an object"),
    ("[]", "malformed message: an array, not an object: '[]'"),
    ('["action"]', "malformed message: an array, not an object: '[\"action\"]'"),
    ('"auth"', "malformed message: a string, not an object: '\"auth\"'"),
    ("12", "malformed message: a number, not an object: '12'"),
    ("-1.5e3", "malformed message: a number, not an object: '-1.5e3'"),
    ("true", "malformed message: a boolean, not an object: 'true'"),
    ("null", "malformed message: null, not an object: 'null'"),
    ("{}", "malformed message: no 'action'"),
    ('{"Action":"subscribe"}', "malformed message: no 'action'"),
    ('{"action":null}', "malformed message: 'action' is null, not a string"),
    ('{"action":["subscribe"]}', "malformed message: 'action' is an array, not a string"),
    ('{"action":""}', "unknown action: ''"),
    ('{"action":"Subscribe","params":"T.A"}', "unknown action: 'Subscribe'"),
    ('{"action":"sub\\u0000","params":"T.A"}', "unknown action: 'sub\\x00'"),
    ('{"action":"\\ud800"}', "unknown action: '\\ud800'"),
    (json.dumps({"action": "x" * 10_000}), f"unknown action: '{'x' * client_request.MAX_ECHO}'..."),
    ('{"action":"subscribe"}', "malformed message: no 'params'"),
    ('{"action":"unsubscribe"}', "malformed message: no 'params'"),
    ('{"action":"auth"}', "malformed message: no 'params'"),
    ('{"action":"subscribe","params":null}', "malformed message: 'params' is null, not a string"),
    ('{"action":"subscribe","params":{"T.A":1}}', "malformed message: 'params' is an object, not a string"),
    (
        '{"action":"subscribe","params":["T.A",7]}',
        "malformed message: 'params' holds a number, not only strings",
    ),
    ('{"action":"subscribe","params":[]}', "malformed message: 'params' is empty"),
    ('{"action":"auth","params":["key"]}', "malformed message: 'params' is an array, not a string"),
    ('{"action":"subscribe","params":{"T":"A"}}', "malformed message: 'params' is an object, not a string"),
    ('{"action":"subscribe","params":7}', "malformed message: 'params' is a number, not a string"),
    ('{"action":"subscribe","params":false}', "malformed message: 'params' is a boolean, not a string"),
    ('{"action":"auth","params":12345}', "malformed message: 'params' is a number, not a string"),
    ('{"action":"subscribe","params":""}', "malformed message: 'params' is empty"),
    ('{"action":"unsubscribe","params":" \\n"}', "malformed message: 'params' is empty"),
    ('{"action":"subscribe","params":"T"}', "malformed topic: 'T' is not of the form"),
    ('{"action":"subscribe","params":","}', "malformed topic: '' is not of the form"),
    ('{"action":"subscribe","params":"T.A L"}', "malformed topic: 'T.A L' holds white space"),
    ('{"action":"subscribe","params":"T.A\\"L"}', "malformed topic: 'T.A\"L' holds"),
    ('{"action":"subscribe","params":"T.A\\ud800"}', "malformed topic: 'T.A\\ud800' holds"),
    ('{"action":"subscribe","params":"T.A*B"}', "malformed topic: 'T.A*B' has a wildcard"),
    ('{"action":"subscribe","params":"*.A"}', "malformed topic: '*.A' has a wildcard"),
    ('{"action":"subscribe","params":"Zz.A"}', "unknown topic: 'Zz.A'"),
    ('{"action":"subscribe","params":"0Ms.A"}', "interval outside 1 to 60000 ms: '0Ms.A'"),
    ('{"action":"subscribe","params":"60001Ms.A"}', "interval outside 1 to 60000 ms: '60001Ms.A'"),
    (
        json.dumps({"action": "subscribe", "params": "T." + "A" * 255}),
        "topic longer than 256 characters: T.AAA",
    ),
]


@pytest.mark.parametrize(("text", "error"), BAD_MESSAGES, ids=range(len(BAD_MESSAGES)))
def test_an_error_names_the_offending_part_and_the_session_goes_on(
    text: str | bytes, error: str | tuple[str, ...]
) -> None:
    client = joined()
    statuses_found = statuses(send(client, text))
    assert all(status == "error" for status, _ in statuses_found)
    assert statuses_found[0][1].startswith(error)
    assert all(len(text) < 1024 for _, text in statuses_found)
    assert statuses(send(client, message(action="subscribe", params="T.A"))) == [
        ("success", "subscribed to: T.A")
    ]


def test_the_last_of_two_equal_names_counts_and_other_fields_do_not_matter() -> None:
    text = f'{{"action":"x","id":{10**4000},"n":NaN,"action":"subscribe","params":"T.A"}}'
    assert statuses(send(joined(), text)) == [("success", "subscribed to: T.A")]


# Whatever a client sends.

topic_texts = st.one_of(
    st.sampled_from(["T.AAPL", "*", "A.*", "100Ms.X", "60000Ms.*", "Q.BRK.B"]),
    st.text(st.characters(exclude_characters=",", exclude_categories=()), max_size=12),
    st.from_regex(r"[A-Z]{1,3}\.[A-Z*]{1,4}", fullmatch=True),
    st.from_regex(r"[0-9]{1,6}Ms\.[A-Z*]{1,4}", fullmatch=True),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["auth", "subscribe", "unsubscribe"]) | json_values,
        "params": st.lists(topic_texts).map(",".join) | st.just(KEY) | json_values,
        "since": json_values,
        "snapshot": json_values,
    },
)
messages = st.one_of(st.binary(), st.text(), json_values.map(json.dumps), requests.map(json.dumps))


@given(st.lists(messages, max_size=12), st.booleans(), st.booleans())
def test_whatever_comes_gets_valid_answers_and_never_raises(
    received: list[str | bytes], starts_joined: bool, greets: bool
) -> None:
    client = joined() if starts_joined else session(greets=greets)
    closed = False
    for text in received:
        effects = send(client, text)
        assert not (closed and effects)
        answers = statuses(effects)
        assert closed or answers
        closed = closed or any(isinstance(effect, Close) for effect in effects)
        for position, effect in enumerate(effects):
            assert not isinstance(effect, Close) or position == len(effects) - 1
            if isinstance(effect, Reply):
                effect.message.decode("ascii")
            if isinstance(effect, Subscribe | Unsubscribe):
                assert client.authenticated
                assert not any(isinstance(earlier, Reply) for earlier in effects[:position])
                assert len(set(effect.topics)) == len(effect.topics)


@given(st.lists(topic_texts, min_size=1), st.sampled_from(["subscribe", "unsubscribe"]))
def test_there_is_one_status_for_each_topic(topics: list[str], action: str) -> None:
    params = ",".join(topics)
    effects = send(joined(), message(action=action, params=params))
    answers = statuses(effects)
    assert len(answers) == (len(topics) if params.strip() else 1)
    good = [text.removeprefix(f"{action}d to: ") for status, text in answers if status == "success"]
    changed = [effect for effect in effects if isinstance(effect, Subscribe | Unsubscribe)]
    assert [topic.text for effect in changed for topic in effect.topics] == list(dict.fromkeys(good))
    assert all(text.strip() in good for text in topics if text.strip() in ("T.AAPL", "*", "A.*", "Q.BRK.B"))


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_a_status_message_is_what_json_writes(events: list[tuple[str, str]]) -> None:
    written = [{"ev": "status", "status": status, "message": text} for status, text in events]
    assert status_message(*events) == json.dumps(written, separators=(",", ":")).encode()
