# distutils: language = c++
"""The compiled fast path: scan, match, collect, flush. See ``_fastpath.pyi`` for what each name does."""

import logging

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as bool_t
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector

from fproxy._core_error cimport core_error

from fproxy.core.scanned_event import ScannedEvent

cdef extern from "fanout.hpp" namespace "fproxy" nogil:
    cdef cppclass Text:
        const char *data
        uint32_t length

        @staticmethod
        Text of(const char *data, size_t length)

        bool_t present() const

    cdef enum class EventKind(unsigned char):
        kMarketData
        kStatus
        kBar
        kBarSomehow

    cdef cppclass Event:
        const char *begin
        const char *end
        Text type
        Text symbol
        EventKind kind

    cdef cppclass Events:
        size_t size() const
        const Event &operator[](size_t i) const

    ctypedef bool_t (*CompactScan)(const char *begin, const char *end, Events &events)

    cdef cppclass ScanPath:
        const char *name
        CompactScan scan

    const vector[ScanPath] &scan_paths()

    cdef cppclass ScanFailure:
        size_t at
        const char *what

    cdef cppclass Scanner:
        Scanner()
        Scanner(CompactScan compact)
        bool_t scan(const char *begin, const char *end, Events &events) except +core_error
        int64_t bar_interval(const Event &event) except +core_error
        int64_t event_time(const Event &event) except +core_error
        const ScanFailure &failure() const
        uint64_t exact_messages() const

    cdef cppclass LastEvent:
        const char *begin() const
        const char *end() const


cdef extern from "buffer_pool.hpp" namespace "fproxy" nogil:
    cdef cppclass BufferPool:
        size_t bytes() const

    BufferPool &buffer_pool "fproxy::BufferPool::of_process"()


cdef extern from "clocks.hpp" namespace "fproxy" nogil:
    int64_t unix_ms()


_logger = logging.getLogger("fproxy.fastpath")

DEFAULT_MAX_MESSAGE = 256 * 1024
DEFAULT_MAX_BROADCAST = 256 * 1024

# Feeding keeps the interpreter's lock: no other thread has work meanwhile, and readers of the counters see no half of a
# change.


class ReentrancyError(RuntimeError):
    """A sink, while it was written to, called what writes to it."""


class FrameError(ValueError):
    """A message is not sound JSON, or neither an object nor an array."""


cdef object frame_error(const char *begin, size_t size, const ScanFailure &failure):
    cdef size_t at = failure.at
    excerpt = begin[max(0, <Py_ssize_t>at - 20):min(size, at + 20)]
    return FrameError(f"{failure.what.decode()} at byte {at} of {size}: ...{excerpt!r}...")


cdef object status_events(vector[pair[const char *, const char *]] &statuses):
    cdef pair[const char *, const char *] span
    if statuses.empty():
        return None
    return [span.first[:span.second - span.first] for span in statuses]


cdef object last_event_bytes(const LastEvent &event):
    return None if event.begin() == event.end() else event.begin()[:event.end() - event.begin()]


cdef class FrameSink:
    cdef void write_frames(self, SharedFrames *frames) noexcept:
        pass


cdef FrameSink _nowhere = FrameSink()


cdef extern from "text.hpp" namespace "fproxy" nogil:
    uint64_t process_seed()


cdef uint64_t seed_of_scans() noexcept:
    return process_seed()


cdef class MessageSink:
    cdef const ScannedMessage *scanned(self) noexcept:
        return NULL

    cdef object take_message(self, const char *begin, Py_ssize_t size):
        raise NotImplementedError

    def __call__(self, object payload):
        cdef Py_buffer view
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            return self.take_message(<const char *>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)


include "_history.pxi"
include "_snapshots.pxi"


# Bytes to be written to several clients, as a Python object only for those that need one.
cdef class Frames:
    cdef SharedFrames frames
    cdef bytes shared
    cdef bint being_written
    cdef size_t events
    cdef size_t notices
    cdef uint64_t deliveries
    cdef uint64_t sent_bytes

    # To be called before anything that may write, or change to whom: a sink that came back here while it is written to
    # would move the bytes and the members that the loop above it still reads.
    cdef check_idle(self):
        if self.being_written:
            raise ReentrancyError("a sink that is being written to must not feed, flush or change what writes to it")

    cdef start(self, pair[const char *, size_t] ready, size_t events, bint for_one):
        self.frames.start(ready.first, ready.second, for_one)
        self.events = events
        self.notices = 0
        self.shared = None
        self.being_written = True

    cdef finish(self):
        self.being_written = False
        self.frames.finish()
        self.shared = None

    cdef write_to(self, object sink):
        cdef FrameSink frame_sink
        if sink is _nowhere:
            return
        self.deliveries += self.events
        self.sent_bytes += self.frames.size
        if isinstance(sink, FrameSink):
            frame_sink = <FrameSink>sink
            frame_sink.events_written += self.events
            frame_sink.notices_written += self.notices
            frame_sink.bytes_written += self.frames.size
            frame_sink.write_frames(&self.frames)
            return
        try:
            if self.shared is None:
                self.shared = PyBytes_FromStringAndSize(self.frames.begin, self.frames.size)
            sink.write(self.shared)
        except Exception:
            _logger.exception("a client's sink failed; the other clients are not affected")


include "_fanout.pxi"
include "_broadcast.pxi"
include "_scan.pxi"


def buffer_bytes():
    return buffer_pool().bytes()


cdef object text_or_none(const Text &text):
    return text.data[:text.length] if text.present() else None
