"""Cutting long frames of clients into fragments, so that whatever parses frames never takes a long one in one go.

A frame and its fragments say the same (RFC 6455, section 5.4). The fragments keep the frame's mask, as each but the
last is a multiple of the mask's four bytes: only headers are written anew, and the payload is passed on as it comes.
"""

from typing import Final

FRAGMENT_BYTES: Final = 16 * 1024
"""The payload of a fragment but the last, in bytes: some ten microseconds' work."""

_FINAL: Final = 0x80
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_MASK_BYTES: Final = 4
_LENGTH_BYTES: Final = {126: 2, 127: 8}
"""How many bytes the length has behind the second byte, by what that has in its place."""

_DATA_OPCODES: Final = frozenset((0, 1, 2))
"""Continuation, text and binary: control frames cannot be fragmented."""


class FramePieces:
    """The frames of one client's connection, each long one cut into fragments."""

    __slots__ = ("_first_byte", "_header", "_left", "_left_of_fragment", "_mask", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        """Begin at the start of a frame.

        Args:
            max_bytes: the longest payload that is cut; a longer one is to be refused, which its header is enough for.
        """
        self._max_bytes = max_bytes
        self._header = bytearray()  # the part of a header that has come
        # Bytes of the payload of the frame that is being cut that come behind the present fragment.
        self._left = 0
        self._left_of_fragment = 0  # bytes of the present fragment's payload that are still to come
        self._mask = b""  # of the frame that is being cut
        self._first_byte = 0  # of the next fragment's header, but for the bit that says that it is the last

    @property
    def bytes_left(self) -> int:
        """How many bytes the present frame or fragment still has: so many contain no other frame."""
        return self._left_of_fragment

    def feed(self, data: bytes) -> bytes:
        """Return frames that say what those of ``data`` do, as far as they have come.

        Args:
            data: the next bytes of the client's frames, of any number, cut anywhere.
        """
        if not self._header and len(data) <= self._left_of_fragment:
            self._left_of_fragment -= len(data)
            return data
        parts: list[bytes] = []
        at = 0
        while at < len(data):
            if self._left_of_fragment:
                end = min(len(data), at + self._left_of_fragment)
                parts.append(data[at:end])
                self._left_of_fragment -= end - at
                at = end
            elif self._left:
                parts.append(self._next_fragment())
            else:
                at = self._take_header(data, at, parts)
        return b"".join(parts)

    def _take_header(self, data: bytes, at: int, parts: list[bytes]) -> int:
        """Take what there is of a header, from ``at`` on; pass it on when it is whole. Return where it ends."""
        header = self._header
        while at < len(data) and (missing := self._header_bytes() - len(header)):
            header += data[at : at + missing]
            at = min(at + missing, len(data))
        if len(header) == self._header_bytes():
            self._begin(parts)
            header.clear()
        return at

    def _header_bytes(self) -> int:
        """Return how much is needed of the header of which some has come: with its mask for a frame that is cut.

        See RFC 6455, section 5.2. What begins a header says how long it is, so this grows while it comes.
        """
        header = self._header
        if len(header) < 2:
            return 2
        end = _length_end(header)
        if len(header) < end:
            return end
        is_cut = (
            FRAGMENT_BYTES < _payload_bytes(header) <= self._max_bytes
            and header[1] & _MASKED
            and header[0] & _OPCODE in _DATA_OPCODES
        )
        return end + _MASK_BYTES if is_cut else end

    def _begin(self, parts: list[bytes]) -> None:
        header = self._header
        end, length = _length_end(header), _payload_bytes(header)
        if len(header) > end:
            self._left = length
            self._mask = bytes(header[end:])
            self._first_byte = header[0]
            parts.append(self._next_fragment())
        else:
            parts.append(bytes(header))
            self._left_of_fragment = length + (_MASK_BYTES if header[1] & _MASKED else 0)

    def _next_fragment(self) -> bytes:
        """Begin the next fragment of the present frame; return its header."""
        length = min(self._left, FRAGMENT_BYTES)
        self._left -= length
        self._left_of_fragment = length
        first_byte = self._first_byte if self._left == 0 else self._first_byte & ~_FINAL
        # Those behind the first continue it, and are the last when the whole frame was.
        self._first_byte &= _FINAL
        return bytes((first_byte, _MASKED | 126)) + length.to_bytes(2) + self._mask


def _length_end(header: bytearray) -> int:
    """Return where the length ends in a header of which at least two bytes have come (RFC 6455, section 5.2)."""
    return 2 + _LENGTH_BYTES.get(header[1] & _LENGTH, 0)


def _payload_bytes(header: bytearray) -> int:
    """Return how long the payload is, from a header whose length has come."""
    end = _length_end(header)
    return int.from_bytes(header[2:end]) if end > 2 else header[1] & _LENGTH
