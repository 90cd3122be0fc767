# distutils: language = c++
"""Handing on an upstream's messages without the interpreter. See ``_message_reader.pyi``."""

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from picows.picows cimport WSFrame, WSMsgType

from fproxy._fastpath cimport MessageSink
from fproxy._read_timer cimport ReadTimer

from collections import deque

import picows

from fproxy._fastpath import FrameError

cdef extern from *:
    """
    #ifndef FPROXY_PICOWS_VERSION
    #error "setup.py says for which version of picows this is compiled"
    #endif
    """
    const char *FPROXY_PICOWS_VERSION

# The fields of its frames are read where that version has them: in another they may be elsewhere.
if picows.__version__ != FPROXY_PICOWS_VERSION.decode():
    raise ImportError(
        f"fproxy was compiled for picows {FPROXY_PICOWS_VERSION.decode()}, but picows {picows.__version__} is "
        f"installed: install fproxy again, or that version of picows"
    )


cdef class MessageReader:
    def __init__(self, *, take, statuses_came, drained, other_frame, unsound, failed, ReadTimer timer=None):
        self.at_message_start = True
        self.holding = False
        self._held = deque()
        self._take = take
        self._sink = take if isinstance(take, MessageSink) else None
        self._statuses_came = statuses_came
        self._drained = drained
        self._other_frame = other_frame
        self._unsound = unsound
        self._failed = failed
        self._timer = timer

    def frame(self, object transport not None, WSFrame frame not None):
        # What begins a message and ends it is a message, unless it is a control frame or continues nothing.
        if self.at_message_start and frame.fin and (
            frame.msg_type == WSMsgType.TEXT or frame.msg_type == WSMsgType.BINARY
        ):
            if self.holding:
                self._held.append(PyBytes_FromStringAndSize(frame.payload_ptr, frame.payload_size))
            else:
                self._read(frame.payload_ptr, frame.payload_size)
        else:
            self._other_frame(transport, frame)
        if frame.last_in_buffer and not self.reads_on:
            self.drain()

    cpdef drain(self):
        if not self._undrained:
            return
        self._undrained = False
        try:
            self._drained()
        except Exception:
            self._failed("some of its messages may be late or lost")
        if self._timer is not None and not self.holding:
            self._timer.stop()

    def message(self, bytes payload not None):
        self._read(PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    def take_held(self):
        if not self._held:
            return False
        self.message(self._held.popleft())
        self.drain()
        return True

    def release(self):
        self.holding = False
        self._held.clear()
        if self._timer is not None:
            self._timer.stop()

    cdef _read(self, char *begin, Py_ssize_t size):
        if self._timer is not None:
            self._timer.start()
        self._undrained = True
        self.messages += 1
        self.bytes_read += size
        try:
            if self._sink is not None:
                statuses = self._sink.take_message(begin, size)
            else:
                statuses = self._take(PyMemoryView_FromMemory(begin, size, PyBUF_READ))
        except FrameError as error:
            self._unsound(error)
            return
        except Exception:
            self._failed("a message of it may be lost")
            return
        if statuses:
            self._statuses_came(statuses)
