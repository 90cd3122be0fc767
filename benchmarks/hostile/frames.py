"""WebSocket frames by hand (RFC 6455, section 5.2): what a thousand clients in one process can afford."""

import json
from collections.abc import Iterator
from typing import Final

UPGRADE: Final = (
    b"GET /stocks HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(payload: bytes, first_byte: int = 0x81) -> bytes:
    """Return a client's frame, masked with zeros."""
    size = len(payload)
    if size < 126:
        header = bytes((first_byte, 0x80 | size))
    elif size < 1 << 16:
        header = bytes((first_byte, 0x80 | 126)) + size.to_bytes(2)
    else:
        header = bytes((first_byte, 0x80 | 127)) + size.to_bytes(8)
    return header + bytes(4) + payload


def request(action: str, params: str) -> bytes:
    """Return a client's control message as a frame."""
    return masked(json.dumps({"action": action, "params": params}).encode())


class FrameParser:
    """Cuts a server's bytes into payloads; control frames are told by their first byte."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield each frame that is whole: its first byte and its payload."""
        data, at = self._rest + data, 0
        while len(data) - at >= 2:
            size, header = data[at + 1] & 0x7F, 2
            if size >= 126:
                header = 4 if size == 126 else 10
                if len(data) - at < header:
                    break
                size = int.from_bytes(data[at + 2 : at + header])
            if len(data) - at < header + size:
                break
            yield data[at], data[at + header : at + header + size]
            at += header + size
        self._rest = data[at:]
