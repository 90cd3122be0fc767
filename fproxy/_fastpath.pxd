"""What other compiled modules may use of the fast path."""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t
from libcpp cimport bool as bool_t


cdef extern from "backlog.hpp" namespace "fproxy" nogil:
    cdef cppclass SharedFrames:
        const char *begin
        size_t size
        void start(const char *frames, size_t length, bool_t for_one)
        void finish()


cdef extern from "scanned_message.hpp" namespace "fproxy" nogil:
    cdef cppclass ScannedMessage:
        # `is` is a word of Python's.
        bool_t is_that "is"(const char *begin, const char *end)


# The secret with which texts are hashed here: another module that takes what was scanned here needs it.
cdef uint64_t seed_of_scans() noexcept


cdef class FrameSink:
    # What distributes counts here what it has written.
    cdef readonly uint64_t events_written
    cdef readonly uint64_t bytes_written
    cdef readonly uint64_t notices_written

    # Take complete WebSocket frames; the bytes are good only until this returns. A sink that has to keep them for later
    # shares them with the others that get the same. What goes wrong is the sink's to deal with: the clients after it
    # must get theirs.
    cdef void write_frames(self, SharedFrames *frames) noexcept


cdef class MessageSink:
    # Take one whole message of an upstream; the bytes are good only until this returns. Returns its status events, or
    # None without any. Raises FrameError.
    cdef object take_message(self, const char *begin, Py_ssize_t size)

    # The last message that was taken with its events, for others who need them, as long as the message is there; null
    # where it was not scanned.
    cdef const ScannedMessage *scanned(self) noexcept
