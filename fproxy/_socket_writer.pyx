# distutils: language = c++
"""Writing to a client's socket without the interpreter. See ``_socket_writer.pyi``."""

import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t

from fproxy._fastpath cimport FrameSink

cdef extern from *:
    """
    #include <cstddef>
    #include <sys/socket.h>
    #include <sys/types.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    // How much of the bytes the socket took; zero too for an error, which the transport will meet and report.
    static inline long send_some(int socket, const char *bytes, std::size_t size) {
        const ssize_t sent = ::send(socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        return sent < 0 ? 0 : static_cast<long>(sent);
    }
    """
    long send_some(int socket, const char *data, size_t size) nogil


_logger = logging.getLogger("fproxy.server")


cdef class SocketWriter(FrameSink):
    cdef int _socket
    cdef object _transport_write
    cdef object _transport_abort
    cdef object _waiting_bytes
    # Whether the transport may have something waiting, which must go first.
    cdef bint _transport_busy

    def __init__(self, transport not None):
        connection = transport.get_extra_info("socket")
        secure = transport.get_extra_info("ssl_object") is not None
        self._socket = -1 if secure or connection is None else connection.fileno()
        self._transport_write = transport.write
        self._transport_abort = transport.abort
        self._waiting_bytes = transport.get_write_buffer_size
        self._transport_busy = True

    cdef void write_frames(self, const char *frames, size_t size) noexcept:
        cdef size_t sent = 0
        if self._transport_busy:
            self._write_by_transport(frames, size)
            return
        sent = send_some(self._socket, frames, size)
        if sent != size:
            self._transport_busy = True
            self._write_by_transport(frames + sent, size - sent)

    # Behind what the transport has waiting, if it still has.
    cdef void _write_by_transport(self, const char *frames, size_t size) noexcept:
        if self._transport_write is None:
            return
        try:
            self._transport_write(PyBytes_FromStringAndSize(frames, size))
            self._transport_busy = self._socket < 0 or self._waiting_bytes() != 0
        except Exception:
            # Part of a frame may be out: what follows could not be understood.
            _logger.exception("a client's transport failed, and its connection is dropped; no other is affected")
            self._drop()

    cdef void _drop(self) noexcept:
        abort = self._transport_abort
        self.stop()
        try:
            abort()
        except Exception:
            _logger.exception("a client's transport could not be dropped")

    def write(self, bytes frames not None):
        self.write_frames(PyBytes_AS_STRING(frames), PyBytes_GET_SIZE(frames))

    def stop(self):
        self._socket = -1
        self._transport_busy = True
        self._transport_write = None
        self._transport_abort = None
        self._waiting_bytes = None
