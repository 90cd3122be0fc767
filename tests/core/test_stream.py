"""The state of a stream, and what clients are told of it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.status_event import parse_status
from fproxy.core.stream import Interruption, Restoration, Stream, StreamState
from fproxy.core.stream_notice import interruption_event, notice_message, reason_of, restoration_event

START = 1_000


def a_stream() -> Stream:
    return Stream("firehose", market="stocks", now=START)


def an_up_stream() -> Stream:
    stream = a_stream()
    stream.whole(now=START)
    return stream


def test_a_stream_begins_as_down_and_whoever_comes_is_told_so() -> None:
    stream = a_stream()
    assert stream.state is StreamState.DOWN
    assert stream.interruption == Interruption("firehose", "not connected yet", START)
    assert stream.interruptions == 0


def test_a_loss_is_told_once_with_the_time_of_the_last_event() -> None:
    stream = an_up_stream()
    told = stream.lost("connection refused", last_event=1_500, now=2_000)
    assert told == stream.interruption == Interruption("firehose", "connection refused", 1_500)
    assert stream.lost("timeout", last_event=1_500, now=3_000) is None
    assert stream.interrupted("vendor: closed", last_event=1_500, now=4_000) is None
    assert stream.state is StreamState.INTERRUPTED
    assert stream.interruption == Interruption("firehose", "vendor: closed", 1_500)
    assert stream.interruptions == 1
    assert stream.whole(now=5_000) == Restoration("firehose", 1_500, 5_000)
    assert stream.whole(now=6_000) is None
    assert stream.interruption is None


def test_a_stream_without_an_event_was_lost_when_it_was_lost() -> None:
    stream = an_up_stream()
    told = stream.interrupted("gone", last_event=None, now=2_000)
    assert told is not None
    assert told.since == 2_000


def test_an_event_from_the_future_does_not_put_the_gap_there() -> None:
    told = an_up_stream().lost("gone", last_event=9_000, now=2_000)
    assert told is not None
    assert told.since == 2_000


@given(st.lists(st.tuples(st.sampled_from(["lost", "interrupted", "whole"]), st.integers(0, 50))))
def test_losses_and_returns_are_told_in_turn_and_cover_all_time_that_is_not_up(
    steps: list[tuple[str, int]],
) -> None:
    stream = an_up_stream()
    now, open_gap = START, False
    for name, passed in steps:
        now += passed
        if name == "whole":
            restored = stream.whole(now=now)
            assert (restored is not None) == open_gap
            if restored is not None:
                assert restored.start <= restored.end == now
            open_gap = False
        else:
            tell = stream.lost if name == "lost" else stream.interrupted
            told = tell("gone", last_event=now - 1, now=now)
            assert (told is not None) == (not open_gap)
            open_gap = True
        assert (stream.state is StreamState.UP) == (not open_gap) == (stream.interruption is None)


def test_notices_are_status_events_that_any_client_can_read() -> None:
    interrupted = interruption_event(Interruption("firehose", 'refused "x"\n', 1_500))
    assert json.loads(interrupted) == {
        "ev": "status",
        "status": "upstream_disconnected",
        "message": 'firehose: refused "x"\n; events may be missing from now on',
        "upstream": "firehose",
        "since": 1_500,
    }
    restored = restoration_event(Restoration("firehose", 1_500, 1_700))
    assert json.loads(restored) == {
        "ev": "status",
        "status": "upstream_reconnected",
        "message": "firehose: back; events from 1500 to 1700 may be missing",
        "upstream": "firehose",
        "from": 1_500,
        "to": 1_700,
        "recovered": False,
    }
    for event in (interrupted, restored):
        assert parse_status(event).message
        assert json.loads(notice_message(event)) == [json.loads(event)]


def test_a_reason_that_travels_down_the_chain_says_its_consequence_once() -> None:
    first = json.loads(interruption_event(Interruption("vendor", "closed", 1)))["message"]
    second = json.loads(interruption_event(Interruption("firehose", reason_of(first), 1)))["message"]
    assert second == "firehose: vendor: closed; events may be missing from now on"
