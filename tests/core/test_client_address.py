"""Whose connection it is, as reverse proxies say it."""

import pytest

from fproxy.core.auth_failures import MAX_ADDRESSES, MAX_DELAY, AuthFailures
from fproxy.core.client_address import TrustedProxies, limit_group

PROXIES = TrustedProxies(["10.0.0.0/8", "::1"])


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        (["1.2.3.4"], "1.2.3.4"),
        (["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        (["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
        (["1.2.3.4:5678"], "1.2.3.4"),
        (["[2001:db8::1]:5678"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["1.2.3.4, ::1"], "1.2.3.4"),
        (["::ffff:1.2.3.4"], "1.2.3.4"),
        (["10.0.0.2"], None),
        (["1.2.3.4, unknown"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_last_address_that_no_proxy_of_ours_has_is_the_clients(
    headers: list[str], address: str | None
) -> None:
    assert PROXIES.forwarded_for(headers) == address


def test_only_the_listed_are_trusted() -> None:
    assert PROXIES.trust("10.1.2.3")
    assert PROXIES.trust("::ffff:10.1.2.3")
    assert PROXIES.trust("::1")
    assert not PROXIES.trust("11.1.2.3")
    assert not PROXIES.trust("")
    assert not TrustedProxies([]).trust("127.0.0.1")


def test_a_site_counts_as_one() -> None:
    assert limit_group("2001:db8::1") == limit_group("2001:db8::ffff:1") == "2001:db8::/64"
    assert limit_group("2001:db8:0:1::1") != limit_group("2001:db8::1")
    assert limit_group("1.2.3.4") == limit_group("::ffff:1.2.3.4") == "1.2.3.4"
    assert limit_group("") == ""


def test_failures_are_answered_later_and_later_and_then_refused_until_time_has_passed() -> None:
    failures = AuthFailures(4)
    delays = [failures.failed("1.2.3.4", 0.0) for _ in range(4)]
    assert delays == [0.0, 0.25, 0.5, 1.0]
    assert failures.is_refused("1.2.3.4", 0.0)
    assert not failures.is_refused("1.2.3.5", 0.0)
    assert failures.is_refused("1.2.3.4", 0.0)
    assert not failures.is_refused("1.2.3.4", 15.1)
    assert failures.failed("1.2.3.4", 1000.0) == 0.0
    for _ in range(50):
        slowest = failures.failed("1.2.3.4", 1000.0)
    assert slowest == MAX_DELAY


def test_this_machine_is_slowed_down_only() -> None:
    failures = AuthFailures(1)
    assert [failures.failed("127.0.0.1", 0.0) for _ in range(2)] == [0.0, 0.25]
    assert not failures.is_refused("127.0.0.1", 0.0)


def test_the_addresses_that_are_remembered_are_bounded() -> None:
    failures = AuthFailures(1)
    for number in range(MAX_ADDRESSES + 1):
        failures.failed(f"host {number}", 0.0)
    assert not failures.is_refused("host 0", 0.0)
    assert failures.is_refused("host 1", 0.0)
