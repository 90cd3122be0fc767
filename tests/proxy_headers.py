"""Headers of the PROXY protocol, as a reverse proxy sends them."""

from ipaddress import ip_address

from fproxy.core.proxy_protocol import V2_SIGNATURE


def version_1(source: str, port: int = 1) -> bytes:
    """A line of version 1."""
    family = ip_address(source).version
    return f"PROXY TCP{family} {source} {'::1' if family == 6 else '127.0.0.1'} {port} 443\r\n".encode()


def version_2(source: str, port: int = 1, more: bytes = b"", command: int = 1) -> bytes:
    """A block of version 2."""
    address = ip_address(source)
    body = 2 * address.packed + port.to_bytes(2) + (443).to_bytes(2) + more
    family = 0x11 if address.version == 4 else 0x21
    return V2_SIGNATURE + bytes([0x20 + command, family]) + len(body).to_bytes(2) + body
