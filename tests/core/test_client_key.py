"""What a key allows: patterns of topics against all that a topic brings."""

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.client_key import ClientKey, TopicPatterns, key_digest
from fproxy.core.client_keys import ClientKeys

texts = st.text("AT.*5", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "admitted", "refused"),
    [
        ("T.*", ["T.AAPL", "T.*"], ["Q.AAPL", "*", "LT.AAPL", "T"]),
        ("*.AAPL", ["T.AAPL", "100Ms.AAPL"], ["T.*", "*", "T.AAPLX"]),
        ("*", ["*", "T.*", "100Ms.*"], []),
        ("T.A*", ["T.A", "T.AAPL", "T.A*"], ["T.*", "T.BA"]),
        ("T.BRK.B", ["T.BRK.B"], ["T.BRKxB", "T.BRK"]),
    ],
)
def test_a_pattern_admits_what_it_covers(pattern: str, admitted: list[str], refused: list[str]) -> None:
    patterns = TopicPatterns([pattern])
    assert all(patterns.admit(text) for text in admitted)
    assert not any(patterns.admit(text) for text in refused)


@given(st.lists(texts, max_size=3), texts, st.text("AT.5", max_size=6))
def test_an_admitted_wildcard_brings_nothing_that_is_not_admitted(
    patterns: list[str], topic: str, filling: str
) -> None:
    if TopicPatterns(patterns).admit(topic):
        assert TopicPatterns(patterns).admit(topic.replace("*", filling))


@given(st.lists(texts, max_size=3), st.text("AT.5", max_size=8))
def test_patterns_match_as_the_shells_do(patterns: list[str], text: str) -> None:
    expected = any(re.fullmatch(fnmatch.translate(pattern), text) for pattern in patterns)
    assert TopicPatterns(patterns).admit(text) == expected


def named(name: str, key: str, **allowed: object) -> ClientKey:
    return ClientKey(name=name, digest=key_digest(key), **allowed)  # type: ignore[arg-type]


def test_named_keys_can_be_replaced_and_the_others_stay() -> None:
    keys = ClientKeys(["always"], [named("alice", "a"), named("bob", "b")])
    account = keys.account("a")
    keys.replace([named("alice", "a", max_topics=3), named("carol", "c")])
    found = keys.find("a")
    assert found is not None
    assert (found.name, found.max_topics) == ("alice", 3)
    assert keys.account("a") == account
    assert keys.holder(account) == found
    assert keys.find("b") is None
    assert keys.holder(keys.account("b")) is None
    assert keys.accepts("c")
    assert keys.accepts("always")


def test_no_named_key_at_all_does_not_open_the_server() -> None:
    keys = ClientKeys([], [named("alice", "a")])
    keys.replace([])
    assert not keys.is_open
    assert not keys.accepts("a")
    assert not ClientKeys([], []).is_open


def test_a_key_is_not_in_what_is_shown_of_it() -> None:
    assert key_digest("sesame").hex() not in repr(named("alice", "sesame"))
    assert str(key_digest("sesame")) not in repr(named("alice", "sesame"))
