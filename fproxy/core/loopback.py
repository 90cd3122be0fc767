"""What is on this machine: hosts that only it can reach, and the origins of web pages that it serves itself."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on ``host`` (an address or a name)."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_origin(origin: str) -> bool:
    """Return whether a web page is served by this machine.

    Args:
        origin: the page's origin as browsers send it (RFC 6454, section 7): ``http://localhost:3000``, or ``null``
            for a page whose origin they do not tell, such as a file.
    """
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)
