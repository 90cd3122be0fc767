"""Events as lines for people, and the split of a message into events exactly as they came."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fproxy.face.event_text import Event, event_line, events_in


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def line_of(text: str) -> str:
    (event,) = events_in(text)
    return event_line(event)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            '{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.1250,"s":100,"c":[0,12],"t":1536036818784,"q":1}',
            "04:53:38.784  T      MSFT       114.1250 x 100       conditions 0,12",
        ),
        (
            '{"ev":"T","sym":"AAPL","p":297.845,"s":40,"t":1781622376036,"ds":"40.5"}',
            "15:06:16.036  T      AAPL        297.845 x 40.5",
        ),
        (
            '{"ev":"Q","sym":"MSFT","bp":114.125,"bs":100,"ap":114.128,"as":160,"c":0,"i":[604],"t":1536036818784}',
            "04:53:38.784  Q      MSFT        114.125 x 100         114.128 x 160",
        ),
        (
            '{"ev":"A","sym":"SPCE","v":200,"vw":25.3981,"o":25.39,"c":25.4,"h":25.41,"l":25.38,"s":1610144868000}',
            "22:27:48.000  A      SPCE     o 25.39  h 25.41  l 25.38  c 25.4  v 200  vw 25.3981",
        ),
        (
            '{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"ATHR","t":1788877046310003385,"q":3209681}',
            "14:17:26.310  LULD   ATHR     low 2.97  high 3.63",
        ),
        (
            '{"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"t":1601316752683746}',
            "18:12:32.683  LULD   MSFT     low 198.11  high 218.96",
        ),
        (
            '{"ev":"FMV","fmv":189.22,"sym":"AAPL","t":1678220098130}',
            "20:14:58.130  FMV    AAPL         189.22",
        ),
        (
            '{"ev":"XL2","pair":"BTC-USD","t":1678220098130,"b":[[33712.7,0.18],[33712,1]],"a":[[33718.23,3.55]]}',
            "20:14:58.130  XL2    BTC-USD     33712.7 x 0.18       33718.23 x 3.55  2 and 1 prices",
        ),
        ('{"ev":"XL2","pair":"BTC-USD","t":0,"b":7}', "00:00:00.000  XL2    BTC-USD  b=7"),
        (
            '{"ev":"C","p":"EUR/USD","x":"44","a":1.12,"b":1.11,"t":1678220098130}',
            "20:14:58.130  C      EUR/USD        1.11         1.12",
        ),
        ('{"ev":"V","val":3988.5,"T":"I:SPX","t":1678220098130}', "20:14:58.130  V      I:SPX        3988.5"),
        (
            '{"ev":"C","p":"USD/CNH","x":"44","a":6.83366,"b":6.83363,"t":1536036818784}',
            "04:53:38.784  C      USD/CNH     6.83363      6.83366",
        ),
        (
            '{"T":"b","S":"AAPL","o":150.20,"h":150.25,"l":1,"c":1,"v":850,"s":1736503800000,"e":1736503800100}',
            "10:10:00.000  100Ms  AAPL     o 150.20  h 150.25  l 1  c 1  v 850",
        ),
        (
            '{"ev":"MB","sym":"AAPL","interval":250,"o":1,"h":2,"l":1,"c":2,"v":3,"s":1736503800000,"n":4}',
            "10:10:00.000  250Ms  AAPL     o 1  h 2  l 1  c 2  v 3  n 4",
        ),
        (
            '{"ev":"NEW","sym":"X","t":1536036818784,"a":[1.50,"b"],"k":1e3}',
            '04:53:38.784  NEW    X        a=["1.50","b"] k=1e3',
        ),
        ('{"ev":"NOI","T":"NTEST.Q","at":930}', "-             NOI    NTEST.Q  T=NTEST.Q at=930"),
        ("{}", "-             ?      ?"),
        ('{"T":"b","S":"AAPL"}', "-             Ms     AAPL"),
        (
            '{"ev":"T","sym":"X","t":"999999999999999999999999999999"}',
            "-             T      X                 - x -",
        ),
    ],
)
def test_a_line_shows_what_a_reader_looks_for(event: str, line: str) -> None:
    assert line_of(event) == line


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in line_of('{"ev":"\\u001b[31m","sym":"\\u001b","x":"\\n"}')
    assert line_of('{"ev":"T\\n","sym":"a"}').isprintable()


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=4,
)
EVENTS = st.dictionaries(
    st.sampled_from(["ev", "sym", "T", "S", "t", "s", "e", "p", "i"]) | st.text(), JSON_VALUES
)
SPACES = st.text(alphabet=" \t\r\n", max_size=3)


@settings(max_examples=50)
@given(st.lists(st.tuples(EVENTS, st.booleans(), SPACES, SPACES), max_size=4), SPACES, SPACES)
def test_a_message_is_split_exactly(
    parts: list[tuple[dict[str, Any], bool, str, str]], before: str, after: str
) -> None:
    texts = [json.dumps(event, ensure_ascii=escaped) for event, escaped, _, _ in parts]
    inner = ",".join(left + text + right for text, (_, _, left, right) in zip(texts, parts, strict=True))
    message = f"{before}[{inner or before}]{after}"
    events = list(events_in(message))
    assert [event.text for event in events] == texts
    for event in events:
        assert event_line(event).isprintable()


def test_a_single_object_is_a_message() -> None:
    assert [event.text for event in events_in(' {"ev": "T"} ')] == ['{"ev": "T"}']


@pytest.mark.parametrize(
    "message",
    ["", "[", "[1]", "[{}", "[{},]", "[{}{}]", "{} {}", "[] []", "[{}],", "null", '"x"', "[{]", "[,{}]"],
)
def test_anything_else_is_refused(message: str) -> None:
    with pytest.raises(ValueError, match=r"\bchar"):
        list(events_in(message))


def test_what_stands_before_the_fault_is_still_given() -> None:
    events = events_in('[{"ev":"T"},oops]')
    assert next(events).text == '{"ev":"T"}'
    with pytest.raises(ValueError, match=r"\bchar"):
        next(events)


def test_status_events_are_told_apart() -> None:
    assert Event("", {"ev": "status"}).is_status
    assert not Event("", {"ev": "T", "status": "x"}).is_status
