"""What is left of an upstream's words when secrets are taken out."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fproxy.core.redaction import HIDDEN, LEAST_PIECE, MAX_SHOWN, redact

KEY = "kEy-5e83a"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("going away", "going away"),
        (f"no plan for {KEY}", "no plan for ***"),
        (f"{KEY}, {KEY}", "***, ***"),
        (KEY + KEY, "***"),
        (f"bad key {KEY.lower()}", "bad key ***"),  # picows makes some of what it quotes lower case
        (f"BAD KEY {KEY.upper()[:-1]}", "BAD KEY ***"),
        (f"bad key {KEY[:-1]}", "bad key ***"),  # cut off
        (f"byte 9: ...b'{KEY[2:]} x'...", "byte 9: ...b'*** x'..."),
        (f"{KEY[:LEAST_PIECE]}, {KEY[-LEAST_PIECE:]}", "***, ***"),
        (KEY[: LEAST_PIECE - 1], KEY[: LEAST_PIECE - 1]),
        ("bad key", "bad key"),
        ("a\nb\x1b[31m\u2028c ", "a b [31m c"),
        ("c" * 10_000, "c" * MAX_SHOWN),
        ("c" * (MAX_SHOWN - 4) + KEY, "c" * (MAX_SHOWN - 4) + "***"),
        ("", ""),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert redact(text, [KEY, ""]) == shown


def test_without_secrets_nothing_is_hidden() -> None:
    assert redact("any key will do", []) == redact("any key will do", [""]) == "any key will do"


@pytest.mark.parametrize("secret", ["it's", "ΑΣ", 'a"b\\c', "a b/c?d", "schlüssel", "a\tb"])
def test_a_secret_is_known_quoted_and_encoded(secret: str) -> None:
    for form in (secret, repr(secret)[1:-1], repr(secret.encode())[2:-1], quote(secret, safe="")):
        assert redact(f"<{form}>", [secret]) == f"<{HIDDEN}>"


def test_of_a_secret_in_a_secret_nothing_is_left() -> None:
    assert redact("it is sesame-street", ["sesame", "sesame-street"]) == "it is ***"


def test_a_short_secret_is_hidden_whole() -> None:
    assert redact("of a demo, dem", ["demo"]) == "of a ***, dem"


@given(st.text(), st.sampled_from(["K\u0130\u00df\ud800", "a'\"\\", "\x00\x01"]))
def test_whatever_the_secret_it_does_not_raise(text: str, secret: str) -> None:
    assert secret not in redact(text + secret, [secret])


@given(st.text(), st.text(), st.lists(st.text("abcdef", min_size=3), min_size=1, max_size=3))
def test_no_secret_is_ever_in_it(before: str, after: str, secrets: list[str]) -> None:
    shown = redact(before + secrets[0] + after, secrets)
    assert shown.isprintable()
    assert len(shown) <= MAX_SHOWN
    assert not any(secret in shown for secret in secrets)
