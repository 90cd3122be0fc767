"""WebSocket messages out of frames: whole ones, and those that come in fragments with control frames
between."""

from websockets.frames import Frame, Opcode


class MessageAssembler:
    """Puts one connection's messages together; the parser of its frames has checked their order and size."""

    __slots__ = ("_fragments", "_is_text")

    def __init__(self) -> None:
        # None between messages.
        self._fragments: bytearray | None = None
        self._is_text = False

    def received(self, frame: Frame) -> str | bytes | None:
        """Take the next frame. Return the message that it ends: text as str; None when it ends none.

        Raises:
            UnicodeDecodeError: a text message is not UTF-8.
        """
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                return self._message(frame.data)
            self._fragments = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT and self._fragments is not None:
            self._fragments += frame.data
            if frame.fin:
                whole, self._fragments = self._fragments, None
                return self._message(whole)
        return None

    def _message(self, payload: bytes | bytearray | memoryview) -> str | bytes:
        return str(payload, "utf-8") if self._is_text else bytes(payload)
