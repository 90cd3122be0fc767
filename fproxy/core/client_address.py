"""Whose connection it is: the address that limits go by, behind reverse proxies too."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def plain_address(address: str | bytes) -> IPv4Address | IPv6Address:
    """Return an address, the IPv4 one that ``::ffff:192.0.2.1`` stands for (RFC 4291, section 2.5.5.2).

    Args:
        address: its text, or its 4 or 16 bytes.

    Raises:
        ValueError: it is none.
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


class TrustedProxies:
    """The reverse proxies whose word about their clients' addresses is taken."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str]) -> None:
        """Prepare.

        Args:
            networks: addresses, and networks such as ``10.0.0.0/8``.

        Raises:
            ValueError: one of them is neither.
        """
        self._networks: tuple[Network, ...] = tuple(ip_network(text) for text in networks)

    def trust(self, host: str) -> bool:
        """Return whether the word of a host is taken; of what is no address it is not."""
        try:
            address = plain_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def forwarded_for(self, headers: Sequence[str]) -> str | None:
        """Return the client's address that ``X-Forwarded-For`` names; None when it names none.

        Each proxy adds the address that it got the request from. So the last one that is no trusted proxy's is the
        client's; what stands before it the client may have made up.

        Args:
            headers: the values of all headers of that name, in their order.
        """
        addresses = [text.strip() for header in headers for text in header.split(",")]
        for text in reversed(addresses):
            try:
                address = str(plain_address(_without_port(text)))
            except ValueError:
                return None
            if not self.trust(address):
                return address
        return None


def _without_port(text: str) -> str:
    """Return an address without brackets and port, which some proxies add."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, port = text.partition(":")
    return host if colon and ":" not in port else text


def limit_group(host: str) -> str:
    """Return what limits by address count for one: an IPv4 address, or the /64 of an IPv6 one, as one site has that."""
    try:
        address = plain_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, 64), strict=False))
