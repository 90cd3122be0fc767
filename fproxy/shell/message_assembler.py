"""WebSocket messages out of frames: whole ones, and those that come in fragments with control frames
between."""

import codecs
from typing import Final

from websockets.frames import Frame, Opcode

from fproxy.core.long_request import LONG_MESSAGE, LongMessage

_utf_8: Final = codecs.getincrementaldecoder("utf-8")


class MessageAssembler:
    """Puts one connection's messages together; the parser of its frames has checked their order and size.

    A message that comes in many fragments is never put together to one: it is kept in pieces, which are decoded as they
    come.
    """

    __slots__ = ("_broken_at", "_decoder", "_fragments", "_is_text", "_pieces", "_taken")

    def __init__(self) -> None:
        # What has come of a message in fragments, and is not in a piece yet; None between messages.
        self._fragments: bytearray | None = None
        self._is_text = False
        self._pieces: list[str] = []
        self._decoder = _utf_8()
        self._taken = 0  # bytes that the decoder was given
        self._broken_at: int | None = None  # the byte at which a binary message stops being UTF-8

    def received(self, frame: Frame) -> str | bytes | LongMessage | None:
        """Take the next frame. Return the message that it ends: text as str; None when it ends none.

        Raises:
            UnicodeDecodeError: a text message is not UTF-8.
        """
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                return self._whole(frame.data)
            self._fragments = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._fragments is not None:
            self._fragments += frame.data
            if frame.fin:
                return self._put_together()
        if self._fragments is not None and len(self._fragments) > LONG_MESSAGE:
            self._cut_piece(self._fragments)
            self._fragments = bytearray()
        return None

    def _put_together(self) -> str | bytes | LongMessage:
        rest, self._fragments = self._fragments or b"", None
        if not self._pieces and self._broken_at is None:
            return self._whole(rest)
        self._cut_piece(rest, final=True)
        message = LongMessage(tuple(self._pieces), self._broken_at)
        self._pieces.clear()
        self._decoder.reset()
        self._taken, self._broken_at = 0, None
        return message

    def _cut_piece(self, payload: bytes | bytearray, *, final: bool = False) -> None:
        if self._broken_at is not None:
            return
        begin = self._taken - len(self._decoder.getstate()[0])
        try:
            self._pieces.append(self._decoder.decode(payload, final))
        except UnicodeDecodeError as error:
            if self._is_text:
                raise
            self._broken_at = begin + error.start
            self._pieces.clear()
        self._taken += len(payload)

    def _whole(self, payload: bytes | bytearray | memoryview) -> str | bytes:
        return str(payload, "utf-8") if self._is_text else bytes(payload)
