"""The PROXY protocol's headers, whole, in pieces, and damaged."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxy_headers import version_1, version_2

from fproxy.core.client_address import plain_address
from fproxy.core.proxy_protocol import (
    MAX_V1_BYTES,
    V2_SIGNATURE,
    ProxyHeader,
    ProxyProtocolError,
    parse_header,
)

addresses = st.ip_addresses()


def named(address: IPv4Address | IPv6Address) -> str:
    """What a header names whose address may only stand for an IPv4 one."""
    return str(plain_address(str(address)))


ports = st.integers(0, 65535)


headers = st.one_of(
    st.builds(lambda address, port: (named(address), version_1(str(address), port)), addresses, ports),
    st.builds(
        lambda address, port, more: (named(address), version_2(str(address), port, more)),
        addresses,
        ports,
        st.binary(max_size=40),
    ),
)


@given(headers, st.binary(max_size=30))
def test_a_header_names_the_address_and_ends_where_it_does(header: tuple[str, bytes], rest: bytes) -> None:
    address, data = header
    assert parse_header(data + rest) == ProxyHeader(len(data), address)
    for size in range(len(data)):
        assert parse_header(data[:size]) is None


@pytest.mark.parametrize(
    "data",
    [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ::1 ::2 1 2\r\n", version_2("127.0.0.1", command=0)],
)
def test_a_header_without_an_address_is_passed_over(data: bytes) -> None:
    assert parse_header(data + b"GET /") == ProxyHeader(len(data), None)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"PROXIES", b"\r\n\r\nGET"])
def test_what_is_no_header_is_left_alone(data: bytes) -> None:
    assert parse_header(data) == ProxyHeader(0, None)


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY TCP4 1.2.3.4\r\n",
        b"PROXY TCP4 1.2.3.x 1.1.1.1 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 1.1.1.1 1 2\r\n",
        b"PROXY \xff\xff\r\n",
        b"PROXY " + b"x" * MAX_V1_BYTES,
        V2_SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        V2_SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_a_damaged_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyProtocolError):
        parse_header(data)


@given(st.binary(max_size=60), st.sampled_from([b"", b"PROXY ", V2_SIGNATURE]))
def test_whatever_comes_it_is_a_header_or_none_or_refused(data: bytes, before: bytes) -> None:
    try:
        header = parse_header(before + data)
    except ProxyProtocolError:
        return
    assert header is None or 0 <= header.size <= len(before + data)
