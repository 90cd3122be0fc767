# distutils: language = c++
"""Writing to clients' sockets without the interpreter. See ``_socket_writer.pyi``."""

import logging
from collections import deque

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libcpp cimport bool as bool_t
from libcpp.pair cimport pair

from fproxy._core_error cimport core_error
from fproxy._fastpath cimport FrameSink, SharedFrames

cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from *:
    """
    #include <cerrno>
    #include <cstddef>
    #include <sys/socket.h>
    #include <sys/types.h>
    #include <sys/uio.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
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
    """
    long send_some(int socket, const char *data, size_t size) nogil
    long send_vectors(int socket, iovec *vectors, size_t count) nogil

cdef extern from "clocks.hpp" namespace "fproxy" nogil:
    int64_t coarse_monotonic_ms()
    int64_t unix_ms()

cdef extern from "held_back.hpp" namespace "fproxy" nogil:
    cdef cppclass ScannedFrames:
        bool_t scan(const SharedFrames &frames, int64_t now) except +core_error

    cdef cppclass HeldBack:
        HeldBack(bool_t conflates) except +core_error
        void take(const ScannedFrames &frames) except +core_error
        size_t bytes() const
        uint64_t dropped() const
        uint64_t replaced() const
        pair[const char *, size_t] finish(size_t max_payload) except +core_error


include "_backlog_pool.pxi"


_logger = logging.getLogger("fproxy.server")

GOODBYE_BYTES = 256 * 1024
TRANSPORT_BYTES = 64 * 1024
CONFLATE_BYTES = 512 * 1024
BLOCK_BYTES = 1024 * 1024
REPLY_BYTES = 1024 * 1024
READ_BYTES = 32 * 1024 * 1024

cdef size_t _goodbye_bytes = GOODBYE_BYTES
cdef size_t _transport_bytes = TRANSPORT_BYTES
cdef size_t REPLY_BYTES_ = REPLY_BYTES
cdef size_t READ_BYTES_ = READ_BYTES
cdef size_t BLOCK_BYTES_ = BLOCK_BYTES
# How much is sent to a client in one turn of the loop: the others want theirs too.
cdef size_t MOST_IN_A_TURN = 1024 * 1024
cdef size_t MAX_PAYLOAD = 256 * 1024
cdef enum:
    MOST_VECTORS = 64

cdef enum Policy:
    DISCONNECT
    DROP
    CONFLATE
    BLOCK

cdef dict _policies = {"disconnect": DISCONNECT, "drop": DROP, "conflate": CONFLATE, "block": BLOCK}


# RFC 6455, section 5.5: they may come between the messages that are held back and those before them.
cdef bint is_ping_or_pong(const char *frames) noexcept:
    return (frames[0] & 0x0F) in (0x9, 0xA)


# The backlog needs its pool to the last, so the garbage collector must not take that away first.
@cython.no_gc_clear
cdef class SocketWriter(FrameSink):
    cdef readonly uint64_t dropped_events
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
    cdef bint _untold  # it was given up for its slowness, which its owner is still to be told
    cdef size_t _gave_up  # how much waited then
    cdef Policy _policy
    cdef HeldBack *_held  # what is held back while the client lags; NULL while nothing is
    cdef size_t _hold_above  # with so much waiting
    cdef object _block
    cdef bint _blocking

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
        self._forget_held()
        del self._backlog

    @property
    def waiting_bytes(self):
        return self._gave_up if self._untold else self._waiting()

    cdef size_t _waiting(self) noexcept:
        return self._backlog.bytes() + (0 if self._held == NULL else self._held.bytes())

    def use_policy(self, str policy not None, *, size_t max_bytes, block=None):
        if policy == "block" and block is None:
            raise ValueError("what is to be blocked?")
        if self._blocking:
            self._set_blocking(False)
        self._policy = _policies[policy]
        self._max_bytes = max_bytes
        self._block = block
        self._backlog.exempt(self._policy == BLOCK)
        self._hold_above = min(max_bytes, CONFLATE_BYTES) if self._policy == CONFLATE else max_bytes

    @property
    def lag(self):
        return 0.0 if self._backlog.empty() else max(0, coarse_monotonic_ms() - self._backlog.since()) / 1000

    cdef void write_frames(self, SharedFrames *frames) noexcept:
        if not self._accepting or self._untold:
            return
        if self._held != NULL or (
            self._policy in (DROP, CONFLATE)
            and not self._backlog.empty()
            and self._backlog.bytes() + frames.size > self._hold_above
        ):
            self._hold_back(frames)
            return
        self._send_or_keep(frames)

    cdef void _send_or_keep(self, SharedFrames *frames) noexcept:
        cdef long sent = 0
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
        self._keep_to_limit()

    cdef void _keep_to_limit(self) noexcept:
        cdef size_t limit = self._max_bytes
        if self._policy == BLOCK:
            limit += READ_BYTES_
        elif self._policy != DISCONNECT:
            limit += REPLY_BYTES_
        if self._waiting() > limit and not self._was_cut:
            self.lag_too_far("bytes")
        elif self._policy == BLOCK and not self._blocking and self._backlog.bytes() > BLOCK_BYTES_:
            self._set_blocking(True)
        self._pool.keep_to_limit()

    cdef void _set_blocking(self, bint blocking) noexcept:
        self._blocking = blocking
        try:
            self._block(blocking)
        except Exception:
            _logger.exception("an upstream could not be held up or let go")

    # Keep of it what the policy wants, and count the rest.
    cdef void _hold_back(self, SharedFrames *frames) noexcept:
        cdef size_t before
        cdef uint64_t dropped, replaced
        try:
            if not self._pool._scanned.scan(frames[0], unix_ms()):
                raise ValueError("not sound JSON")
            self._begin_to_hold()
            before, dropped, replaced = self._held.bytes(), self._held.dropped(), self._held.replaced()
            self._held.take(self._pool._scanned[0])
            self._pool._pool.held_bytes += self._held.bytes() - before
            self._pool.dropped_events += self._held.dropped() - dropped
            self.dropped_events += self._held.dropped() - dropped
            self._pool.replaced_events += self._held.replaced() - replaced
        except Exception:
            _logger.exception("a client's messages could not be held back, and its connection is dropped")
            self._drop()
            return
        self._keep_to_limit()

    cdef _begin_to_hold(self):
        if self._held == NULL:
            self._held = new HeldBack(self._policy == CONFLATE)
            self._pool._pool.held_bytes += self._held.bytes()

    # Send what was held back, or let it wait behind what does.
    cdef void _let_go(self) noexcept:
        cdef HeldBack *held = self._held
        cdef SharedFrames alone
        cdef pair[const char *, size_t] ready
        self._held = NULL
        self._pool._pool.held_bytes -= held.bytes()
        try:
            ready = held.finish(MAX_PAYLOAD)
            if ready.second != 0:
                alone.start(ready.first, ready.second, True)
                self._send_or_keep(&alone)
        except Exception:
            _logger.exception("what was held back from a client failed, and its connection is dropped")
            self._drop()
        finally:
            del held

    cdef void _forget_held(self) noexcept:
        if self._held != NULL:
            self._pool._pool.held_bytes -= self._held.bytes()
            del self._held
            self._held = NULL

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
        if self._backlog.empty() and self._held != NULL:
            self._let_go()
        if self._backlog.empty():
            self._all_sent()
        elif self._socket < 0:
            # A transport that has taken so much at once has not paused its protocol, and so never resumes it.
            self._loop.call_soon(self._send_waiting)

    cdef _all_sent(self):
        self._stop_watching()
        if self._blocking:
            self._set_blocking(False)
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
        if reason == "lag" and self._policy in (DROP, CONFLATE) and self._accepting:
            # What waits is still sent; what comes from now on is held back.
            self._backlog.renew(coarse_monotonic_ms())
            self._begin_to_hold()
            return
        if self._was_cut or self._too_slow is None:
            self._drop()
            return
        self._was_cut = True
        try:
            self._pool.tell(self, reason)
        except Exception:
            _logger.exception("a slow client could not be told, and its connection is dropped")
            self._drop()

    # Take no more memory until the owner is told.
    cdef give_up(self):
        self._gave_up = self._waiting()
        self._untold = True
        self._forget_held()
        self._backlog.cut(coarse_monotonic_ms())

    cdef tell(self, str reason):
        if self._too_slow is not None:
            self._too_slow(reason)
        self._untold = False

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
        if not self._accepting or self._untold:
            return
        if self._held != NULL and not is_ping_or_pong(PyBytes_AS_STRING(frames)):
            self._let_go()
        alone.start(PyBytes_AS_STRING(frames), PyBytes_GET_SIZE(frames), True)
        self._send_or_keep(&alone)

    def resume(self):
        if self._socket < 0 and self._transport is not None:
            self._send_waiting()

    def cut(self):
        self._untold = False
        self._forget_held()
        self._backlog.cut(coarse_monotonic_ms())
        return self._backlog.bytes() <= _goodbye_bytes

    def finish(self):
        if self._held != NULL:
            self._let_go()
        self._accepting = False
        if self._blocking:
            self._set_blocking(False)

    def when_drained(self, drained not None):
        if self._backlog.empty():
            drained()
        else:
            self._drained = drained

    def stop(self):
        self._accepting = False
        self._forget_held()
        self._backlog.clear()
        if self._blocking:
            self._set_blocking(False)
        self._block = None
        if self._loop is not None:
            self._stop_watching()
        self._socket = -1
        self._loop = self._transport = self._too_slow = self._drained = None
