"""Which keys let a client in, and what a client is called once it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.client_keys import ClientKeys

# Surrogates too: a client can write them in JSON.
any_text = st.text(st.characters(exclude_categories=()))


@given(st.lists(any_text.filter(str.strip), min_size=1), any_text)
def test_accepts_exactly_the_keys_it_was_given(keys: list[str], other: str) -> None:
    client_keys = ClientKeys(keys)
    assert all(client_keys.accepts(key) for key in keys)
    assert client_keys.accepts(other) == (other in keys)
    assert not client_keys.is_open


@given(any_text)
def test_without_keys_accepts_every_key(key: str) -> None:
    client_keys = ClientKeys()
    assert client_keys.is_open
    assert client_keys.accepts(key)


@pytest.mark.parametrize("keys", [[""], ["good", " "], ["\t"]])
def test_an_empty_key_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="empty client key"):
        ClientKeys(keys)


def test_an_account_is_the_same_for_the_same_key_only() -> None:
    client_keys = ClientKeys()
    assert client_keys.account("first") == client_keys.account("first")
    assert client_keys.account("first") != client_keys.account("second")


def test_no_key_can_be_read_from_the_object() -> None:
    client_keys = ClientKeys(["a-secret-key"])
    shown = repr(client_keys) + str([getattr(client_keys, name) for name in ClientKeys.__slots__])
    assert "a-secret-key" not in shown
    assert client_keys.account("a-secret-key") not in repr(client_keys)


def test_an_account_does_not_tell_a_key_that_can_be_guessed() -> None:
    assert ClientKeys().account("guess") != ClientKeys().account("guess")
