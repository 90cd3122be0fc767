"""The PROXY protocol: the line or block in which a reverse proxy says whose connection it passes on.

The rules are HAProxy's (doc/proxy-protocol.txt): version 1 is a line of text, version 2 a block of binary.
"""

from ipaddress import ip_address
from typing import Final, NamedTuple

from fproxy.core.client_address import plain_address

V1_PREFIX: Final = b"PROXY "
V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"

MAX_V1_BYTES: Final = 107
"""The longest line of version 1, its end included."""

MAX_V2_BYTES: Final = 4096
"""The longest block of version 2 accepted; addresses take 36 bytes, what may follow them is not used."""

_V2_HEADER_BYTES: Final = 16
_V2_ADDRESS_BYTES: Final = {0x1: 4, 0x2: 16}  # of each of the two, by the family: IPv4 and IPv6


class ProxyProtocolError(ValueError):
    """What looks like a header of the protocol is none; the message says why."""


class ProxyHeader(NamedTuple):
    """What a connection begins with.

    Attributes:
        size: the bytes that the header takes; 0 when there is none.
        address: the address of the client; None when there is no header, or it names none.
    """

    size: int
    address: str | None


def parse_header(data: bytes) -> ProxyHeader | None:
    """Return what a connection begins with; None when more of it is needed to say.

    Args:
        data: what has been read so far.

    Raises:
        ProxyProtocolError: it begins like a header, and is none.
    """
    if data.startswith(V1_PREFIX):
        return _version_1(data)
    if data.startswith(V2_SIGNATURE):
        return _version_2(data)
    if V1_PREFIX.startswith(data) or V2_SIGNATURE.startswith(data):
        return None
    return ProxyHeader(0, None)


def is_header(data: bytes) -> bool:
    """Return whether something begins as a header of the protocol does, sound or not."""
    return data.startswith((V1_PREFIX, V2_SIGNATURE))


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, MAX_V1_BYTES)
    if end < 0:
        if len(data) >= MAX_V1_BYTES:
            raise ProxyProtocolError("a PROXY line without an end")
        return None
    size = end + 2
    words = data[:end].decode("ascii", "replace").split(" ")
    if words[1:2] == ["UNKNOWN"]:
        return ProxyHeader(size, None)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ProxyProtocolError("a malformed PROXY line")
    try:
        address = ip_address(words[2])
    except ValueError:
        raise ProxyProtocolError("a PROXY line with a malformed address") from None
    if address.version != int(words[1][3]):
        raise ProxyProtocolError("a PROXY line with an address of another family")
    return ProxyHeader(size, str(plain_address(words[2])))


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_HEADER_BYTES:
        return None
    version, command = divmod(data[12], 16)
    family = data[13] // 16
    size = _V2_HEADER_BYTES + int.from_bytes(data[14:16])
    if version != 2 or command > 1:
        raise ProxyProtocolError("a PROXY block of an unknown version or command")
    if size > MAX_V2_BYTES:
        raise ProxyProtocolError(f"a PROXY block of more than {MAX_V2_BYTES} bytes")
    if len(data) < size:
        return None
    width = _V2_ADDRESS_BYTES.get(family)
    if command == 0 or width is None:
        return ProxyHeader(
            size, None
        )  # the proxy's own check of our health, or a family that is not of the internet
    if size < _V2_HEADER_BYTES + 2 * width + 4:
        raise ProxyProtocolError("a PROXY block that ends before its addresses do")
    return ProxyHeader(size, str(plain_address(data[_V2_HEADER_BYTES : _V2_HEADER_BYTES + width])))
