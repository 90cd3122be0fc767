"""Which web pages are this machine's own; tests/face/test_settings.py has which hosts are."""

import pytest

from fproxy.core.loopback import is_loopback_origin


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "https://LOCALHOST:3000",
        "http://127.0.0.1:8080",
        "http://127.8.9.10",
        "http://[::1]:3000",
    ],
)
def test_a_page_of_this_machine(origin: str) -> None:
    assert is_loopback_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost@example.com",
        "http://192.168.1.5:3000",
        "http://[fe80::1]",
        "http://[::1",
        "chrome-extension://localhostlocalhostlocalhost",
        "file://",
        "null",
        "localhost",
        "",
    ],
)
def test_any_other_page(origin: str) -> None:
    assert not is_loopback_origin(origin)
