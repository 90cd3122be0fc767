"""Status events, read from anything that an upstream may send."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.status_event import StatusError, parse_status


@given(status=st.text(st.characters(codec="utf-8")), message=st.text(st.characters(codec="utf-8")))
def test_what_is_said_is_read(status: str, message: str) -> None:
    event = {"ev": "status", "status": status, "message": message, "more": [1, {"x": None}]}
    parsed = parse_status(json.dumps(event).encode())
    assert (parsed.status, parsed.message, parsed.fields) == (status, message, event)


@pytest.mark.parametrize("message", [b"", b',"message":null', b',"message":5', b',"message":{}'])
def test_the_message_may_be_missing(message: bytes) -> None:
    assert parse_status(b'{"status":"auth_success"' + message + b"}")[:2] == ("auth_success", "")


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b"{}", b'{"status":5}', b'{"status":"x"', b'{"status":"\xff"}']
)
def test_what_cannot_be_read_is_an_error(raw: bytes) -> None:
    with pytest.raises(StatusError):
        parse_status(raw)
    assert parse_status(b'{"status":"still"}').status == "still"
