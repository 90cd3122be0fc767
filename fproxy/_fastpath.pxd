"""What other compiled modules may use of the fast path."""


cdef class FrameSink:
    # Take complete WebSocket frames; the bytes are good only until this returns. What goes wrong is the sink's to deal
    # with: the clients after it must get theirs.
    cdef void write_frames(self, const char *frames, size_t size) noexcept
