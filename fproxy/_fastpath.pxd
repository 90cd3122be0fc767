"""What other compiled modules may use of the fast path."""


cdef class FrameSink:
    # Take complete WebSocket frames; the bytes are good only until this returns. What goes wrong is the sink's to deal
    # with: the clients after it must get theirs.
    cdef void write_frames(self, const char *frames, size_t size) noexcept


cdef class MessageSink:
    # Take one whole message of an upstream; the bytes are good only until this returns. Returns its status events, or
    # None without any. Raises FrameError.
    cdef object take_message(self, const char *begin, Py_ssize_t size)
