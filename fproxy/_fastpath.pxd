"""What other compiled modules may use of the fast path."""


cdef class FrameSink:
    # Take complete WebSocket frames; the bytes are good only until this returns.
    cdef int write_frames(self, const char *frames, size_t size) except -1
