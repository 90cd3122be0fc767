# distutils: language = c++
"""How much is read from an upstream at once, and when it is written. See ``_bounded_reads.pyi``."""

import asyncio

from cpython.buffer cimport PyBUF_WRITE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.memoryview cimport PyMemoryView_FromMemory

from fproxy._message_reader cimport MessageReader

cdef extern from *:
    """
    #include <sys/ioctl.h>

    // How much a socket has received that is still to be read; nothing when it cannot say.
    static inline int received_bytes(int socket) {
        int count = 0;
        return ::ioctl(socket, FIONREAD, &count) == 0 ? count : 0;
    }
    """
    int received_bytes(int socket) nogil


READ_BYTES = 1024 * 1024
BURST_BYTES = 8 * 1024 * 1024


cdef class _BoundedReads:
    cdef MessageReader _reader
    cdef object _protocol
    cdef object _get_buffer
    cdef object _buffer_updated
    cdef int _socket
    cdef Py_ssize_t _read_bytes
    cdef Py_ssize_t _burst_bytes
    cdef Py_ssize_t _asked  # by the read that is going on
    cdef Py_ssize_t _unwritten  # what has been read since all was written
    cdef bint _holding

    def __init__(
        self, transport, MessageReader reader not None, *,
        Py_ssize_t read_bytes=READ_BYTES, Py_ssize_t burst_bytes=BURST_BYTES
    ):
        if read_bytes < 1:
            raise ValueError(f"{read_bytes} bytes cannot be read at once")
        self._read_bytes = read_bytes
        self._burst_bytes = burst_bytes
        self._reader = reader
        self._protocol = protocol = transport.get_protocol()
        self._get_buffer = protocol.get_buffer
        self._buffer_updated = protocol.buffer_updated
        # Of what is encrypted, a part that waits may be too little to read anything.
        secure = transport.get_extra_info("ssl_object") is not None
        self._socket = -1 if secure else transport.get_extra_info("socket").fileno()
        transport.set_protocol(self)

    def is_buffered_protocol(self):
        return True

    def get_buffer(self, sizehint):
        cdef Py_buffer view
        cdef char *begin
        buffer = self._get_buffer(sizehint)
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        begin = <char *>view.buf
        self._asked = view.len
        PyBuffer_Release(&view)
        if self._asked <= self._read_bytes:
            return buffer
        self._asked = self._read_bytes
        return PyMemoryView_FromMemory(begin, self._read_bytes, PyBUF_WRITE)

    def buffer_updated(self, Py_ssize_t nbytes):
        self._unwritten += nbytes
        self._reader.reads_on = True
        try:
            self._buffer_updated(nbytes)
        finally:
            self._reader.reads_on = False
        if nbytes == self._asked and self._unwritten < self._burst_bytes and self._more_comes():
            return
        self._unwritten = 0
        self._reader.drain()

    # Whether the transport is sure to come back with more in the next turn of the loop.
    cdef bint _more_comes(self):
        return not self._holding and self._socket >= 0 and received_bytes(self._socket) > 0

    def hold(self, bint holding):
        self._holding = holding
        if holding:
            # Not at once: it may be a write that has us hold.
            asyncio.get_running_loop().call_soon((<object>self._reader).drain)

    def eof_received(self):
        return self._protocol.eof_received()

    def connection_lost(self, exception):
        self._reader.drain()
        protocol = self._protocol
        self._protocol = self._get_buffer = self._buffer_updated = None  # else they would go in a circle
        protocol.connection_lost(exception)

    def pause_writing(self):
        self._protocol.pause_writing()

    def resume_writing(self):
        self._protocol.resume_writing()


class BoundedReads(_BoundedReads, asyncio.BufferedProtocol):
    pass
