"""What other compiled modules may use of the reader of messages."""

from fproxy._fastpath cimport MessageSink
from fproxy._read_timer cimport ReadTimer


cdef class MessageReader:
    cdef public bint at_message_start
    cdef public bint holding
    cdef object _held
    # Whether what calls frame() calls drain() itself when it has read all.
    cdef bint reads_on
    cdef readonly unsigned long long messages
    cdef readonly unsigned long long bytes_read
    cdef object _take
    cdef MessageSink _sink  # the same, when it needs no Python object
    cdef object _statuses_came
    cdef object _drained
    cdef object _other_frame
    cdef object _unsound
    cdef object _failed
    cdef ReadTimer _timer
    cdef bint _undrained

    cpdef drain(self)
    cdef _read(self, char *begin, Py_ssize_t size)
