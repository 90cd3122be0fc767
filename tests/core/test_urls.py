"""URLs of upstreams: which are accepted, and what is shown of them."""

import pytest

from fproxy.core.urls import UrlError, check_upstream_url, redacted_url, url_secrets


@pytest.mark.parametrize(
    "url",
    [
        "ws://localhost:8767",
        "wss://socket.massive.com/stocks",
        "ws://[::1]:8767/stocks",
        "ws://user:password@host:1/?key=value",
    ],
)
def test_urls_of_upstreams_are_accepted_as_they_are(url: str) -> None:
    assert check_upstream_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8767",
        "http://sesame",
        "ws://",
        "ws://:80",
        "ws://sesame:99999",
        "ws://sesame:port",
        "ws://[sesame",
        "ws://sesame /",
        "ws://sesame\n",
        "ws://sesame/#part",
    ],
)
def test_others_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(UrlError, match=r"allowed is ws://HOST\[:PORT\]") as refused:
        check_upstream_url(url)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://host:1/stocks", "wss://host:1/stocks"),
        ("ws://user:sesame@host:1/stocks", "ws://***@host:1/stocks"),
        ("ws://sesame@host", "ws://***@host"),
        ("ws://a@sesame@host", "ws://***@host"),
        ("ws://host/p?key=sesame#sesame", "ws://host/p?***"),
        ("ws://[sesame", "***"),
    ],
)
def test_secrets_of_a_url_are_not_shown(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("wss://host:1/stocks", set()),
        ("ws://user:sesame@host:1/stocks", {"user", "sesame"}),
        ("ws://ses%40me@host", {"ses%40me", "ses@me"}),
        ("ws://host/p?v=1&key=ses%2Fame+x", {"ses%2Fame+x", "ses/ame+x", "ses/ame x"}),
        ("ws://host/p?sesame==", {"sesame"}),
        ("ws://me:x@host/?v=1", {"x"}),
        ("ws://[sesame", set()),
    ],
)
def test_the_secrets_of_a_url_are_known_in_every_form(url: str, secrets: set[str]) -> None:
    assert url_secrets(url) == secrets
