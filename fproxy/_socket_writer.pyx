# distutils: language = c++
"""Writing to clients' sockets without the interpreter. See ``_socket_writer.pyi``."""

import logging

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from fproxy._fastpath cimport FrameSink, SharedFrames

cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "backlog.hpp" namespace "fproxy" nogil:
    cdef cppclass CppBacklog "fproxy::Backlog":
        CppBacklog(CppBacklogPool &pool, void *owner) except +
        void *owner() const
        void exempt()
        bint empty() const
        size_t bytes() const
        size_t rest_of_frame() const
        int64_t since() const
        void keep(SharedFrames &frames, size_t sent, int64_t now) except +
        size_t gather(iovec *vectors, size_t most_vectors, size_t most_bytes) const
        void consume(size_t sent)
        void cut(int64_t now)
        void clear()

    cdef cppclass EvictionOrder "fproxy::EvictionOrder<fproxy::Backlog>":
        CppBacklog *oldest()

    cdef cppclass CppBacklogPool "fproxy::BacklogPool":
        EvictionOrder order
        size_t waiting_bytes
        size_t lagging
        size_t bytes() const

cdef extern from *:
    """
    #include <cerrno>
    #include <cstddef>
    #include <cstdint>
    #include <ctime>
    #include <sys/socket.h>
    #include <sys/types.h>
    #include <sys/uio.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #ifndef CLOCK_MONOTONIC_COARSE
    #define CLOCK_MONOTONIC_COARSE CLOCK_MONOTONIC
    #endif

    static inline long sent_or_failed(ssize_t sent) {
        if (sent >= 0) return static_cast<long>(sent);
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS ? 0 : -1;
    }

    // How much of the bytes the socket took; less than zero for an error of the connection.
    static inline long send_some(int socket, const char *bytes, std::size_t size) {
        return sent_or_failed(::send(socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL));
    }

    static inline long send_vectors(int socket, iovec *vectors, std::size_t count) {
        msghdr message{};
        message.msg_iov = vectors;
        message.msg_iovlen = count;
        return sent_or_failed(::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    }

    // In milliseconds, to a few of them: much cheaper than to the nanosecond.
    static inline std::int64_t coarse_monotonic_ms() {
        timespec now;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
    }
    """
    long send_some(int socket, const char *data, size_t size) nogil
    long send_vectors(int socket, iovec *vectors, size_t count) nogil
    int64_t coarse_monotonic_ms() nogil


_logger = logging.getLogger("fproxy.server")

GOODBYE_BYTES = 256 * 1024
TRANSPORT_BYTES = 64 * 1024

cdef size_t _goodbye_bytes = GOODBYE_BYTES
cdef size_t _transport_bytes = TRANSPORT_BYTES
# How much is sent to a client in one turn of the loop: the others want theirs too.
cdef size_t MOST_IN_A_TURN = 1024 * 1024
cdef enum:
    MOST_VECTORS = 64


cdef class BacklogPool:
    cdef CppBacklogPool *_pool
    cdef readonly size_t max_bytes
    cdef bint _evicting

    def __cinit__(self, *, size_t max_bytes):
        self._pool = new CppBacklogPool()
        self.max_bytes = max_bytes

    def __dealloc__(self):
        del self._pool

    @property
    def bytes(self):
        return self._pool.bytes()

    @property
    def waiting_bytes(self):
        return self._pool.waiting_bytes

    @property
    def lagging(self):
        return self._pool.lagging

    @property
    def lag(self):
        cdef CppBacklog *oldest = self._pool.order.oldest()
        return 0.0 if oldest == NULL else max(0, coarse_monotonic_ms() - oldest.since()) / 1000

    def evict_lagging(self, double max_lag):
        cdef int64_t latest = coarse_monotonic_ms() - <int64_t>(max_lag * 1000)
        cdef CppBacklog *oldest
        self._evicting = True
        try:
            while True:
                oldest = self._pool.order.oldest()
                if oldest == NULL or oldest.since() >= latest:
                    return
                (<SocketWriter>oldest.owner()).lag_too_far("lag")
        finally:
            self._evicting = False

    # To be called when something was kept.
    cdef void keep_to_limit(self) noexcept:
        cdef CppBacklog *oldest
        if self._pool.bytes() <= self.max_bytes or self._evicting:
            return
        self._evicting = True
        while self._pool.bytes() > self.max_bytes:
            oldest = self._pool.order.oldest()
            if oldest == NULL:
                break
            (<SocketWriter>oldest.owner()).lag_too_far("memory")
        self._evicting = False


# The backlog needs its pool to the last, so the garbage collector must not take that away first.
@cython.no_gc_clear
cdef class SocketWriter(FrameSink):
    cdef BacklogPool _pool
    cdef CppBacklog *_backlog
    cdef int _socket
    cdef object _loop
    cdef object _transport
    cdef object _too_slow
    cdef object _drained
    cdef size_t _max_bytes
    cdef bint _accepting
    cdef bint _watching  # whether the loop tells when the socket takes more
    cdef bint _was_cut

    def __cinit__(self, transport not None, BacklogPool pool not None, **options):
        self._pool = pool
        self._backlog = new CppBacklog(pool._pool[0], <void *>self)

    def __init__(self, transport, pool, *, loop, size_t max_bytes, too_slow):
        connection = transport.get_extra_info("socket")
        secure = transport.get_extra_info("ssl_object") is not None
        self._socket = -1 if secure or connection is None else connection.fileno()
        self._loop = loop
        self._transport = transport
        self._too_slow = too_slow
        self._max_bytes = max_bytes
        self._accepting = True

    def __dealloc__(self):
        del self._backlog

    @property
    def waiting_bytes(self):
        return self._backlog.bytes()

    @property
    def lag(self):
        return 0.0 if self._backlog.empty() else max(0, coarse_monotonic_ms() - self._backlog.since()) / 1000

    cdef void write_frames(self, SharedFrames *frames) noexcept:
        cdef long sent = 0
        if not self._accepting:
            return
        if self._backlog.empty():
            if self._socket >= 0:
                sent = send_some(self._socket, frames.begin, frames.size)
                if sent == <long>frames.size:
                    return
            else:
                sent = self._write_to_transport(frames.begin, frames.size)
            if sent < 0:
                self._drop()
                return
        if <size_t>sent != frames.size:
            self._keep(frames, sent)

    cdef void _keep(self, SharedFrames *frames, size_t sent) noexcept:
        try:
            self._backlog.keep(frames[0], sent, coarse_monotonic_ms())
            if not self._watching and self._socket >= 0:
                self._loop.add_writer(self._socket, self._send_waiting)
                self._watching = True
        except Exception:
            # Part of a frame may be out: what follows could not be understood.
            _logger.exception("a client's backlog failed, and its connection is dropped; no other is affected")
            self._drop()
            return
        if self._backlog.bytes() > self._max_bytes and not self._was_cut:
            self.lag_too_far("bytes")
        self._pool.keep_to_limit()

    # How much of it the transport takes: all or nothing; less than zero when it failed.
    cdef long _write_to_transport(self, const char *data, size_t size) noexcept:
        try:
            if self._transport.get_write_buffer_size() >= _transport_bytes:
                return 0  # it calls resume_writing
            self._transport.write(PyBytes_FromStringAndSize(data, size))
            return size
        except Exception:
            _logger.exception("a client's transport failed, and its connection is dropped; no other is affected")
            return -1

    def _send_waiting(self):
        cdef iovec vectors[MOST_VECTORS]
        cdef size_t count, i, asked, left = MOST_IN_A_TURN
        cdef long sent
        while left != 0 and not self._backlog.empty():
            count = self._backlog.gather(vectors, MOST_VECTORS if self._socket >= 0 else 1, left)
            asked = 0
            for i in range(count):
                asked += vectors[i].iov_len
            if self._socket >= 0:
                sent = send_vectors(self._socket, vectors, count)
            else:
                sent = self._write_to_transport(<const char *>vectors[0].iov_base, asked)
            if sent < 0:
                self._drop()
                return
            self._backlog.consume(sent)
            if <size_t>sent != asked:
                return
            left -= asked
        if self._backlog.empty():
            self._all_sent()

    cdef _all_sent(self):
        self._stop_watching()
        self._was_cut = False
        drained, self._drained = self._drained, None
        if drained is not None:
            drained()

    cdef _stop_watching(self):
        if self._watching:
            self._watching = False
            self._loop.remove_writer(self._socket)

    # The client has to catch up or to go. Once, it may take what it needs to be told so.
    cdef void lag_too_far(self, str reason) noexcept:
        if self._was_cut or self._too_slow is None:
            self._drop()
            return
        self._was_cut = True
        try:
            self._too_slow(reason)
        except Exception:
            _logger.exception("a slow client could not be told, and its connection is dropped")
            self._drop()

    cdef void _drop(self) noexcept:
        transport = self._transport
        try:
            self.stop()
            if transport is not None:
                transport.abort()
        except Exception:
            _logger.exception("a client's transport could not be dropped")

    def write(self, bytes frames not None):
        cdef SharedFrames alone
        alone.start(PyBytes_AS_STRING(frames), PyBytes_GET_SIZE(frames), True)
        self.write_frames(&alone)

    def set_max_bytes(self, size_t max_bytes):
        self._max_bytes = max_bytes

    def resume(self):
        if self._socket < 0 and self._transport is not None:
            self._send_waiting()

    def cut(self):
        self._backlog.cut(coarse_monotonic_ms())
        return self._backlog.bytes() <= _goodbye_bytes

    def finish(self):
        self._accepting = False

    def when_drained(self, drained not None):
        if self._backlog.empty():
            drained()
        else:
            self._drained = drained

    def stop(self):
        self._accepting = False
        self._backlog.clear()
        if self._loop is not None:
            self._stop_watching()
        self._socket = -1
        self._loop = self._transport = self._too_slow = self._drained = None
