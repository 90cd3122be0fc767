"""What other compiled modules may use of the timer of reads."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

cdef extern from "latency_histogram.hpp" namespace "fproxy" nogil:
    cdef cppclass LatencyHistogram:
        void record(uint64_t nanoseconds)
        uint64_t count(size_t bucket) const
        uint64_t sum_nanoseconds() const

        @staticmethod
        uint64_t end_of(size_t bucket)

    const size_t BUCKETS "fproxy::LatencyHistogram::kBuckets"


cdef class ReadTimer:
    cdef LatencyHistogram _read_to_write
    cdef LatencyHistogram _event_to_write
    cdef object _last_event_time
    cdef int64_t _began
    cdef int64_t _sampled
    cdef bint _reading

    # The first frame of a read is about to be handed on.
    cdef void start(self) noexcept

    # Everything that the read brought has been written.
    cdef void stop(self) noexcept

    cdef void _sample(self) noexcept
