# distutils: language = c++
"""Timing what is read from an upstream until it is written. See ``_read_timer.pyi``."""

import logging

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    #include <cstdint>
    #include <ctime>
    static inline int64_t clock_nanoseconds(clockid_t clock) {
        timespec now;
        clock_gettime(clock, &now);
        return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
    }
    static inline int64_t steady_nanoseconds() { return clock_nanoseconds(CLOCK_MONOTONIC); }
    static inline int64_t unix_nanoseconds() { return clock_nanoseconds(CLOCK_REALTIME); }
    """
    int64_t steady_nanoseconds() nogil
    int64_t unix_nanoseconds() nogil


_logger = logging.getLogger("fproxy.upstream")

cdef int64_t SAMPLE_INTERVAL = 10_000_000  # ns

BUCKET_ENDS = tuple(LatencyHistogram.end_of(bucket) / 1e9 for bucket in range(BUCKETS - 1)) + (float("inf"),)


cdef tuple counts_of(const LatencyHistogram &histogram):
    cdef size_t bucket
    return tuple([histogram.count(bucket) for bucket in range(BUCKETS)])


cdef class ReadTimer:
    def __init__(self, last_event_time):
        self._last_event_time = last_event_time

    cdef void start(self) noexcept:
        if not self._reading:
            self._reading = True
            self._began = steady_nanoseconds()

    cdef void stop(self) noexcept:
        cdef int64_t now
        if not self._reading:
            return
        self._reading = False
        now = steady_nanoseconds()
        self._read_to_write.record(<uint64_t>max(0, now - self._began))
        if now - self._sampled >= SAMPLE_INTERVAL:
            self._sampled = now
            self._sample()

    # How old the last event was when it was written; now and then, as its time has to be looked for in its text.
    cdef void _sample(self) noexcept:
        try:
            time = self._last_event_time()
            if time is not None:
                # The vendor's clock may be ahead of ours.
                self._event_to_write.record(<uint64_t>max(0, unix_nanoseconds() - <int64_t>time * 1_000_000))
        except Exception:
            _logger.exception("the time of an event could not be looked at")

    @property
    def read_to_write(self):
        return counts_of(self._read_to_write), self._read_to_write.sum_nanoseconds() / 1e9

    @property
    def event_to_write(self):
        return counts_of(self._event_to_write), self._event_to_write.sum_nanoseconds() / 1e9
