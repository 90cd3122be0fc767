"""Handing on an upstream's messages without the interpreter."""

from collections.abc import Callable

from picows import WSFrame, WSTransport

from fproxy._fastpath import FrameError, MessageSink
from fproxy._read_timer import ReadTimer

class MessageReader:
    """Takes the frames of one upstream's connection, and hands on the messages in them.

    A frame that is a whole message costs no Python object and no call of Python code, when ``take`` is a compiled sink.

    Args:
        take: gets each whole message and returns its status events, if any, each as it came. The memoryview that a
            plain callable gets points into the read buffer, and is good only until it returns.
        statuses_came: gets the status events of a message that has some.
        drained: called behind the last frame of each read, or of several: see ``BoundedReads``.
        other_frame: gets each frame that is no whole message, or that comes while ``at_message_start`` is false.
        unsound: gets the FrameError that ``take`` raised.
        failed: called while any other exception of ``take`` or ``drained`` is handled, with its consequence in words.
        timer: counts how long it takes from the first frame until ``drained`` returns; None for nobody.

    Attributes:
        at_message_start: whether the next data frame begins a message that should be handed on. To be set to false
            within a message of several frames, and once the connection is ending.
        holding: whether messages are kept for :meth:`take_held`, because what came before them has still to be done.
        messages: how many messages have been handed on, those of several frames included.
        bytes_read: how many bytes they had.
    """

    at_message_start: bool
    holding: bool
    @property
    def messages(self) -> int: ...
    @property
    def bytes_read(self) -> int: ...
    def __init__(
        self,
        *,
        take: MessageSink | Callable[[memoryview], list[bytes] | None],
        statuses_came: Callable[[list[bytes]], None],
        drained: Callable[[], None],
        other_frame: Callable[[WSTransport, WSFrame], None],
        unsound: Callable[[FrameError], None],
        failed: Callable[[str], None],
        timer: ReadTimer | None = None,
    ) -> None: ...
    def frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame; what picows calls as ``on_ws_frame``. Raises what ``other_frame`` raises."""

    def drain(self) -> None:
        """Call ``drained`` if messages have come since it was called."""

    def message(self, payload: bytes) -> None:
        """Take a message that was put together from several frames."""

    def take_held(self) -> bool:
        """Hand on the first of the messages that are kept, as if it were a read; return whether there was one."""

    def release(self) -> None:
        """Hold no longer; what is still kept is forgotten. A read that was held up counts as drained now."""
