"""What our servers say on the wire: their name, and frames.

A server's frames are unmasked, so that one serves many clients (RFC 6455, section 5.2).
"""

from typing import Final

SERVER_NAME: Final = "fproxy"
"""What our servers call themselves in the handshake's ``Server`` header (RFC 9110, section 10.2.4)."""

PING_FRAME: Final = b"\x89\x00"
"""A whole ping frame without a payload."""

_FINAL_TEXT: Final = b"\x81"


def text_frame(payload: bytes) -> bytes:
    """Return one whole, final, unmasked text frame.

    Args:
        payload: the message, UTF-8 of any length.
    """
    length = len(payload)
    if length < 126:
        return _FINAL_TEXT + length.to_bytes(1) + payload
    if length < 1 << 16:
        return _FINAL_TEXT + b"\x7e" + length.to_bytes(2) + payload
    return _FINAL_TEXT + b"\x7f" + length.to_bytes(8) + payload
